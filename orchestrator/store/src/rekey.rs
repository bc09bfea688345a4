//! Bringing rows of earlier versions up to this one: page by page in the order of ids, where it stands being part of each page's
//! transaction, so that it goes on after a crash and two at once do no harm. Rows of `completed` have been of this version from the beginning: one that
//! changes the keys that last has to write them and their posting lists again as well.

use amends_database::{Database, DatabaseError, ErrorKind, Transaction};
use amends_engine::ports::{Rekeyed, StandingOf, StoreError};
use amends_schemas::ids::{PartitionId, SagaId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use surrealdb::types::{RecordId, SurrealValue, Variables};

use crate::keys::VIEW_VERSION;
use crate::project::upsert;
use crate::rows::{STATE_COLUMNS, SagaRow, StateRow, from_values, saga_id_of, state_of};
use crate::store::unavailable;
use crate::tally::Tally;

/// Rows of one page: a short transaction, for a projector that meets it has to begin anew.
const PAGE_ROWS: usize = 200;

/// How often a page is tried when projectors get in its way.
const REKEY_ATTEMPTS_MAX: usize = 16;

/// Which rows are of which version.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    /// The version they are brought up to.
    version: i64,
    /// Every row up to this id is; from the beginning when there is none.
    after: Option<SagaId>,
    /// All are.
    done: bool,
}

/// What says whether a row is to be written again.
#[derive(Debug, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct Versioned {
    id: RecordId,
    partition: i64,
    view: Option<i64>,
}

/// Whether every row is of this version.
pub(crate) async fn is_done(database: &Database) -> Result<bool, StoreError> {
    let progress: Option<Progress> = database
        .query("SELECT version, after, done FROM view:main", ())
        .await
        .and_then(|mut rows| rows.take_first(0))
        .map_err(|error| unavailable("reading the view's version", &error))?;
    Ok(progress.is_some_and(|progress| progress.version >= VIEW_VERSION && progress.done))
}

/// The next page.
pub(crate) async fn rekey(database: &Database, standing: StandingOf<'_>) -> Result<Rekeyed, StoreError> {
    let mut attempt = 1;
    loop {
        match try_rekey(database, standing).await? {
            Ok(rekeyed) => return Ok(rekeyed),
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < REKEY_ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(unavailable("bringing the view up to date", &error)),
        }
    }
}

async fn try_rekey(
    database: &Database,
    standing: StandingOf<'_>,
) -> Result<Result<Rekeyed, DatabaseError>, StoreError> {
    let page = async {
        let transaction = database.begin().await?;
        let progress: Option<Progress> =
            transaction.query("SELECT version, after, done FROM view:main", ()).await?.take_first(0)?;
        let progress = progress.filter(|progress| progress.version >= VIEW_VERSION).unwrap_or(Progress {
            version: VIEW_VERSION,
            after: None,
            done: false,
        });
        if progress.done {
            transaction.cancel().await?;
            return Ok(None);
        }
        let from = match progress.after {
            Some(after) => format!("type::record('saga', '{after}'>..)"),
            None => "saga".to_owned(),
        };
        let statement = format!("SELECT id, partition, view FROM {from} LIMIT {PAGE_ROWS}");
        let rows = transaction.query_values(&statement, Variables::new()).await?.take_values(0)?;
        Ok(Some((transaction, rows)))
    };
    let (transaction, rows) = match page.await {
        Ok(Some(page)) => page,
        Ok(None) => return Ok(Ok(Rekeyed::Done)),
        Err(error) => return Ok(Err(error)),
    };
    let rows: Vec<Versioned> = from_values("saga", rows)?;
    let after = rows.last().map(|row| saga_id_of(&row.id)).transpose()?;
    let progress = Progress { version: VIEW_VERSION, after, done: rows.len() < PAGE_ROWS };
    let old: Vec<Versioned> = rows.into_iter().filter(|row| row.view.is_none_or(|view| view < VIEW_VERSION)).collect();
    let states = match states(&transaction, &old).await {
        Ok(states) => states,
        Err(error) => return Ok(Err(error)),
    };
    let mut again = Vec::new();
    for (row, state) in old.iter().zip(from_values::<StateRow>("saga", states)?) {
        let partition = u16::try_from(row.partition)
            .map_err(|_| StoreError::Damaged(format!("a row of saga has partition {}", row.partition)))?;
        let mut saga = match state.into_saga() {
            Ok(saga) => saga,
            // Whoever knows what it says brings it up to date when it next writes it.
            Err(StoreError::Unread(_)) => continue,
            Err(error) => return Err(error),
        };
        saga.standing = standing(&saga.state);
        again.push(SagaRow::new(PartitionId(partition), &saga, state_of(&saga)?));
    }
    let changed = again.len();
    let written = async {
        let mut tally = Tally::default();
        upsert(&transaction, &again, &mut tally).await?;
        tally.write(&transaction).await?;
        let statement = "UPSERT view:main CONTENT $progress RETURN NONE";
        transaction.query(statement, json!({"progress": progress})).await?;
        transaction.commit().await
    };
    Ok(written.await.map(|()| if progress.done { Rekeyed::Done } else { Rekeyed::More { changed } }))
}

/// The states of some rows, in their order.
async fn states(transaction: &Transaction, rows: &[Versioned]) -> Result<Vec<surrealdb::types::Value>, DatabaseError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<RecordId> = rows.iter().map(|row| row.id.clone()).collect();
    let mut bindings = Variables::new();
    bindings.insert("ids", surrealdb::types::Array::from(ids).into_value());
    transaction.query_values(&format!("SELECT {STATE_COLUMNS} FROM $ids"), bindings).await?.take_values(0)
}
