//! Ids of what retention keeps, and a transaction that only the owner may write.

use amends_database::{Database, DatabaseError, ErrorKind, Transaction};
use amends_engine::ports::StoreError;
use amends_engine::retention::Dropped;
use amends_schemas::ids::{PartitionId, SagaId};
use chrono::{DateTime, TimeZone, Utc};
use surrealdb::types::{Array, RecordId, RecordIdKey, SurrealValue, Value, Variables};

use crate::project::{Checkpoint, fenced, stored_checkpoint};
use crate::store::unavailable;

/// Rows written by one statement: bounds the size of one message.
pub(super) const CHUNK_ROWS: usize = 500;

/// How often two owners, or the projector, may get in the way.
pub(super) const ATTEMPTS_MAX: usize = 8;

/// The id of moved facts.
pub(super) fn history_id(partition: PartitionId, saga_id: SagaId, position: i64) -> RecordId {
    let key = vec![i64::from(partition.0).into_value(), saga_id.to_string().into_value(), position.into_value()];
    RecordId::new("history", Array::from(key))
}

/// The id of a saga that has no facts any more.
pub(super) fn trimmed_id(partition: PartitionId, saga: &Dropped) -> RecordId {
    let key = vec![
        i64::from(partition.0).into_value(),
        saga.definition.clone().into_value(),
        nanos(saga.settled_at).into_value(),
        saga.saga_id.to_string().into_value(),
    ];
    RecordId::new("trimmed", Array::from(key))
}

/// What [`trimmed_id`] was made of.
pub(super) fn trimmed_of(id: &RecordId) -> Result<Dropped, StoreError> {
    let parts = match &id.key {
        RecordIdKey::Array(parts) => parts.as_slice(),
        RecordIdKey::Number(_)
        | RecordIdKey::String(_)
        | RecordIdKey::Uuid(_)
        | RecordIdKey::Object(_)
        | RecordIdKey::Range(_) => &[],
    };
    let read = match parts {
        [_, Value::String(definition), at, Value::String(saga_id)] => at
            .as_int()
            .zip(saga_id.as_str().parse().ok())
            .map(|(at, saga_id)| (definition.as_str().to_owned(), Utc.timestamp_nanos(*at), saga_id)),
        _ => None,
    };
    let (definition, settled_at, saga_id) =
        read.ok_or_else(|| StoreError::Damaged("a row of trimmed has an id of another kind".to_owned()))?;
    Ok(Dropped { saga_id, definition, settled_at, has_moved: false })
}

/// As it stands in ids; times out of reach of 64 bits sort first or last.
pub(super) fn nanos(at: DateTime<Utc>) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(if at < DateTime::UNIX_EPOCH { i64::MIN } else { i64::MAX })
}

/// Notes that sagas have no facts any more; those that are noted stay as they are.
pub(super) async fn note_trimmed(
    transaction: &Transaction,
    partition: PartitionId,
    dropped: &[Dropped],
) -> Result<(), DatabaseError> {
    #[derive(SurrealValue)]
    #[surreal(crate = "surrealdb::types")]
    struct TrimmedRow {
        id: RecordId,
    }
    for chunk in dropped.chunks(CHUNK_ROWS) {
        let rows = chunk.iter().map(|saga| TrimmedRow { id: trimmed_id(partition, saga) }.into_value());
        let mut bindings = Variables::new();
        bindings.insert("rows", Array::from(rows.collect::<Vec<Value>>()).into_value());
        transaction.query_values("INSERT IGNORE INTO trimmed $rows RETURN NONE", bindings).await?;
    }
    Ok(())
}

/// Deletes everything that was moved of a saga.
pub(super) async fn delete_moved(
    transaction: &Transaction,
    partition: PartitionId,
    saga_id: SagaId,
) -> Result<(), DatabaseError> {
    transaction
        .query_values(
            "DELETE history:[$partition, $saga]..=[$partition, $saga, $last] RETURN NONE",
            of_saga(partition, saga_id),
        )
        .await
        .map(|_| ())
}

/// The bindings of a range over everything that was moved of a saga.
pub(super) fn of_saga(partition: PartitionId, saga_id: SagaId) -> Variables {
    let mut bindings = Variables::new();
    bindings.insert("partition", i64::from(partition.0));
    bindings.insert("saga", saga_id.to_string());
    bindings.insert("last", i64::MAX);
    bindings
}

/// Begins a transaction, unless an owner of a later epoch has moved the checkpoint.
pub(super) async fn begin_as_owner(
    database: &Database,
    partition: PartitionId,
    epoch: u64,
) -> Result<(Transaction, Option<Checkpoint>), StoreError> {
    let doing = "letting go of what is past keeping";
    let transaction = database.begin().await.map_err(|error| unavailable(doing, &error))?;
    let stored = stored_checkpoint(&transaction, partition).await.map_err(|error| unavailable(doing, &error))?;
    match stored {
        Some(stored) if stored.epoch > epoch => Err(fenced(partition, stored)),
        stored => Ok((transaction, stored)),
    }
}

/// Whether to run a transaction again after this error.
pub(super) fn again(error: &DatabaseError, attempt: usize) -> bool {
    error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS_MAX
}
