//! Dead letters as they are kept: messages that could not be handled, what was wrong, and what people did with them. SurrealQL of the
//! `dead_letter` and `suspect` tables stands here.

use std::time::Duration;

use amends_database::{Database, DatabaseError};
use amends_schemas::contract::ContractName;
use amends_schemas::dead_letter::{DeadLetter, DeadLetterAct, DeadLetterStatus};
use amends_schemas::ids::SagaId;
use amends_schemas::topology::contract_of_subject;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Tables of this file. `position` is the id as text, to page by; rows of an earlier version are given theirs. A row of
/// `suspect` stands while a message is handled that has come several times.
pub(crate) const SCHEMA: &str = "
    DEFINE TABLE IF NOT EXISTS dead_letter SCHEMALESS;
    DEFINE INDEX IF NOT EXISTS dead_letter_by_position ON dead_letter FIELDS position;
    DEFINE TABLE IF NOT EXISTS suspect SCHEMALESS;
    UPDATE dead_letter SET position = record::id(id) WHERE position = NONE RETURN NONE;
";

/// How long a message is kept after it was first put aside: a day less than the inbox remembers what its command did before that, so that
/// publishing it again cannot do a thing twice.
pub const DEAD_LETTER_AGE_MAX: Duration = Duration::from_secs(crate::inbox::STEP_KEY_AGE_MAX.as_secs() - 24 * 3600);

/// How long after it was published again a message may be once more, unless it is dead again: the inbox remembers events no longer.
pub(crate) const REDRIVE_AGAIN_MAX: Duration = amends_schemas::topology::EVENT_AGE_MAX;

/// How long it is remembered that workers were lost with a message. Its next delivery comes within seconds, or never.
pub(crate) const SUSPECT_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// A message that is to be put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Burial {
    /// The same for every delivery of the message, and when it is published again. Sorts by the time of its first publication.
    pub(crate) id: String,
    /// Where it was published.
    pub(crate) subject: String,
    pub(crate) saga_id: Option<SagaId>,
    pub(crate) step: Option<String>,
    /// Stable, in `snake_case`.
    pub(crate) code: String,
    pub(crate) message: String,
    /// Whole; bytes that are no UTF-8 are replaced.
    pub(crate) payload: String,
    pub(crate) payload_bytes: usize,
    /// Whether the payload was UTF-8, so that what is kept is what came.
    pub(crate) whole: bool,
    pub(crate) traceparent: Option<String>,
    pub(crate) at_ms: i64,
}

/// A row. Those of an earlier version lack what has a default.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) subject: String,
    #[serde(default)]
    saga_id: Option<SagaId>,
    #[serde(default)]
    step: Option<String>,
    code: String,
    message: String,
    pub(crate) payload: String,
    payload_bytes: usize,
    #[serde(default)]
    pub(crate) whole: bool,
    #[serde(default)]
    pub(crate) traceparent: Option<String>,
    at_ms: i64,
    #[serde(default)]
    first_at_ms: Option<i64>,
    #[serde(default = "once")]
    times: u64,
    #[serde(default = "dead")]
    pub(crate) status: DeadLetterStatus,
    #[serde(default)]
    pub(crate) acts: Vec<Act>,
    /// Counts every change, so that who has read the row knows whether it still is so.
    #[serde(default)]
    revision: u64,
}

/// Something that was done with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Act {
    #[serde(flatten)]
    pub(crate) told: DeadLetterAct,
    /// Whether all of it is done: a message that was to be published again is in its stream.
    pub(crate) done: bool,
}

const fn once() -> u64 {
    1
}

const fn dead() -> DeadLetterStatus {
    DeadLetterStatus::Dead
}

impl Row {
    /// As people read it, with at most `bytes` of its payload.
    pub(crate) fn shown(self, context: &str, bytes: usize) -> DeadLetter {
        let time = |ms: i64| DateTime::from_timestamp_millis(ms).unwrap_or_default();
        let contract: Option<ContractName> = contract_of_subject(&self.subject);
        DeadLetter {
            id: self.id,
            context: context.to_owned(),
            status: self.status,
            subject: self.subject,
            contract,
            saga_id: self.saga_id,
            step: self.step,
            code: self.code,
            message: self.message,
            payload: first_bytes(self.payload, bytes),
            payload_bytes: self.payload_bytes,
            redrivable: self.whole,
            times: self.times,
            first_at: time(self.first_at_ms.unwrap_or(self.at_ms)),
            last_at: time(self.at_ms),
            acts: self.acts.into_iter().map(|act| act.told).collect(),
        }
    }
}

