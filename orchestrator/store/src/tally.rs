//! How many sagas there are: counters that move in the transaction that moves the rows, one for each partition, definition and status, so
//! that projectors of different partitions never meet.
//!
//! A row counts once it is of this version of the view ([`keys::VIEW_VERSION`](crate::keys::VIEW_VERSION)): whoever writes a row takes off
//! what it was before, if it counted, and adds what it is now. Whoever removes rows takes them off.

use std::collections::BTreeMap;

use amends_database::{Database, DatabaseError, Transaction};
use amends_engine::ports::StoreError;
use amends_schemas::ids::PartitionId;
use amends_schemas::saga::SagaStatus;
use amends_schemas::search::{DefinitionCounts, SagaCounts, StatusCount};
use serde::Deserialize;
use serde_json::json;
use surrealdb::types::{SurrealValue, Value};

use crate::keys::VIEW_VERSION;
use crate::rekey;
use crate::store::unavailable;

/// What statements that write or remove rows of `saga` must return, for [`Tally::was`].
pub(crate) const BEFORE: &str = "[$before.partition, $before.definition, $before.status, $before.paused, $before.view]";

/// By how much counters move, by partition, definition and status: how many sagas, and how many paused ones.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<(i64, String, String), (i64, i64)>);

/// A row as [`BEFORE`] tells it.
type BeforeRow = (Option<i64>, Option<String>, Option<String>, Option<bool>, Option<i64>);

impl Tally {
    /// A row is there now.
    pub(crate) fn is(&mut self, partition: i64, definition: &str, status: &str, paused: bool) {
        self.add(partition, definition, status, paused, 1);
    }

    /// A row was there before, if it was.
    pub(crate) fn was(&mut self, before: Value) {
        let Ok(before) = BeforeRow::from_value(before) else { return };
        if let (Some(partition), Some(definition), Some(status), Some(paused), Some(VIEW_VERSION)) = before {
            self.add(partition, &definition, &status, paused, -1);
        }
    }

    /// A row of `completed` is there now.
    pub(crate) fn is_completed(&mut self, partition: PartitionId, definition: &str) {
        self.add(partition.0.into(), definition, SagaStatus::Completed.as_str(), false, 1);
    }

    /// A row of `completed` was there before.
    pub(crate) fn was_completed(&mut self, partition: PartitionId, definition: &str) {
        self.add(partition.0.into(), definition, SagaStatus::Completed.as_str(), false, -1);
    }

    fn add(&mut self, partition: i64, definition: &str, status: &str, paused: bool, by: i64) {
        let (count, of_them) = self.0.entry((partition, definition.to_owned(), status.to_owned())).or_default();
        *count += by;
        *of_them += if paused { by } else { 0 };
    }

    /// Moves the counters.
    pub(crate) async fn write(self, transaction: &Transaction) -> Result<(), DatabaseError> {
        let moved = self.0.into_iter().filter(|(_, by)| *by != (0, 0));
        for ((partition, definition, status), (count, paused)) in moved {
            let statement = "UPSERT type::record('tally', [$partition, $definition, $status])
                SET count += $count, paused += $paused RETURN NONE";
            let bindings = json!({"partition": partition, "definition": definition, "status": status,
                "count": count, "paused": paused});
            transaction.query(statement, bindings).await?;
        }
        Ok(())
    }
}

/// A counter as it is read.
#[derive(Debug, Deserialize)]
struct Counter {
    definition: String,
    status: String,
    count: i64,
    paused: i64,
}

/// All counters, added up.
pub(crate) async fn counts(database: &Database) -> Result<SagaCounts, StoreError> {
    let doing = "counting sagas";
    let statement =
        "SELECT id[1] AS definition, id[2] AS status, math::sum(count) AS count, math::sum(paused) AS paused
        FROM tally GROUP BY definition, status";
    let counters: Vec<Counter> = database
        .query(statement, ())
        .await
        .and_then(|mut rows| rows.take(0))
        .map_err(|error| unavailable(doing, &error))?;
    let mut of_all: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut of_each: BTreeMap<&str, BTreeMap<&str, (u64, u64)>> = BTreeMap::new();
    for counter in &counters {
        let by = (u64::try_from(counter.count).unwrap_or(0), u64::try_from(counter.paused).unwrap_or(0));
        for (count, paused) in [
            of_all.entry(&counter.status).or_default(),
            of_each.entry(&counter.definition).or_default().entry(&counter.status).or_default(),
        ] {
            *count += by.0;
            *paused += by.1;
        }
    }
    let definitions = of_each.into_iter().map(|(definition, statuses)| DefinitionCounts {
        definition: definition.to_owned(),
        total: statuses.values().map(|(count, _)| count).sum(),
        statuses: in_order(&statuses).filter(|status| status.count > 0).collect(),
    });
    Ok(SagaCounts {
        total: of_all.values().map(|(count, _)| count).sum(),
        statuses: in_order(&of_all).collect(),
        definitions: definitions.filter(|definition| definition.total > 0).collect(),
        complete: rekey::is_done(database).await?,
    })
}

/// Every status, in the order people list them. One that this version does not know stands in the totals only.
fn in_order(counts: &BTreeMap<&str, (u64, u64)>) -> impl Iterator<Item = StatusCount> {
    SagaStatus::ALL.into_iter().map(|status| {
        let (count, paused) = counts.get(status.as_str()).copied().unwrap_or_default();
        StatusCount { status, count, paused }
    })
}

/// How many sagas have one of some statuses, all when none is named, and a definition.
pub(crate) async fn count_of(
    database: &Database,
    statuses: &[SagaStatus],
    definition: Option<&str>,
) -> Result<Option<u64>, StoreError> {
    let counts = counts(database).await?;
    if !counts.complete {
        return Ok(None);
    }
    let of_statuses = match definition {
        None => counts.statuses,
        Some(name) => {
            let found = counts.definitions.into_iter().find(|definition| definition.definition == name);
            found.map(|definition| definition.statuses).unwrap_or_default()
        }
    };
    let asked = of_statuses.iter().filter(|of| statuses.is_empty() || statuses.contains(&of.status));
    Ok(Some(asked.map(|of| of.count).sum()))
}
