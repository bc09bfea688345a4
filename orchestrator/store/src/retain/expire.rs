//! Sagas that go themselves.

use std::collections::BTreeMap;

use amends_database::{Database, DatabaseError, Transaction};
use amends_engine::ports::StoreError;
use amends_engine::retention::{Cutoffs, Dropped};
use amends_schemas::ids::PartitionId;
use surrealdb::types::{Datetime, RecordId, SurrealValue, Value, Variables};

use super::keys::{again, begin_as_owner, ids, nanos, trimmed_id, trimmed_of};
use crate::rows::{from_values, saga_id};
use crate::store::unavailable;
use crate::tally::{BEFORE, Tally};

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
        let next = "SELECT VALUE id FROM trimmed:[$partition, $after, $last]..[$partition + 1] LIMIT 1";
        let Some(first) = read(database, next, bindings.clone()).await?.pop() else { break };
        bindings.insert("definition", first.definition.clone());
        bindings.insert("upto", nanos(cutoffs.of(&first.definition)));
        bindings.insert("most", i64::try_from(most - found.len()).unwrap_or(i64::MAX));
        let old =
            "SELECT VALUE id FROM trimmed:[$partition, $definition]..[$partition, $definition, $upto] LIMIT $most";
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

/// A row of `saga`, as much as says whether it has changed.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct LastChange {
    id: RecordId,
    settled: bool,
    updated_at: Datetime,
}

/// A saga that has changed since is not removed: it is noted again when its new facts go.
pub(super) async fn forget(
    database: &Database,
    partition: PartitionId,
    epoch: u64,
    expired: &[Dropped],
) -> Result<(), StoreError> {
    let by_id: BTreeMap<String, &Dropped> = expired.iter().map(|saga| (saga.saga_id.to_string(), saga)).collect();
    let record_ids: Vec<RecordId> = expired.iter().map(|saga| saga_id(saga.saga_id)).collect();
    let notes: Vec<RecordId> = expired.iter().map(|saga| trimmed_id(partition, saga)).collect();
    let mut attempt = 1;
    loop {
        let (transaction, _) = begin_as_owner(database, partition, epoch).await?;
        let values = transaction
            .query_values("SELECT id, settled, updated_at FROM $ids", ids("ids", &record_ids))
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable(DOING, &error))?;
        let unchanged = |row: &LastChange| {
            let noted =
                crate::rows::saga_id_of(&row.id).ok().and_then(|saga_id| by_id.get(&saga_id.to_string()).copied());
            row.settled && noted.is_some_and(|noted| nanos(row.updated_at.into()) == nanos(noted.settled_at))
        };
        let rows: Vec<LastChange> = from_values("saga", values)?;
        let going: Vec<RecordId> = rows.into_iter().filter(unchanged).map(|row| row.id).collect();
        match write(transaction, &going, &notes).await {
            Ok(()) => return Ok(()),
            Err(error) if again(&error, attempt) => attempt += 1,
            Err(error) => return Err(unavailable("removing sagas", &error)),
        }
    }
}

async fn write(transaction: Transaction, going: &[RecordId], notes: &[RecordId]) -> Result<(), DatabaseError> {
    if !going.is_empty() {
        let statement = format!("DELETE $going RETURN VALUE {BEFORE}");
        let before = transaction.query_values(&statement, ids("going", going)).await?.take_values(0)?;
        let mut tally = Tally::default();
        before.into_iter().for_each(|row| tally.was(row));
        tally.write(&transaction).await?;
    }
    if !notes.is_empty() {
        transaction.query_values("DELETE $notes RETURN NONE", ids("notes", notes)).await?;
    }
    transaction.commit().await
}
