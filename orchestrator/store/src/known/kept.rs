//! A filter as it is kept, so that a restart need not read every row. What is kept says: every saga begun up to this position of the
//! journal is in these bits. That stays true whatever happens later, so it needs no fence: an owner that was replaced may at worst
//! keep an older one.

use amends_database::{Database, Transaction};
use amends_engine::ports::StoreError;
use amends_schemas::ids::{PartitionId, SagaId};
use surrealdb::types::{Bytes, SurrealValue, Variables};

use crate::codec;
use crate::project::stored_checkpoint;
use crate::retain::truncated_upto;
use crate::rows::{JOURNAL_COLUMNS, JournalRow, entry_saga_id, from_values, to_i64};
use crate::store::unavailable;

/// Journal records read by one statement: bounds the memory of one answer.
pub(super) const PAGE_RECORDS: u64 = 100;

#[derive(Debug, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct KeptRow {
    upto: i64,
    bits: Bytes,
}

/// Bits, and up to which position of the journal they have every saga.
pub(super) struct Kept {
    pub(super) upto: u64,
    pub(super) bits: Vec<u8>,
}

/// Keeps bits, instead of those that were kept before.
pub(super) async fn keep(database: &Database, partition: PartitionId, kept: Kept) -> Result<(), StoreError> {
    let row = KeptRow { upto: to_i64("a journal position", kept.upto)?, bits: kept.bits.into() };
    let mut bindings = partition_binding(partition);
    bindings.insert("row", row);
    let statement = "UPSERT type::record('known', $partition) CONTENT $row RETURN NONE";
    let written = database.query_values(statement, bindings).await;
    written.map(drop).map_err(|error| unavailable("keeping which sagas there are", &error))
}

/// Up to where the view has every saga.
pub(super) async fn checkpoint(database: &Database, partition: PartitionId) -> Result<u64, StoreError> {
    let doing = "reading a checkpoint";
    let snapshot = database.begin().await.map_err(|error| unavailable(doing, &error))?;
    let found = stored_checkpoint(&snapshot, partition).await.map_err(|error| unavailable(doing, &error));
    // It has written nothing; whether cancelling it was answered does not matter.
    let _ = snapshot.cancel().await;
    Ok(found?.map_or(0, |checkpoint| checkpoint.position))
}

/// What was kept, if the journal still has everything behind it.
pub(super) async fn kept(database: &Database, partition: PartitionId) -> Result<Option<Kept>, StoreError> {
    let doing = "reading which sagas there are";
    let snapshot = database.begin().await.map_err(|error| unavailable(doing, &error))?;
    let found = read(&snapshot, partition).await;
    // It has written nothing; whether cancelling it was answered does not matter.
    let _ = snapshot.cancel().await;
    found
}

async fn read(snapshot: &Transaction, partition: PartitionId) -> Result<Option<Kept>, StoreError> {
    let doing = "reading which sagas there are";
    let statement = "SELECT upto, bits FROM type::record('known', $partition)";
    let values = snapshot
        .query_values(statement, partition_binding(partition))
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable(doing, &error))?;
    let Some(row) = from_values::<KeptRow>("known", values)?.pop() else { return Ok(None) };
    let truncated = truncated_upto(snapshot, partition).await.map_err(|error| unavailable(doing, &error))?;
    let kept = u64::try_from(row.upto).ok().map(|upto| Kept { upto, bits: row.bits.to_vec() });
    Ok(kept.filter(|kept| truncated <= kept.upto))
}

/// A page of the journal.
pub(super) struct Begun {
    pub(super) sagas: Vec<SagaId>,
    /// The position of its last record; where it was to begin, if it has none.
    pub(super) upto: u64,
    /// Behind which position the next page begins. None when this one was not full: that is where the journal ended, and waiting for an
    /// empty one would never end while records keep coming.
    pub(super) next: Option<u64>,
}

/// The sagas of a page of journal records behind a position.
pub(super) async fn begun_behind(
    database: &Database,
    partition: PartitionId,
    position: u64,
) -> Result<Begun, StoreError> {
    // A range and no limit: the database reads ahead of a limit, and records are large.
    let statement = format!("SELECT {JOURNAL_COLUMNS} FROM journal:[$partition, $from]..=[$partition, $upto]");
    let mut bindings = partition_binding(partition);
    bindings.insert("from", to_i64("a journal position", position + 1)?);
    bindings.insert("upto", to_i64("a journal position", position + PAGE_RECORDS)?);
    let values = database
        .query_values(&statement, bindings)
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable("reading the journal", &error))?;
    let mut sagas = Vec::new();
    let mut last = position;
    for row in from_values::<JournalRow>("the journal", values)? {
        let (_, at) = row.position()?;
        if at != last + 1 {
            return Err(StoreError::Unavailable(format!("the journal is truncated up to {at} meanwhile")));
        }
        last = at;
        let what = format!("position {at} of partition {partition}");
        for entry in codec::split(&what, &codec::open(&what, row.format, &row.entries)?)? {
            sagas.push(entry_saga_id(&what, entry)?);
        }
    }
    Ok(Begun { sagas, upto: last, next: (last == position + PAGE_RECORDS).then_some(last) })
}

fn partition_binding(partition: PartitionId) -> Variables {
    let mut bindings = Variables::new();
    bindings.insert("partition", i64::from(partition.0));
    bindings
}
