//! The inbox: what was answered under which idempotency key, which events were heard. SurrealQL of the `inbox` table stands here,
//! and what sweeps it and the tables of dead letters.
//!
//! A row is inserted in the transaction of the change it speaks of, if there is one, and never written over: of two that would answer the
//! same key one fails, and looks here again before it does anything else. That is what makes a `do` and an `undo` without `do` exclude
//! each other: both create the row of the `do` key.

mod gathered;

use std::collections::HashMap;
use std::time::Duration;

use amends_database::{Database, DatabaseError, bind_records};
use amends_schemas::command::{Operation, StepError, StepResult};
use amends_schemas::topology::EVENT_AGE_MAX;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use self::gathered::Inbox;
use crate::dead_letters::{DEAD_LETTER_AGE_MAX, SUSPECT_AGE_MAX};

/// Tables of this file. Schemaless: the results are JSON in one string, which costs a third of nested values.
pub(crate) const SCHEMA: &str = "
    DEFINE TABLE IF NOT EXISTS inbox SCHEMALESS;
";

/// Creates rows, all or none; refused when one is there already.
pub(crate) const INSERT: &str = "INSERT INTO inbox $inbox RETURN NONE;";

/// How long a step's result is remembered. Far beyond the deadline of any saga; afterwards a `do` sent again would be done again,
/// and an `undo` relies on the output that the orchestrator sends along.
pub const STEP_KEY_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long an event's id is remembered: as long as the event can come again, and a day for clocks and pauses.
pub const EVENT_KEY_AGE_MAX: Duration = Duration::from_secs(EVENT_AGE_MAX.as_secs() + 24 * 3600);

/// What is remembered under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(crate) enum Recorded {
    /// It happened, or was undone (then without output).
    Succeeded {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<String>,
        #[serde(default)]
        output: Value,
    },
    /// It did not and will not happen.
    Failed { error: StepError },
    /// Under a `do` key: the undo came first, and the `do` is refused.
    Tombstone,
    /// Under an event's key.
    Heard,
}

impl Recorded {
    /// What a `do` or a `probe` of this key is answered.
    pub(crate) fn answer(self) -> StepResult {
        match self {
            Self::Succeeded { outcome, output } => StepResult::Succeeded { outcome, output },
            Self::Failed { error } => StepResult::Failed { error },
            Self::Tombstone | Self::Heard => StepResult::Failed {
                error: StepError::new("undone_before", "Its undo came first; it was not and will not be done."),
            },
        }
    }
}

/// A row to be created.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct InboxRow {
    id: String,
    kind: &'static str,
    result: String,
    at_ms: i64,
}

impl InboxRow {
    /// The result of a step's operation. A probe that finds the step done is recorded as the `do` it found.
    pub(crate) fn step(key: String, operation: Operation, recorded: &Recorded, now: DateTime<Utc>) -> Self {
        let kind = match operation {
            Operation::Do | Operation::Probe => "do",
            Operation::Undo => "undo",
        };
        Self::new(key, kind, recorded, now)
    }

    /// An event that was heard.
    pub(crate) fn event(id: Uuid, now: DateTime<Utc>) -> Self {
        Self::new(event_key(id), "event", &Recorded::Heard, now)
    }

    fn new(id: String, kind: &'static str, recorded: &Recorded, now: DateTime<Utc>) -> Self {
        let result = serde_json::to_string(recorded).expect("what is recorded has string keys only");
        Self { id, kind, result, at_ms: now.timestamp_millis() }
    }
}

/// The key of an event in the inbox.
pub(crate) fn event_key(id: Uuid) -> String {
    format!("event/{id}")
}

/// What is recorded under a key, if anything.
async fn find(database: &Database, key: &str) -> Result<Option<Recorded>, DatabaseError> {
    // A field of a record costs half of what a `SELECT` of it does.
    let mut rows = database.query("RETURN type::record('inbox', $key).result", json!({ "key": key })).await?;
    Ok(rows.take_first::<String>(0)?.map(|result| recorded(&result)))
}

