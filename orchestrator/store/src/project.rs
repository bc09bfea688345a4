//! From the journal's facts to the view's rows, in bulk.

use amends_database::{Database, DatabaseError, ErrorKind, Transaction};
use amends_engine::ports::{StoreError, StoredSaga};
use amends_schemas::ids::{PartitionId, SagaId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use surrealdb::types::{Array, SurrealValue, Value, Variables};

use crate::completed::{self, CompletedRow, can_be_posted};
use crate::known::KnownSagas;
use crate::postings::{Posted, post, worth_posting};
use crate::rows::{SagaRow, state_of};
use crate::store::unavailable;
use crate::tally::{BEFORE, Tally};

/// Rows written by one statement: large enough that parsing and planning do not count, small enough to stay a small message.
const CHUNK_ROWS: usize = 500;

/// Bytes of blobs beyond which rows go in several transactions: one must fit into the engine's table in memory.
const TRANSACTION_BYTES: usize = 8 * 1024 * 1024;

/// Keys of rows beyond which they go in several transactions as well: each is an entry of an index, taken out and put in again, of up to some 500
/// bytes in that table, and sagas that stand with an error have dozens. Far fewer than fit, for records of the journal wait behind a large commit.
const TRANSACTION_KEYS: usize = 6_000;

/// What a row that is posted counts for among them, and each of its tags, which may have a block for itself.
const POSTED_KEYS: usize = 2;

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

/// The rows of one transaction: those of `saga`, and what those of `completed` are made of, and of both by whether there may be a row of
/// their saga already, in either table. To write over one costs several times what a new one does. One that is taken for fresh and is not,
/// after a commit whose answer was lost, stands where it is written again, and has all of them written over.
#[derive(Debug, Default)]
struct Rows {
    fresh: Vec<SagaRow>,
    others: Vec<SagaRow>,
    completed: Vec<(Posted, Vec<u8>)>,
    completed_others: Vec<(Posted, Vec<u8>)>,
    bytes: usize,
    keys: usize,
}

impl Rows {
    fn add(&mut self, partition: PartitionId, saga: &StoredSaga, kind: (bool, bool)) -> Result<(), StoreError> {
        let state = state_of(saga)?;
        self.bytes += state.len();
        let (fresh, posted) = kind;
        if posted {
            let posted = Posted::new(&saga.state);
            self.keys += POSTED_KEYS * (1 + posted.tags.len());
            let kind = if fresh { &mut self.completed } else { &mut self.completed_others };
            kind.push((posted, state));
        } else {
            let row = SagaRow::new(partition, saga, state);
            self.keys += row.key_count();
            let kind = if fresh { &mut self.fresh } else { &mut self.others };
            kind.push(row);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes > TRANSACTION_BYTES || self.keys > TRANSACTION_KEYS
    }

    /// Takes none of them for fresh.
    fn distrust(&mut self) {
        self.others.append(&mut self.fresh);
        self.completed_others.append(&mut self.completed);
    }
}

/// Writes rows and checkpoint in one transaction. The checkpoint never moves back, neither in epoch nor in position. A batch that is given again after
/// an error must be the same: then each row is meant for the table in which it may stand already.
pub(crate) async fn project(
    database: &Database,
    known: &KnownSagas,
    partition: PartitionId,
    checkpoint: Checkpoint,
    sagas: &[StoredSaga],
) -> Result<(), StoreError> {
    let mut rows = Rows::default();
    let postable = sagas.iter().filter(|saga| can_be_posted(saga)).map(|saga| &saga.state);
    let posted = worth_posting(postable.map(|state| (state.saga_id, state.created_at)));
    for saga in sagas {
        // Before it is written: what is tried again may have been written already.
        known.add(saga.state.saga_id);
        rows.add(partition, saga, (saga.is_new, posted.contains(&saga.state.saga_id)))?;
        // Rows may be newer than the checkpoint: those that do not fit go first, and leave it where it is.
        if rows.is_full() {
            let full = std::mem::take(&mut rows);
            write_rows(database, partition, Checkpoint { position: 0, ..checkpoint }, full).await?;
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
                // It was written already, and only the answer was lost.
                ErrorKind::AlreadyExists => rows.distrust(),
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
    make_way(&transaction, partition, rows, &mut tally).await?;
    insert(&transaction, &rows.fresh, &mut tally).await?;
    upsert(&transaction, &rows.others, &mut tally).await?;
    insert_completed(&transaction, partition, rows, &mut tally).await?;
    tally.write(&transaction).await?;
    let moved = Checkpoint { epoch: checkpoint.epoch, position: checkpoint.position.max(stored.position) };
    // Written even when it stays: two projectors at once then collide here, whatever their rows are.
    write_checkpoint(&transaction, partition, moved).await?;
    transaction.commit().await?;
    Ok(moved)
}

/// Removes rows where others of their sagas are about to be written into the other table, or posted at other places.
async fn make_way(
    transaction: &Transaction,
    partition: PartitionId,
    rows: &Rows,
    tally: &mut Tally,
) -> Result<(), DatabaseError> {
    let moving: Vec<SagaId> = rows.completed_others.iter().map(|(posted, _)| posted.saga_id).collect();
    for chunk in moving.chunks(CHUNK_ROWS) {
        completed::remove_everywhere(transaction, partition, chunk, tally).await?;
    }
    let others: Vec<SagaId> = rows.others.iter().filter_map(SagaRow::saga_id).collect();
    for chunk in others.chunks(CHUNK_ROWS) {
        completed::remove(transaction, partition, chunk, tally).await?;
    }
    Ok(())
}

/// Writes rows into `completed`, and posts their sagas.
async fn insert_completed(
    transaction: &Transaction,
    partition: PartitionId,
    rows: &Rows,
    tally: &mut Tally,
) -> Result<(), DatabaseError> {
    let all: Vec<&(Posted, Vec<u8>)> = rows.completed.iter().chain(&rows.completed_others).collect();
    for chunk in all.chunks(CHUNK_ROWS) {
        let row = |(posted, state): &&(Posted, Vec<u8>)| CompletedRow::new(posted, state.clone()).into_value();
        let values: Vec<Value> = chunk.iter().map(row).collect();
        let mut bindings = Variables::new();
        bindings.insert("rows", Array::from(values).into_value());
        transaction.query_values("INSERT INTO completed $rows RETURN NONE", bindings).await?;
    }
    let posted: Vec<&Posted> = all.into_iter().map(|(posted, _)| posted).collect();
    posted.iter().for_each(|posted| tally.is_completed(partition, &posted.definition));
    post(transaction, &posted).await
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
