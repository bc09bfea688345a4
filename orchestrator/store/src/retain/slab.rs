//! The oldest records of a partition, and what stands in them.

use std::collections::{BTreeMap, BTreeSet};

use amends_database::{Database, Transaction};
use amends_engine::ports::{StoreError, StoredSaga};
use amends_engine::retention::{Dropped, OldSaga, Slab, SlabBounds};
use amends_schemas::ids::{PartitionId, SagaId};
use surrealdb::types::{RecordId, Variables};

use super::history::truncated_upto;
use super::keys::{CHUNK_ROWS, trimmed_id, trimmed_of};
use crate::codec;
use crate::park;
use crate::rows::{JOURNAL_COLUMNS, JournalRow, STATE_COLUMNS, StateRow, entries, from_values, ids, row_ids, to_i64};
use crate::store::unavailable;

/// Records read by one statement; each may hold a whole round of facts.
const RECORDS_AT_ONCE: usize = 32;

const DOING: &str = "looking for what is past keeping";

/// What the records of a slab say.
struct Found {
    from: u64,
    upto: u64,
    /// Whether this version knows all of a saga's facts in them.
    sagas: BTreeMap<SagaId, bool>,
}

/// Reads one snapshot.
pub(super) async fn oldest(
    database: &Database,
    partition: PartitionId,
    upto: u64,
    bounds: SlabBounds,
) -> Result<Option<Slab>, StoreError> {
    let snapshot = database.begin().await.map_err(|error| unavailable(DOING, &error))?;
    let from = truncated_upto(&snapshot, partition).await.map_err(|error| unavailable(DOING, &error))? + 1;
    let parked = park::parked(&snapshot, partition).await?;
    let first_parked = parked.iter().filter_map(|facts| facts.positions.first()).min();
    let upto = first_parked.map_or(upto, |first| upto.min(first - 1));
    let slab = match records(&snapshot, partition, (from, upto), bounds).await? {
        Some(found) => {
            let parked = parked.iter().map(|facts| facts.saga_id).collect();
            Some(look_up(&snapshot, partition, found, &parked).await?)
        }
        None => None,
    };
    // It has written nothing; whether cancelling it was answered does not matter.
    let _ = snapshot.cancel().await;
    Ok(slab)
}

async fn records(
    snapshot: &Transaction,
    partition: PartitionId,
    (from, upto): (u64, u64),
    bounds: SlabBounds,
) -> Result<Option<Found>, StoreError> {
    let statement = format!(
        "SELECT {JOURNAL_COLUMNS} FROM type::record('journal', [$partition, $from]..=[$partition, $upto]) LIMIT {RECORDS_AT_ONCE}"
    );
    let mut found = Found { from, upto: from - 1, sagas: BTreeMap::new() };
    let mut bytes = 0;
    'reading: while found.upto < upto {
        let mut bindings = Variables::new();
        bindings.insert("partition", i64::from(partition.0));
        bindings.insert("from", to_i64("a journal position", found.upto + 1)?);
        bindings.insert("upto", to_i64("a journal position", upto)?);
        let values = snapshot
            .query_values(&statement, bindings)
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable(DOING, &error))?;
        if values.is_empty() {
            return Err(missing(partition, found.upto + 1));
        }
        for row in from_values::<JournalRow>("the journal", values)? {
            let (_, position) = row.position()?;
            if position != found.upto + 1 {
                return Err(missing(partition, found.upto + 1));
            }
            let count = usize::try_from(position - from).unwrap_or(usize::MAX);
            let full = count >= bounds.records_max || bytes > bounds.bytes_max || found.sagas.len() >= bounds.sagas_max;
            if full || chrono::DateTime::from(row.at) >= bounds.before || !codec::is_known(row.format) {
                break 'reading;
            }
            let what = format!("position {position} of partition {partition}");
            let plain = codec::open(&what, row.format, &row.entries)?;
            let (known, unread) = entries(&what, &plain)?;
            known.iter().for_each(|entry| _ = found.sagas.entry(entry.saga_id).or_insert(true));
            unread.iter().for_each(|entry| _ = found.sagas.insert(entry.saga_id, false));
            bytes += plain.len();
            found.upto = position;
        }
    }
    Ok((found.upto >= found.from).then_some(found))
}

fn missing(partition: PartitionId, position: u64) -> StoreError {
    StoreError::Damaged(format!("partition {partition} has no position {position}"))
}

/// How the sagas of a slab stand now.
async fn look_up(
    snapshot: &Transaction,
    partition: PartitionId,
    found: Found,
    parked: &BTreeSet<SagaId>,
) -> Result<Slab, StoreError> {
    let mut settled: Vec<StoredSaga> = Vec::new();
    let mut gone: BTreeSet<SagaId> = found.sagas.keys().copied().filter(|saga_id| !parked.contains(saga_id)).collect();
    let record_ids: Vec<RecordId> = found.sagas.keys().copied().flat_map(row_ids).collect();
    for chunk in record_ids.chunks(CHUNK_ROWS) {
        for row in rows(snapshot, chunk).await? {
            gone.remove(&row.saga_id()?);
            match row.into_saga() {
                Ok(saga) => settled.push(saga),
                Err(StoreError::Unread(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    settled.retain(|saga| saga.state.is_settled() && found.sagas.get(&saga.state.saga_id) == Some(&true));
    let before = dropped_before(snapshot, partition, &settled, found.from).await?;
    let settled = settled
        .into_iter()
        .map(|saga| OldSaga { dropped_before: before.contains(&saga.state.saga_id), saga })
        .collect();
    Ok(Slab { from: found.from, upto: found.upto, settled, gone: gone.into_iter().collect() })
}

/// Rows of sagas by id.
pub(super) async fn rows(snapshot: &Transaction, chunk: &[RecordId]) -> Result<Vec<StateRow>, StoreError> {
    let values = snapshot
        .query_values(&format!("SELECT {STATE_COLUMNS} FROM $ids"), ids("ids", chunk))
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable(DOING, &error))?;
    from_values("saga", values)
}

/// Those that have facts in earlier slabs and have been noted as without since they last changed.
async fn dropped_before(
    snapshot: &Transaction,
    partition: PartitionId,
    settled: &[StoredSaga],
    from: u64,
) -> Result<BTreeSet<SagaId>, StoreError> {
    let earlier = settled.iter().filter(|saga| saga.positions.first().is_some_and(|first| *first < from));
    let noted: Vec<RecordId> = earlier
        .map(|saga| {
            let noted = Dropped {
                saga_id: saga.state.saga_id,
                definition: saga.state.definition.name.to_string(),
                settled_at: saga.state.updated_at,
                has_moved: false,
            };
            trimmed_id(partition, &noted)
        })
        .collect();
    let mut found = BTreeSet::new();
    for chunk in noted.chunks(CHUNK_ROWS) {
        let values: Vec<RecordId> = snapshot
            .query_values("SELECT VALUE id FROM $ids", ids("ids", chunk))
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable(DOING, &error))
            .and_then(|values| from_values("trimmed", values))?;
        for id in values {
            found.insert(trimmed_of(&id)?.saga_id);
        }
    }
    Ok(found)
}
