//! Facts that were moved because somebody still wanted them.

use amends_database::{Database, DatabaseError, Transaction};
use amends_engine::ports::StoreError;
use amends_engine::retention::{Dropped, KeptPage};
use amends_schemas::ids::{PartitionId, SagaId};
use surrealdb::types::{RecordId, Variables};

use super::keys::{again, begin_as_owner, delete_moved, note_trimmed};
use super::slab::rows;
use crate::rows::{from_values, row_ids, second_part};
use crate::store::unavailable;

/// Slabs of moved facts looked at by one call.
const MOVED_AT_ONCE: usize = 500;

const DOING: &str = "looking through histories that are kept longer";

/// The next sagas with moved facts, in the order of their ids.
pub(super) async fn kept(
    database: &Database,
    partition: PartitionId,
    after: Option<SagaId>,
) -> Result<KeptPage, StoreError> {
    let snapshot = database.begin().await.map_err(|error| unavailable(DOING, &error))?;
    let statement = format!(
        "SELECT VALUE id FROM type::record('history', [$partition, $after, $last]..[$partition + 1]) LIMIT {MOVED_AT_ONCE}"
    );
    let mut bindings = Variables::new();
    bindings.insert("partition", i64::from(partition.0));
    bindings.insert("after", after.map(|saga_id| saga_id.to_string()).unwrap_or_default());
    bindings.insert("last", i64::MAX);
    let values = snapshot
        .query_values(&statement, bindings)
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable(DOING, &error))?;
    let full = values.len() == MOVED_AT_ONCE;
    let mut sagas: Vec<SagaId> = Vec::new();
    for id in from_values::<RecordId>("history", values)? {
        let id: Option<SagaId> = second_part(&id).and_then(|text| text.parse().ok());
        sagas.push(id.ok_or_else(|| StoreError::Damaged("a row of history names no saga".to_owned()))?);
    }
    sagas.dedup();
    let record_ids: Vec<RecordId> = sagas.iter().copied().flat_map(row_ids).collect();
    let mut settled = Vec::new();
    for row in rows(&snapshot, &record_ids).await? {
        match row.into_saga() {
            Ok(saga) if saga.state.is_settled() => settled.push(saga),
            Ok(_) | Err(StoreError::Unread(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let _ = snapshot.cancel().await;
    Ok(KeptPage { settled, next: sagas.last().copied().filter(|_| full) })
}

/// Deletes what was moved of these sagas, and notes them.
pub(super) async fn drop_kept(
    database: &Database,
    partition: PartitionId,
    epoch: u64,
    dropped: &[Dropped],
) -> Result<(), StoreError> {
    let mut attempt = 1;
    loop {
        let (transaction, _) = begin_as_owner(database, partition, epoch).await?;
        match write(transaction, partition, dropped).await {
            Ok(()) => return Ok(()),
            Err(error) if again(&error, attempt) => attempt += 1,
            Err(error) => return Err(unavailable("dropping histories", &error)),
        }
    }
}

async fn write(transaction: Transaction, partition: PartitionId, dropped: &[Dropped]) -> Result<(), DatabaseError> {
    for saga in dropped {
        delete_moved(&transaction, partition, saga.saga_id).await?;
    }
    note_trimmed(&transaction, partition, dropped).await?;
    transaction.commit().await
}