/// A text cut at a character.
fn first_bytes(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Puts a message aside. One that is there already is dead again, once more.
pub(crate) async fn record(database: &Database, burial: &Burial) -> Result<(), DatabaseError> {
    let statement = "
        UPSERT type::record('dead_letter', $letter.id) SET
            position = $letter.id, subject = $letter.subject, saga_id = $letter.saga_id, step = $letter.step, code = $letter.code,
            message = $letter.message, payload = $letter.payload, payload_bytes = $letter.payload_bytes,
            whole = $letter.whole, traceparent = $letter.traceparent, at_ms = $letter.at_ms,
            first_at_ms = first_at_ms ?? $letter.at_ms, times = (times ?? 0) + 1, acts = acts ?? [],
            status = IF status = 'discarded' THEN status ELSE 'dead' END, revision = (revision ?? 0) + 1
        RETURN NONE";
    database.query(statement, json!({ "letter": burial })).await.map(drop)
}

/// One of them.
pub(crate) async fn find(database: &Database, id: &str) -> Result<Option<Row>, DatabaseError> {
    let statement = "SELECT *, record::id(id) AS id FROM ONLY type::record('dead_letter', $id)";
    database.query(statement, json!({ "id": id })).await?.take_first(0)
}

/// Rows below a position, newest first.
pub(crate) async fn page(
    database: &Database,
    status: Option<DeadLetterStatus>,
    before: &str,
    limit: usize,
) -> Result<Vec<Row>, DatabaseError> {
    let of_status = if status.is_some() { "AND (status ?? 'dead') = $status" } else { "" };
    let statement = format!(
        "SELECT *, record::id(id) AS id FROM dead_letter WHERE position < $before {of_status}
         ORDER BY position DESC LIMIT $limit"
    );
    let bindings = json!({ "before": before, "limit": limit, "status": status });
    database.query(&statement, bindings).await?.take(0)
}

/// Sets where a letter stands and what was done with it, unless it has changed since `row` was read; then answers `false`.
pub(crate) async fn change(
    database: &Database,
    row: &Row,
    status: DeadLetterStatus,
    acts: &[Act],
) -> Result<bool, DatabaseError> {
    let statement = "
        UPDATE type::record('dead_letter', $id) SET status = $status, acts = $acts, revision = $revision + 1
        WHERE (revision ?? 0) = $revision RETURN VALUE revision";
    let bindings = json!({ "id": row.id, "status": status, "acts": acts, "revision": row.revision });
    let changed: Vec<u64> = database.query(statement, bindings).await?.take(0)?;
    Ok(!changed.is_empty())
}

/// Notes that a suspect message is about to be handled; how often it has been without an end, this time included.
pub(crate) async fn begin_suspect(database: &Database, id: &str, now: DateTime<Utc>) -> Result<u64, DatabaseError> {
    let statement = "
        UPSERT type::record('suspect', $id) SET times = (times ?? 0) + 1, at_ms = $at_ms RETURN VALUE times";
    let bindings = json!({ "id": id, "at_ms": now.timestamp_millis() });
    Ok(database.query(statement, bindings).await?.take_first(0)?.unwrap_or(1))
}

/// Notes that its handling has come to an end, whichever.
pub(crate) async fn end_suspect(database: &Database, id: &str) -> Result<(), DatabaseError> {
    database.query("DELETE type::record('suspect', $id) RETURN NONE", json!({ "id": id })).await.map(drop)
}

#[cfg(test)]
mod tests {
    use amends_database::Location;

    use super::*;

    fn burial(id: &str, code: &str, at_ms: i64) -> Burial {
        Burial {
            id: id.to_owned(),
            subject: "amends.cmd.lab.pour.v1".to_owned(),
            saga_id: None,
            step: None,
            code: code.to_owned(),
            message: "torn".to_owned(),
            payload: "é{".to_owned(),
            payload_bytes: 3,
            whole: true,
            traceparent: None,
            at_ms,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_letter_put_aside_twice_is_one_letter_and_what_was_done_with_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Embedded(folder.path().join("db"));
        let database = Database::open(&location, "amends", "letters").await.unwrap();
        database.query(SCHEMA, ()).await.unwrap();
        // As an earlier version wrote it.
        let old = json!({"subject": "amends.evt.a.B.v1", "code": "bug", "message": "m", "payload": "p", "payload_bytes": 1, "at_ms": 5});
        database.query("CREATE dead_letter:old CONTENT $old", json!({ "old": old })).await.unwrap();
        database.query(SCHEMA, ()).await.unwrap();
        for id in ["a1", "a2", "a3"] {
            record(&database, &burial(id, "first", 1_000)).await.unwrap();
        }
        let row = find(&database, "a2").await.unwrap().expect("it is there");
        let told = DeadLetterAct {
            operation_id: uuid::Uuid::nil(),
            verb: amends_schemas::dead_letter::DeadLetterVerb::Redrive,
            by: "ann".to_owned(),
            reason: "mended".to_owned(),
            at: DateTime::from_timestamp_millis(2_000).unwrap(),
        };
        let acts = [Act { told, done: false }];
        assert!(change(&database, &row, DeadLetterStatus::Redriven, &acts).await.unwrap());
        assert!(!change(&database, &row, DeadLetterStatus::Discarded, &[]).await.unwrap(), "it is another row by now");
        record(&database, &burial("a2", "second", 3_000)).await.unwrap();
        let row = find(&database, "a2").await.unwrap().expect("it is there");
        assert_eq!(
            (row.status, row.times, row.first_at_ms, row.at_ms),
            (DeadLetterStatus::Dead, 2, Some(1_000), 3_000)
        );
        assert_eq!((row.code.as_str(), row.acts.as_slice()), ("second", &acts[..]));
        assert_eq!(row.shown("lab", 2).payload, "é");

        let ids = |rows: Vec<Row>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(page(&database, None, "~", 10).await.unwrap()), ["old", "a3", "a2", "a1"]);
        assert_eq!(ids(page(&database, None, "a3", 1).await.unwrap()), ["a2"]);
        let row = find(&database, "old").await.unwrap().expect("it is there");
        assert_eq!((row.status, row.times, row.whole), (DeadLetterStatus::Dead, 1, false));
        assert!(change(&database, &row, DeadLetterStatus::Discarded, &[]).await.unwrap());
        record(&database, &burial("old", "again", 9_000)).await.unwrap();
        assert_eq!(
            ids(page(&database, Some(DeadLetterStatus::Discarded), "~", 10).await.unwrap()),
            ["old"],
            "for good"
        );
        assert_eq!(ids(page(&database, Some(DeadLetterStatus::Dead), "~", 10).await.unwrap()), ["a3", "a2", "a1"]);
    }
}
