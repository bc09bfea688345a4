//! From the journal's facts to the view's rows, in bulk.

use amends_database::{Database, DatabaseError, ErrorKind, Transaction};
use amends_engine::ports::{StoreError, StoredSaga};
use amends_schemas::ids::PartitionId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use surrealdb::types::{Array, SurrealValue, Value, Variables};

use crate::known::KnownSagas;
use crate::rows::SagaRow;
use crate::store::unavailable;
use crate::tally::{BEFORE, Tally};

/// Rows written by one statement: large enough that parsing and planning do not count, small enough to stay a small message.
const CHUNK_ROWS: usize = 500;

/// Bytes of blobs beyond which rows go in several transactions: one must fit into the engine's table in memory.
const TRANSACTION_BYTES: usize = 8 * 1024 * 1024;

/// Keys of rows beyond which they go in several transactions as well: each is an entry of an index, taken out and put in again, of up to some 500
/// bytes in that table, and sagas that stand with an error have dozens. Far fewer than fit, for records of the journal wait behind a large commit.
const TRANSACTION_KEYS: usize = 6_000;

/// How often two projectors of one partition (an owner and the one it replaces) may get in each other's way.
const PROJECT_ATTEMPTS_MAX: usize = 8;

/// The checkpoint does not say who moved it, only in which epoch.
const LATER_OWNER: &str = "a later owner";

/// Writes rows that are not there yet.
const INSERT: &str = "INSERT INTO saga $rows RETURN NONE";

/// Writes rows, and tells what follows `VALUE` of each of them. Measured against `FOR $row IN $rows { UPSERT … }` in a debug build:
/// half its time for rows that are new, a third for others.
const UPSERT: &str = "
    INSERT INTO saga $rows ON DUPLICATE KEY UPDATE
        rank = $input.rank, keys = $input.keys, turn = $input.turn, turns = $input.turns, view = $input.view,
        partition = $input.partition, settled = $input.settled,
        definition = $input.definition, version = $input.version, status = $input.status, paused = $input.paused,
        waiting_for = $input.waiting_for, tags = $input.tags,
        created_at = $input.created_at, updated_at = $input.updated_at,
        format = $input.format, state = $input.state
    RETURN VALUE
";

/// Up to which position the view holds everything, and who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The epoch of the owner that moved it.
    pub(crate) epoch: u64,
    /// The position.
    pub(crate) position: u64,
}

/// Rows by whether there may be one of their saga already: to write over one costs several times what a new one does. One that is taken for
/// fresh and is not, as after a commit whose answer was lost, has all of them written over.
#[derive(Debug, Default)]
struct Rows {
    fresh: Vec<SagaRow>,
    others: Vec<SagaRow>,
}

/// Writes rows and checkpoint in one transaction. The checkpoint never moves back, neither in epoch nor in position.
pub(crate) async fn project(
    database: &Database,
    known: &KnownSagas,
    partition: PartitionId,
    checkpoint: Checkpoint,
    sagas: &[StoredSaga],
) -> Result<(), StoreError> {
    let mut rows = Rows::default();
    let (mut bytes, mut keys) = (0, 0);
    for saga in sagas {
        let row = SagaRow::new(partition, saga)?;
        bytes += row.blob_bytes();
        keys += row.key_count();
        // Noted before it is written: what is tried again may have been written already.
        let fresh = known.add(saga.state.saga_id) || saga.is_new;
        let kind = if fresh { &mut rows.fresh } else { &mut rows.others };
        kind.push(row);
        // Rows may be newer than the checkpoint: those that do not fit go first, and leave it where it is.
        if bytes > TRANSACTION_BYTES || keys > TRANSACTION_KEYS {
            let full = std::mem::take(&mut rows);
            write_rows(database, partition, Checkpoint { position: 0, ..checkpoint }, full).await?;
            (bytes, keys) = (0, 0);
        }
    }
    write_rows(database, partition, checkpoint, rows).await?;
    known.projected(partition, checkpoint.position);
    Ok(())
}

