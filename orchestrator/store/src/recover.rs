//! Everything a new owner needs: what is unfinished in the view, and the journal after the checkpoint.

use std::collections::BTreeSet;

use amends_database::{Database, Transaction};
use amends_engine::ports::{JournalRecord, Recovered, StoreError, StoredSaga, UnreadSaga};
use amends_schemas::ids::{PartitionId, SagaId};
use surrealdb::types::{RecordId, Variables};

use crate::journal;
use crate::keys::unsettled_key;
use crate::park;
use crate::project::stored_checkpoint;
use crate::retain::truncated_upto;
use crate::rows::{
    JOURNAL_COLUMNS, JournalRow, STATE_COLUMNS, StateRow, from_values, ids, journal_id, row_ids, to_i64,
};
use crate::store::unavailable;

/// Rows read by one statement: bounds the memory of one answer.
const SAGAS_CHUNK: usize = 200;

/// Journal records read by one statement: bounds the memory of one answer.
const TAIL_PAGE: i64 = 200;

/// Reads one snapshot, so that a projector that is still at work cannot move rows and checkpoint in between.
pub(crate) async fn recover(database: &Database, partition: PartitionId) -> Result<Recovered, StoreError> {
    let doing = "recovering a partition";
    let snapshot = database.begin().await.map_err(|error| unavailable(doing, &error))?;
    let checkpoint = stored_checkpoint(&snapshot, partition).await.map_err(|error| unavailable(doing, &error))?;
    let checkpoint = checkpoint.map_or(0, |checkpoint| checkpoint.position);
    let mut read = ReadSagas::default();
    unsettled(&snapshot, partition, &mut read).await?;
    let tail = tail(&snapshot, partition, checkpoint).await?;
    settled_since(&snapshot, &tail, &mut read).await?;
    let parked = park::parked(&snapshot, partition).await?;
    begins(&snapshot, partition, checkpoint).await?;
    // It has written nothing; whether cancelling it was answered does not matter.
    let _ = snapshot.cancel().await;

    let (last_position, last_epoch) = match tail.last() {
        Some(last) => (last.position, last.epoch),
        None if checkpoint == 0 => (0, 0),
        None => {
            let record = journal::records(database, partition, &[checkpoint]).await?.pop().ok_or_else(|| {
                StoreError::Damaged(format!(
                    "partition {partition} has its checkpoint at position {checkpoint}, which is missing"
                ))
            })?;
            (record.position, record.epoch)
        }
    };
    Ok(Recovered { last_position, last_epoch, sagas: read.sagas, unread: read.unread, parked, tail })
}

/// What has been taken out of the journal ends before the checkpoint, and the record behind it is there.
async fn begins(snapshot: &Transaction, partition: PartitionId, checkpoint: u64) -> Result<(), StoreError> {
    let doing = "reading the journal";
    let truncated = truncated_upto(snapshot, partition).await.map_err(|error| unavailable(doing, &error))?;
    if truncated == 0 {
        return Ok(());
    }
    let mut bindings = Variables::new();
    bindings.insert("id", journal_id(partition, truncated + 1)?);
    let first = snapshot
        .query_values("SELECT VALUE id FROM $id", bindings)
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable(doing, &error))?;
    if truncated >= checkpoint || first.is_empty() {
        return Err(StoreError::Damaged(format!(
            "partition {partition} has no position {}, at which its journal begins",
            truncated + 1
        )));
    }
    Ok(())
}

/// Rows as they were found.
#[derive(Default)]
struct ReadSagas {
    sagas: Vec<StoredSaga>,
    unread: Vec<UnreadSaga>,
}

impl ReadSagas {
    fn add(&mut self, row: StateRow) -> Result<(), StoreError> {
        match row.into_saga() {
            Ok(saga) => self.sagas.push(saga),
            Err(StoreError::Unread(saga)) => self.unread.push(*saga),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn ids(&self) -> impl Iterator<Item = SagaId> {
        let read = self.sagas.iter().map(|saga| saga.state.saga_id);
        read.chain(self.unread.iter().map(|saga| saga.saga_id))
    }
}

async fn unsettled(snapshot: &Transaction, partition: PartitionId, read: &mut ReadSagas) -> Result<(), StoreError> {
    let statement = format!(
        "SELECT {STATE_COLUMNS} FROM saga WHERE keys CONTAINS $key AND rank > $after ORDER BY rank LIMIT {SAGAS_CHUNK}"
    );
    let mut after = String::new();
    loop {
        let mut bindings = Variables::new();
        bindings.insert("key", unsettled_key(partition));
        bindings.insert("after", after.clone());
        let values = snapshot
            .query_values(&statement, bindings)
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable("reading unfinished sagas", &error))?;
        let rows: Vec<StateRow> = from_values("saga", values)?;
        let Some(last) = rows.last() else { return Ok(()) };
        last.rank()?.clone_into(&mut after);
        for row in rows {
            read.add(row)?;
        }
    }
}

/// Rows may be newer than the checkpoint. A saga that has settled since has facts in the tail which its row already
/// contains: without the row its new owner would see the end of a story without its beginning.
async fn settled_since(snapshot: &Transaction, tail: &[JournalRecord], read: &mut ReadSagas) -> Result<(), StoreError> {
    let mut missing: BTreeSet<SagaId> =
        tail.iter().flat_map(|record| record.entries.iter().map(|entry| entry.saga_id)).collect();
    for saga_id in read.ids() {
        missing.remove(&saga_id);
    }
    let statement = format!("SELECT {STATE_COLUMNS} FROM $ids");
    let record_ids: Vec<RecordId> = missing.into_iter().flat_map(row_ids).collect();
    for chunk in record_ids.chunks(SAGAS_CHUNK) {
        let values = snapshot
            .query_values(&statement, ids("ids", chunk))
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable("reading sagas of the journal", &error))?;
        for row in from_values::<StateRow>("saga", values)? {
            read.add(row)?;
        }
    }
    Ok(())
}

async fn tail(
    snapshot: &Transaction,
    partition: PartitionId,
    checkpoint: u64,
) -> Result<Vec<JournalRecord>, StoreError> {
    // Ids sort as arrays: everything of this partition stands before `[partition + 1]`.
    let statement = format!(
        "SELECT {JOURNAL_COLUMNS} FROM type::record('journal', [$partition, $from]..[$partition + 1]) LIMIT {TAIL_PAGE}"
    );
    let mut tail: Vec<JournalRecord> = Vec::new();
    let mut expected = checkpoint + 1;
    loop {
        let mut bindings = Variables::new();
        bindings.insert("partition", i64::from(partition.0));
        bindings.insert("from", to_i64("a journal position", expected)?);
        let values = snapshot
            .query_values(&statement, bindings)
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable("reading the journal", &error))?;
        if values.is_empty() {
            return Ok(tail);
        }
        for row in from_values::<JournalRow>("the journal", values)? {
            let record = row.into_record()?;
            if record.position != expected {
                return Err(StoreError::Damaged(format!(
                    "partition {partition} has no position {expected}, but position {}",
                    record.position
                )));
            }
            expected += 1;
            tail.push(record);
        }
    }
}

/// A saga as it was last projected.
pub(crate) async fn load(database: &Database, saga: SagaId) -> Result<Option<StoredSaga>, StoreError> {
    let values = database
        .query_values(&format!("SELECT {STATE_COLUMNS} FROM $ids"), ids("ids", &row_ids(saga)))
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable("reading a saga", &error))?;
    from_values::<StateRow>("saga", values)?.pop().map(StateRow::into_saga).transpose()
}
