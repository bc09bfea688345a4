//! Sagas that completed: rows of a table without an index, found by id or through [posting lists](crate::postings).

use amends_core::state::SagaState;
use amends_database::{DatabaseError, Transaction};
use amends_engine::ports::{StoreError, StoredSaga};
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::saga::SagaStatus;
use surrealdb::types::{Bytes, Datetime, RecordId, SurrealValue};

use crate::codec::FORMAT;
use crate::postings::{Posted, withdraw};
use crate::rows::{ids, saga_id, saga_id_of};
use crate::tally::{BEFORE, Tally};

/// The columns that [`PostedRow`] reads: no blob.
pub(crate) const POSTED_COLUMNS: &str = "id, definition, version, tags, created_at, updated_at";

/// A row of `completed`, as it is written. What all of them have in common stands in none.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct CompletedRow {
    id: RecordId,
    definition: String,
    version: i64,
    tags: Vec<String>,
    created_at: Datetime,
    updated_at: Datetime,
    format: i64,
    state: Bytes,
}

/// The same, as it is listed.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct PostedRow {
    id: RecordId,
    definition: String,
    version: i64,
    tags: Vec<String>,
    created_at: Datetime,
    updated_at: Datetime,
}

impl PostedRow {
    pub(crate) fn posted(self) -> Result<Posted, StoreError> {
        Ok(Posted {
            saga_id: saga_id_of(&self.id)?,
            definition: self.definition,
            version: self.version,
            tags: self.tags,
            created_at: self.created_at.into_inner(),
            updated_at: self.updated_at.into_inner(),
        })
    }
}

impl CompletedRow {
    /// With the blob that [`state_of`](crate::rows::state_of) made.
    pub(crate) fn new(posted: &Posted, state: Vec<u8>) -> Self {
        Self {
            id: completed_id(posted.saga_id),
            definition: posted.definition.clone(),
            version: posted.version,
            tags: posted.tags.clone(),
            created_at: posted.created_at.into(),
            updated_at: posted.updated_at.into(),
            format: i64::from(FORMAT),
            state: state.into(),
        }
    }
}

/// The id of a row.
pub(crate) fn completed_id(saga_id: SagaId) -> RecordId {
    RecordId::new("completed", saga_id.to_string())
}

/// Whether a row of `completed` says all there is to say of a saga for lists.
pub(crate) fn can_be_posted(saga: &StoredSaga) -> bool {
    let SagaState { status, paused, .. } = &saga.state;
    *status == SagaStatus::Completed && !paused && saga.standing.is_empty() && saga.waiting_for.is_none()
}

/// Removes the rows of these sagas that stand here, from the lists as well, and takes them off what is counted.
pub(crate) async fn remove(
    transaction: &Transaction,
    partition: PartitionId,
    sagas: &[SagaId],
    tally: &mut Tally,
) -> Result<(), DatabaseError> {
    if sagas.is_empty() {
        return Ok(());
    }
    let record_ids: Vec<RecordId> = sagas.iter().copied().map(completed_id).collect();
    let statement = format!("DELETE $ids RETURN VALUE $before.{{ {POSTED_COLUMNS} }}");
    let rows = transaction.query_values(&statement, ids("ids", &record_ids)).await?.take_values(0)?;
    // What is no row of ours is in no list.
    let rows = rows.into_iter().filter_map(|row| PostedRow::from_value(row).ok());
    let removed: Vec<Posted> = rows.filter_map(|row| row.posted().ok()).collect();
    removed.iter().for_each(|posted| tally.was_completed(partition, &posted.definition));
    withdraw(transaction, &removed).await
}

/// Removes the rows of these sagas, wherever they stand.
pub(crate) async fn remove_everywhere(
    transaction: &Transaction,
    partition: PartitionId,
    sagas: &[SagaId],
    tally: &mut Tally,
) -> Result<(), DatabaseError> {
    if !sagas.is_empty() {
        let record_ids: Vec<RecordId> = sagas.iter().copied().map(saga_id).collect();
        let statement = format!("DELETE $ids RETURN VALUE {BEFORE}");
        let rows = transaction.query_values(&statement, ids("ids", &record_ids)).await?.take_values(0)?;
        rows.into_iter().for_each(|row| tally.was(row));
    }
    remove(transaction, partition, sagas, tally).await
}