async fn write_rows(
    database: &Database,
    partition: PartitionId,
    checkpoint: Checkpoint,
    mut rows: Rows,
) -> Result<(), StoreError> {
    let mut attempt = 1;
    loop {
        match try_project(database, partition, checkpoint, &rows).await {
            Ok(stored) if stored.epoch > checkpoint.epoch => return Err(fenced(partition, stored)),
            Ok(_) => return Ok(()),
            Err(error) if attempt < PROJECT_ATTEMPTS_MAX => match error.kind() {
                ErrorKind::Conflict => {}
                // An owner of an earlier epoch was quicker.
                ErrorKind::AlreadyExists => rows.others.append(&mut rows.fresh),
                ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Bug => {
                    return Err(unavailable("projecting sagas", &error));
                }
            },
            Err(error) => return Err(unavailable("projecting sagas", &error)),
        }
        attempt += 1;
    }
}

/// An owner of a later epoch has moved the checkpoint.
pub(crate) fn fenced(partition: PartitionId, stored: Checkpoint) -> StoreError {
    StoreError::Fenced { partition, position: stored.position, owner: LATER_OWNER.to_owned(), epoch: stored.epoch }
}

/// What is stored afterwards: a later epoch than the given one when nothing was written.
async fn try_project(
    database: &Database,
    partition: PartitionId,
    checkpoint: Checkpoint,
    rows: &Rows,
) -> Result<Checkpoint, DatabaseError> {
    let transaction = database.begin().await?;
    let stored = stored_checkpoint(&transaction, partition).await?.unwrap_or(checkpoint);
    if stored.epoch > checkpoint.epoch {
        transaction.cancel().await?;
        return Ok(stored);
    }
    let mut tally = Tally::default();
    insert(&transaction, &rows.fresh, &mut tally).await?;
    upsert(&transaction, &rows.others, &mut tally).await?;
    tally.write(&transaction).await?;
    let moved = Checkpoint { epoch: checkpoint.epoch, position: checkpoint.position.max(stored.position) };
    // Written even when it stays: two projectors at once then collide here, whatever their rows are.
    write_checkpoint(&transaction, partition, moved).await?;
    transaction.commit().await?;
    Ok(moved)
}

/// Writes rows of sagas that have none.
async fn insert(transaction: &Transaction, rows: &[SagaRow], tally: &mut Tally) -> Result<(), DatabaseError> {
    for chunk in rows.chunks(CHUNK_ROWS) {
        transaction.query_values(INSERT, bound(chunk)).await?;
        chunk.iter().for_each(|row| row.count(tally));
    }
    Ok(())
}

/// Writes rows over those that are there.
pub(crate) async fn upsert(
    transaction: &Transaction,
    rows: &[SagaRow],
    tally: &mut Tally,
) -> Result<(), DatabaseError> {
    let statement = format!("{UPSERT} {BEFORE}");
    for chunk in rows.chunks(CHUNK_ROWS) {
        let before = transaction.query_values(&statement, bound(chunk)).await?.take_values(0)?;
        before.into_iter().for_each(|row| tally.was(row));
        chunk.iter().for_each(|row| row.count(tally));
    }
    Ok(())
}

fn bound(rows: &[SagaRow]) -> Variables {
    let rows: Vec<Value> = rows.iter().cloned().map(SagaRow::into_value).collect();
    let mut bindings = Variables::new();
    bindings.insert("rows", Array::from(rows).into_value());
    bindings
}

/// Up to which position the view holds everything; none before the first projection.
pub(crate) async fn stored_checkpoint(
    transaction: &Transaction,
    partition: PartitionId,
) -> Result<Option<Checkpoint>, DatabaseError> {
    let statement = "SELECT epoch, position FROM type::record('checkpoint', $partition)";
    transaction.query(statement, json!({"partition": partition})).await?.take_first(0)
}

/// Makes two owners at once collide here, whatever else they write.
pub(crate) async fn write_checkpoint(
    transaction: &Transaction,
    partition: PartitionId,
    checkpoint: Checkpoint,
) -> Result<(), DatabaseError> {
    let bindings = json!({"partition": partition, "checkpoint": checkpoint});
    let statement = "UPSERT type::record('checkpoint', $partition) CONTENT $checkpoint RETURN NONE";
    transaction.query(statement, bindings).await.map(|_| ())
}
