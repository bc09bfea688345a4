//! Tables and indexes, made so when the store opens.

use amends_database::{Database, ErrorKind};
use amends_engine::ports::StoreError;

use crate::store::unavailable;

/// How often several processes that open a new database at once may get in each other's way.
const DEFINE_ATTEMPTS_MAX: usize = 10;

/// Each table is defined before its first use, because two first writers of an undefined table would conflict.
const SCHEMA: &str = "
    DEFINE TABLE IF NOT EXISTS deployment;
    DEFINE TABLE IF NOT EXISTS journal;
    DEFINE TABLE IF NOT EXISTS checkpoint;
    DEFINE TABLE IF NOT EXISTS saga;
    DEFINE TABLE IF NOT EXISTS completed;
    DEFINE TABLE IF NOT EXISTS posting;
    DEFINE TABLE IF NOT EXISTS parked;
    DEFINE TABLE IF NOT EXISTS truncation;
    DEFINE TABLE IF NOT EXISTS known;
    DEFINE TABLE IF NOT EXISTS history;
    DEFINE TABLE IF NOT EXISTS trimmed;
    DEFINE INDEX IF NOT EXISTS saga_key ON saga FIELDS keys.*, rank;
    DEFINE INDEX IF NOT EXISTS saga_turn ON saga FIELDS turns.*, turn;
    DEFINE TABLE IF NOT EXISTS tally;
    DEFINE TABLE IF NOT EXISTS view;
    DEFINE TABLE IF NOT EXISTS schedule;
    DEFINE INDEX IF NOT EXISTS schedule_due ON schedule FIELDS due, name;
    DEFINE TABLE IF NOT EXISTS bulk;
    DEFINE INDEX IF NOT EXISTS bulk_key ON bulk FIELDS keys.*, rank;
";

/// Defines what is missing.
pub(crate) async fn define(database: &Database) -> Result<(), StoreError> {
    let mut attempt = 1;
    loop {
        match database.query(SCHEMA, ()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < DEFINE_ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(unavailable("defining the tables", &error)),
        }
    }
}
