//! A slab out of the journal: what is still wanted moves, the rest goes, all in one transaction.

use std::collections::{BTreeMap, HashSet};

use amends_database::{Database, DatabaseError, Transaction};
use amends_engine::ports::StoreError;
use amends_engine::retention::Cut;
use amends_schemas::ids::{PartitionId, SagaId};
use serde_json::json;
use surrealdb::types::{Array, SurrealValue, Value, Variables};

use super::history::{HistoryRow, truncated_upto};
use super::keys::{CHUNK_ROWS, again, begin_as_owner, delete_moved, history_id, note_trimmed};
use crate::codec::{self, FORMAT};
use crate::rows::{JOURNAL_COLUMNS, JournalRow, entry_saga_id, from_values, to_i64};
use crate::store::unavailable;

const DOING: &str = "taking records out of the journal";

/// Reads the records again, so that what moves is what stands there, to the byte, also what this version does not know.
pub(super) async fn truncate(
    database: &Database,
    partition: PartitionId,
    epoch: u64,
    cut: &Cut<'_>,
) -> Result<(), StoreError> {
    let mut attempt = 1;
    loop {
        let (transaction, checkpoint) = begin_as_owner(database, partition, epoch).await?;
        let truncated = truncated_upto(&transaction, partition).await.map_err(|error| unavailable(DOING, &error))?;
        if truncated == cut.upto {
            // Done before; only the answer was lost.
            return Ok(());
        }
        if truncated + 1 != cut.from || checkpoint.is_none_or(|checkpoint| cut.upto >= checkpoint.position) {
            return Err(StoreError::Invalid(format!(
                "positions {} to {} of partition {partition} cannot be taken out after {truncated}",
                cut.from, cut.upto
            )));
        }
        let moved = wanted(&transaction, partition, cut).await?;
        match write(transaction, partition, cut, &moved).await {
            Ok(()) => return Ok(()),
            Err(error) if again(&error, attempt) => attempt += 1,
            Err(error) => return Err(unavailable(DOING, &error)),
        }
    }
}

/// Rows of what is still wanted: all facts of one saga in the slab, as they were written.
async fn wanted(transaction: &Transaction, partition: PartitionId, cut: &Cut<'_>) -> Result<Vec<Value>, StoreError> {
    let unwanted: HashSet<SagaId> =
        cut.dropped.iter().map(|saga| saga.saga_id).chain(cut.gone.iter().copied()).collect();
    let statement = format!("SELECT {JOURNAL_COLUMNS} FROM journal:[$partition, $from]..=[$partition, $upto]");
    let values = transaction
        .query_values(&statement, range(partition, cut)?)
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable(DOING, &error))?;
    let mut wanted: BTreeMap<SagaId, (u64, Vec<Vec<u8>>)> = BTreeMap::new();
    for (expected, row) in (cut.from..).zip(from_values::<JournalRow>("the journal", values)?) {
        let (_, position) = row.position()?;
        let what = format!("position {position} of partition {partition}");
        if position != expected {
            return Err(StoreError::Damaged(format!("partition {partition} has no position {expected}")));
        }
        for raw in codec::split(&what, &codec::open(&what, row.format, &row.entries)?)? {
            let saga_id = entry_saga_id(&what, raw)?;
            if !unwanted.contains(&saga_id) {
                wanted.entry(saga_id).or_insert_with(|| (position, Vec::new())).1.push(raw.to_vec());
            }
        }
    }
    let row = |(saga_id, (position, raws)): (SagaId, (u64, Vec<Vec<u8>>))| {
        let id = history_id(partition, saga_id, to_i64("a journal position", position)?);
        Ok(HistoryRow { id, format: i64::from(FORMAT), entries: codec::pack(&codec::join(&raws)).into() }.into_value())
    };
    wanted.into_iter().map(row).collect()
}

async fn write(
    transaction: Transaction,
    partition: PartitionId,
    cut: &Cut<'_>,
    moved: &[Value],
) -> Result<(), DatabaseError> {
    for chunk in moved.chunks(CHUNK_ROWS) {
        let mut bindings = Variables::new();
        bindings.insert("rows", Array::from(chunk.to_vec()).into_value());
        transaction.query_values("INSERT INTO history $rows RETURN NONE", bindings).await?;
    }
    for saga in cut.dropped.iter().filter(|saga| saga.has_moved) {
        delete_moved(&transaction, partition, saga.saga_id).await?;
    }
    note_trimmed(&transaction, partition, cut.dropped).await?;
    let mut bindings = Variables::new();
    bindings.insert("partition", i64::from(partition.0));
    for position in cut.from..=cut.upto {
        bindings.insert("position", i64::try_from(position).unwrap_or(i64::MAX));
        transaction.query_values("DELETE journal:[$partition, $position] RETURN NONE", bindings.clone()).await?;
    }
    let bindings = json!({"partition": partition, "position": cut.upto});
    let statement = "UPSERT type::record('truncation', $partition) SET position = $position RETURN NONE";
    transaction.query(statement, bindings).await?;
    transaction.commit().await
}

fn range(partition: PartitionId, cut: &Cut<'_>) -> Result<Variables, StoreError> {
    let mut bindings = Variables::new();
    bindings.insert("partition", i64::from(partition.0));
    bindings.insert("from", to_i64("a journal position", cut.from)?);
    bindings.insert("upto", to_i64("a journal position", cut.upto)?);
    Ok(bindings)
}