/// What is recorded under these keys; nothing for those that are not there.
async fn find_many(database: &Database, keys: &[&str]) -> Result<HashMap<String, Recorded>, DatabaseError> {
    if let [key] = keys {
        return Ok(find(database, key).await?.map(|recorded| ((*key).to_owned(), recorded)).into_iter().collect());
    }
    #[derive(Deserialize)]
    struct Row {
        key: String,
        result: Option<String>,
    }
    let statement = "SELECT record::id(id) AS key, result FROM $rows";
    let keys = bind_records("rows", "inbox", keys.iter().copied());
    let rows: Vec<Row> = database.query_values(statement, keys).await?.take(0)?;
    Ok(rows.into_iter().filter_map(|row| Some((row.key, recorded(&row.result?)))).collect())
}

fn recorded(result: &str) -> Recorded {
    serde_json::from_str(result).unwrap_or_else(|error| {
        // A newer version wrote it: refusing is safe, doing it again would not be.
        Recorded::Failed { error: StepError::new("inbox_unreadable", error.to_string()) }
    })
}

/// Creates rows, all or none, in a commit of their own: a statement outside a transaction is one.
async fn record<R: Serialize>(database: &Database, rows: &[R]) -> Result<(), DatabaseError> {
    database.query(INSERT, json!({ "inbox": rows })).await.map(drop)
}

/// Walks over one batch of a table of this file and deletes what is too old. Answers where to go on, `None` at the end. There is no
/// index on the age on purpose: it would be written with every command, to be read once a day.
pub(crate) async fn sweep(
    database: &Database,
    table: SweptTable,
    after: &str,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Option<String>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        #[serde(default)]
        kind: Option<String>,
        at_ms: i64,
    }
    let name = table.name();
    let statement = format!(
        "SELECT record::id(id) AS id, kind, first_at_ms ?? at_ms AS at_ms FROM type::record('{name}', $after>..) LIMIT $limit"
    );
    let rows: Vec<Row> = database.query(&statement, json!({ "after": after, "limit": limit })).await?.take(0)?;
    let old: Vec<&str> = rows
        .iter()
        .filter(|row| {
            let keep = match (table, row.kind.as_deref()) {
                (SweptTable::DeadLetter, _) => DEAD_LETTER_AGE_MAX,
                (SweptTable::Suspect, _) => SUSPECT_AGE_MAX,
                (SweptTable::Inbox, Some("event")) => EVENT_KEY_AGE_MAX,
                (SweptTable::Inbox, Some(_) | None) => STEP_KEY_AGE_MAX,
            };
            now.timestamp_millis() - row.at_ms > keep.as_millis() as i64
        })
        .map(|row| row.id.as_str())
        .collect();
    if !old.is_empty() {
        database.query_values("DELETE $old RETURN NONE", bind_records("old", name, old)).await?;
    }
    Ok(if rows.len() < limit { None } else { rows.into_iter().next_back().map(|row| row.id) })
}

/// What [`sweep`] walks over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SweptTable {
    Inbox,
    DeadLetter,
    Suspect,
}

impl SweptTable {
    const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::DeadLetter => "dead_letter",
            Self::Suspect => "suspect",
        }
    }
}

#[cfg(test)]
mod tests {
    use amends_database::Location;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_old_is_forgotten_each_kind_in_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Embedded(folder.path().join("db"));
        let database = Database::open(&location, "amends", "inbox").await.unwrap();
        database.query(SCHEMA, ()).await.unwrap();
        let now = Utc::now();
        let days = |days: u64| now - Duration::from_secs(days * 24 * 3600);
        let undone = Recorded::Succeeded { outcome: None, output: Value::Null };
        let mut rows: Vec<InboxRow> = vec![
            InboxRow::step("old".to_owned(), Operation::Do, &Recorded::Tombstone, days(31)),
            InboxRow::step("young".to_owned(), Operation::Undo, &undone, days(29)),
        ];
        let (old_event, young_event) = (Uuid::now_v7(), Uuid::now_v7());
        rows.extend([InboxRow::event(old_event, days(9)), InboxRow::event(young_event, days(7))]);
        record(&database, &rows).await.unwrap();

        let (mut after, mut batches) = (String::new(), 0);
        while let Some(next) = sweep(&database, SweptTable::Inbox, &after, 3, now).await.unwrap() {
            after = next;
            batches += 1;
        }
        assert_eq!(batches, 1, "four rows are one full batch of three and a rest");
        assert_eq!(find(&database, "old").await.unwrap(), None);
        assert_eq!(find(&database, "young").await.unwrap(), Some(undone));
        assert_eq!(find(&database, &event_key(old_event)).await.unwrap(), None);
        assert_eq!(find(&database, &event_key(young_event)).await.unwrap(), Some(Recorded::Heard));
    }
}
