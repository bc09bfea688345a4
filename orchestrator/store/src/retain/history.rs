//! A saga's facts, wherever they are.

use amends_core::event::Event;
use amends_database::{Database, DatabaseError, Transaction};
use amends_engine::ports::{JournalEntry, StoreError, UnreadEntry, UnreadSaga};
use amends_schemas::ids::{PartitionId, SagaId};
use surrealdb::types::{Array, Bytes, RecordId, SurrealValue, Variables};

use super::keys::of_saga;
use crate::codec;
use crate::rows::{JOURNAL_COLUMNS, JournalRow, entries, from_values, journal_id, to_i64};
use crate::store::unavailable;

/// Records read by one statement; each may hold a whole round of facts.
const RECORDS_AT_ONCE: usize = 64;

/// Slabs of moved facts read by one statement.
const MOVED_AT_ONCE: usize = 64;

/// A row of `history`.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(super) struct HistoryRow {
    pub(super) id: RecordId,
    pub(super) format: i64,
    pub(super) entries: Bytes,
}

/// The last position that has been taken out of the journal; zero when none has.
pub(crate) async fn truncated_upto(snapshot: &Transaction, partition: PartitionId) -> Result<u64, DatabaseError> {
    let mut bindings = Variables::new();
    bindings.insert("partition", i64::from(partition.0));
    let statement = "SELECT VALUE position FROM type::record('truncation', $partition)";
    let upto: Option<u64> = snapshot.query_values(statement, bindings).await?.take_first(0)?;
    Ok(upto.unwrap_or_default())
}

/// Reads one snapshot, so that nothing is taken out of the journal in between.
pub(super) async fn history(
    database: &Database,
    partition: PartitionId,
    saga_id: SagaId,
    positions: &[u64],
    facts_max: usize,
) -> Result<Vec<Event>, StoreError> {
    let doing = "reading a history";
    let snapshot = database.begin().await.map_err(|error| unavailable(doing, &error))?;
    let truncated = truncated_upto(&snapshot, partition).await.map_err(|error| unavailable(doing, &error))?;
    let mut found = Facts { saga_id, events: Vec::new(), facts_max };
    // Facts move only with the records they stood in: without a position in front there are none.
    if positions.first().is_some_and(|first| *first <= truncated) {
        moved(&snapshot, partition, &mut found).await?;
    }
    let journaled: Vec<u64> = positions.iter().copied().filter(|position| *position > truncated).collect();
    for chunk in journaled.chunks(RECORDS_AT_ONCE) {
        if found.is_full() {
            break;
        }
        let ids = chunk.iter().map(|&position| journal_id(partition, position)).collect::<Result<Vec<_>, _>>()?;
        let mut bindings = Variables::new();
        bindings.insert("ids", Array::from(ids).into_value());
        let values = snapshot
            .query_values(&format!("SELECT {JOURNAL_COLUMNS} FROM $ids"), bindings)
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable(doing, &error))?;
        let mut records = from_values::<JournalRow>("the journal", values)?
            .into_iter()
            .map(JournalRow::into_record)
            .collect::<Result<Vec<_>, _>>()?;
        if records.len() < chunk.len() {
            return Err(StoreError::Damaged(format!("the journal lacks records of saga {saga_id}")));
        }
        records.sort_by_key(|record| record.position);
        for record in records {
            found.add(record.entries, record.unread)?;
        }
    }
    // It has written nothing; whether cancelling it was answered does not matter.
    let _ = snapshot.cancel().await;
    Ok(found.events)
}

/// What was moved, in order.
async fn moved(snapshot: &Transaction, partition: PartitionId, found: &mut Facts) -> Result<(), StoreError> {
    let statement = format!(
        "SELECT id, format, entries FROM type::record('history', [$partition, $saga, $from]..=[$partition, $saga, $last]) LIMIT {MOVED_AT_ONCE}"
    );
    let mut from = 0;
    while !found.is_full() {
        let mut bindings = of_saga(partition, found.saga_id);
        bindings.insert("from", to_i64("a journal position", from)?);
        let values = snapshot
            .query_values(&statement, bindings)
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable("reading a history", &error))?;
        let rows: Vec<HistoryRow> = from_values("history", values)?;
        let count = rows.len();
        for row in rows {
            let what = format!("a history of saga {}", found.saga_id);
            let position = row.position().ok_or_else(|| StoreError::Damaged(format!("{what} has no position")))?;
            let (known, unread) = entries(&what, &codec::open(&what, row.format, &row.entries)?)?;
            found.add(known, unread)?;
            from = position + 1;
        }
        if count < MOVED_AT_ONCE {
            break;
        }
    }
    Ok(())
}

impl HistoryRow {
    fn position(&self) -> Option<u64> {
        crate::rows::array_of(&self.id).get(2)?.as_int().and_then(|position| u64::try_from(*position).ok())
    }
}

/// The facts of one saga among those of many.
struct Facts {
    saga_id: SagaId,
    events: Vec<Event>,
    facts_max: usize,
}

impl Facts {
    fn is_full(&self) -> bool {
        self.events.len() > self.facts_max
    }

    fn add(&mut self, entries: Vec<JournalEntry>, unread: Vec<UnreadEntry>) -> Result<(), StoreError> {
        if let Some(entry) = unread.into_iter().find(|entry| entry.saga_id == self.saga_id) {
            let UnreadEntry { saga_id, why } = entry;
            return Err(StoreError::Unread(Box::new(UnreadSaga { saga_id, definition: None, why })));
        }
        let own = entries.into_iter().filter(|entry| entry.saga_id == self.saga_id);
        let room = self.facts_max.saturating_add(1).saturating_sub(self.events.len());
        self.events.extend(own.flat_map(|entry| entry.events).take(room));
        Ok(())
    }
}
