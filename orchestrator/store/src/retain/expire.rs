//! Sagas that go themselves.

use std::collections::BTreeMap;

use amends_database::{Database, DatabaseError, Transaction};
use amends_engine::ports::StoreError;
use amends_engine::retention::{Cutoffs, Dropped};
use amends_schemas::ids::{PartitionId, SagaId};
use surrealdb::types::{Datetime, RecordId, SurrealValue, Value, Variables};

use super::keys::{again, begin_as_owner, nanos, trimmed_id, trimmed_of};
use crate::completed::{self, completed_id};
use crate::rows::{from_values, ids, row_ids, saga_id_of};
use crate::store::unavailable;
use crate::tally::Tally;

/// Most definitions looked through in one call: more names than anybody gives to sagas.
const DEFINITIONS_MAX: usize = 10_000;

const DOING: &str = "looking for sagas that are past keeping";

/// The oldest of each definition, definition by definition.
pub(super) async fn expired(
    database: &Database,
    partition: PartitionId,
    cutoffs: &Cutoffs,
    most: usize,
) -> Result<Vec<Dropped>, StoreError> {
    let mut found = Vec::new();
    let mut after = String::new();
    for _ in 0..DEFINITIONS_MAX {
        let mut bindings = Variables::new();
        bindings.insert("partition", i64::from(partition.0));
        bindings.insert("after", after);
        bindings.insert("last", i64::MAX);
        let next =
            "SELECT VALUE id FROM type::record('trimmed', [$partition, $after, $last]..[$partition + 1]) LIMIT 1";
        let Some(first) = read(database, next, bindings.clone()).await?.pop() else { break };
        bindings.insert("definition", first.definition.clone());
        bindings.insert("upto", nanos(cutoffs.of(&first.definition)));
        bindings.insert("most", i64::try_from(most - found.len()).unwrap_or(i64::MAX));
        let old = "SELECT VALUE id FROM type::record('trimmed', [$partition, $definition]..[$partition, $definition, $upto]) LIMIT $most";
        found.extend(read(database, old, bindings).await?);
        if found.len() >= most {
            break;
        }
        after = first.definition;
    }
    Ok(found)
}

async fn read(database: &Database, statement: &str, bindings: Variables) -> Result<Vec<Dropped>, StoreError> {
    let values: Vec<Value> = database
        .query_values(statement, bindings)
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable(DOING, &error))?;
    from_values::<RecordId>("trimmed", values)?.iter().map(trimmed_of).collect()
}

/// A row of `saga` or `completed`, as much as says whether it has changed.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct LastChange {
    id: RecordId,
    /// What stands in `completed` is settled, and does not say so.
    settled: Option<bool>,
    updated_at: Datetime,
}

/// A saga that has changed since is not removed: it is noted again when its new facts go.
pub(super) async fn forget(
    database: &Database,
    partition: PartitionId,
    epoch: u64,
    expired: &[Dropped],
) -> Result<(), StoreError> {
    let by_id: BTreeMap<SagaId, &Dropped> = expired.iter().map(|saga| (saga.saga_id, saga)).collect();
    let record_ids: Vec<RecordId> = expired.iter().flat_map(|saga| row_ids(saga.saga_id)).collect();
    let notes: Vec<RecordId> = expired.iter().map(|saga| trimmed_id(partition, saga)).collect();
    let mut attempt = 1;
    loop {
        let (transaction, _) = begin_as_owner(database, partition, epoch).await?;
        let values = transaction
            .query_values("SELECT id, settled, updated_at FROM $ids", ids("ids", &record_ids))
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable(DOING, &error))?;
        let mut going = Vec::new();
        for row in from_values::<LastChange>("saga", values)? {
            let saga_id = saga_id_of(&row.id)?;
            let noted = by_id.get(&saga_id).map(|noted| nanos(noted.settled_at));
            let settled = row.settled == Some(true) || row.id == completed_id(saga_id);
            if settled && noted == Some(nanos(row.updated_at.into())) {
                going.push(saga_id);
            }
        }
        match write(transaction, partition, &going, &notes).await {
            Ok(()) => return Ok(()),
            Err(error) if again(&error, attempt) => attempt += 1,
            Err(error) => return Err(unavailable("removing sagas", &error)),
        }
    }
}

async fn write(
    transaction: Transaction,
    partition: PartitionId,
    going: &[SagaId],
    notes: &[RecordId],
) -> Result<(), DatabaseError> {
    if !going.is_empty() {
        let mut tally = Tally::default();
        completed::remove_everywhere(&transaction, partition, going, &mut tally).await?;
        tally.write(&transaction).await?;
    }
    if !notes.is_empty() {
        transaction.query_values("DELETE $notes RETURN NONE", ids("notes", notes)).await?;
    }
    transaction.commit().await
}
