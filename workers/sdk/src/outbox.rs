//! The outbox: events that are committed, and which of them are still to be published. SurrealQL of its tables stands here.
//!
//! An event is one row of `outbox`, written once and kept as long as the events stream would keep it, and a mark in `outbox_pending`
//! under the same id, gone once JetStream has acknowledged it. Ids are UUIDs of version 7 taken right before the commit: there is no
//! counter to collide on, and yet the rows of one aggregate lie in order of their `sequence`, because whoever makes the second
//! change of an aggregate has read the first one committed. Consumers compare sequences all the same.

use amends_database::{Database, DatabaseError, bind_records};
use amends_schemas::event::CloudEvent;
use amends_schemas::topology::EVENT_AGE_MAX;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::{NoContext, Timestamp, Uuid};

use crate::inbox::{self, InboxRow};

/// Tables of this file.
pub(crate) const SCHEMA: &str = "
    DEFINE TABLE IF NOT EXISTS outbox SCHEMALESS;
    DEFINE TABLE IF NOT EXISTS outbox_pending SCHEMALESS;
    DEFINE TABLE IF NOT EXISTS outbox_relay SCHEMALESS;
";

/// A unit of work's own rows: bindings, and what is done with them.
#[derive(Debug, Serialize)]
pub(crate) struct Writes<'a> {
    inbox: &'a [InboxRow],
    outbox: &'a [OutboxRow],
    pending: Vec<serde_json::Value>,
}

impl<'a> Writes<'a> {
    pub(crate) fn new(inbox: &'a [InboxRow], outbox: &'a [OutboxRow]) -> Self {
        Self { inbox, outbox, pending: outbox.iter().map(|row| json!({ "id": row.id })).collect() }
    }

    /// None for a list that is empty: a statement that does nothing costs as much as one that does something. Empty when both lists
    /// are.
    pub(crate) fn statements(&self) -> String {
        let mut statements = String::new();
        if !self.inbox.is_empty() {
            statements.push_str(inbox::INSERT);
        }
        if !self.outbox.is_empty() {
            statements.push_str("INSERT INTO outbox $outbox RETURN NONE;");
            statements.push_str("INSERT INTO outbox_pending $pending RETURN NONE;");
        }
        statements
    }
}

/// An event as it is stored: ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutboxRow {
    /// The event's id.
    pub(crate) id: Uuid,
    /// Its CloudEvents type.
    pub(crate) event_type: String,
    /// The event as it goes over the wire.
    pub(crate) event: String,
    /// The trace context of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
}

impl OutboxRow {
    pub(crate) fn new(event: &CloudEvent, traceparent: Option<String>) -> Self {
        let text = serde_json::to_string(event).expect("an event has string keys only");
        Self { id: event.id, event_type: event.event_type.clone(), event: text, traceparent }
    }
}

/// Events that wait to be published, oldest first, after `after` and created before `before`; at most `limit`.
pub(crate) async fn pending(
    database: &Database,
    after: &str,
    before: DateTime<Utc>,
    limit: usize,
) -> Result<Vec<OutboxRow>, DatabaseError> {
    let statement = "SELECT *, record::id(id) AS id FROM (
        SELECT VALUE type::record('outbox', record::id(id)) FROM type::record('outbox_pending', $after>..$before) LIMIT $limit
    )";
    let bindings = json!({ "after": after, "before": first_id_of(before), "limit": limit });
    database.query(statement, bindings).await?.take(0)
}

/// All events that are kept, oldest first, after `after`; at most `limit`.
pub(crate) async fn kept(database: &Database, after: &str, limit: usize) -> Result<Vec<OutboxRow>, DatabaseError> {
    let statement = "SELECT *, record::id(id) AS id FROM type::record('outbox', $after>..) LIMIT $limit";
    database.query(statement, json!({ "after": after, "limit": limit })).await?.take(0)
}

/// Marks events as published.
pub(crate) async fn mark_published(database: &Database, ids: &[Uuid]) -> Result<(), DatabaseError> {
    let pending = bind_records("pending", "outbox_pending", ids.iter().map(Uuid::to_string));
    database.query_values("DELETE $pending RETURN NONE", pending).await.map(drop)
}

/// The life of the events stream into which everything that is not pending was published.
pub(crate) async fn incarnation(database: &Database) -> Result<Option<String>, DatabaseError> {
    database.query("SELECT VALUE incarnation FROM type::record('outbox_relay', 'events')", ()).await?.take_first(0)
}

/// Remembers it.
pub(crate) async fn remember_incarnation(database: &Database, incarnation: &str) -> Result<(), DatabaseError> {
    let statement = "UPSERT type::record('outbox_relay', 'events') SET incarnation = $incarnation RETURN NONE";
    database.query(statement, json!({ "incarnation": incarnation })).await.map(drop)
}

/// Deletes one batch of events that are published and too old for the stream. Answers whether there may be more.
pub(crate) async fn delete_old(database: &Database, limit: usize, now: DateTime<Utc>) -> Result<bool, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        pending: bool,
    }
    let statement =
        "SELECT record::id(id) AS id, record::exists(type::record('outbox_pending', record::id(id))) AS pending
        FROM type::record('outbox', ..$before) LIMIT $limit";
    let bindings = json!({ "before": first_id_of(now - EVENT_AGE_MAX), "limit": limit });
    let rows: Vec<Row> = database.query(statement, bindings).await?.take(0)?;
    let old: Vec<&str> = rows.iter().filter(|row| !row.pending).map(|row| row.id.as_str()).collect();
    if old.is_empty() {
        return Ok(false);
    }
    database.query_values("DELETE $old RETURN NONE", bind_records("old", "outbox", old)).await?;
    Ok(rows.len() == limit)
}

/// The least id that could have been made at a time.
fn first_id_of(at: DateTime<Utc>) -> String {
    let (seconds, nanoseconds) = (at.timestamp().max(0) as u64, at.timestamp_subsec_nanos());
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanoseconds));
    // The random part is cut off: the first 48 bits are milliseconds.
    id.to_string().chars().take(13).collect()
}

#[cfg(test)]
mod tests {
    use amends_database::Location;
    use std::time::Duration;

    use super::*;

    fn row(at: DateTime<Utc>) -> OutboxRow {
        let (seconds, nanoseconds) = (at.timestamp() as u64, at.timestamp_subsec_nanos());
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanoseconds));
        OutboxRow { id, event_type: "lab.Poured.v1".to_owned(), event: "{}".to_owned(), traceparent: None }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn events_are_read_in_order_marked_and_deleted_when_old_unless_they_wait() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Embedded(folder.path().join("db"));
        let database = Database::open(&location, "amends", "outbox").await.unwrap();
        database.query(SCHEMA, ()).await.unwrap();
        database.query(crate::inbox::SCHEMA, ()).await.unwrap();
        let now = Utc::now();
        let (day, minute) = (Duration::from_secs(24 * 3600), Duration::from_secs(60));
        let rows = [row(now - 9 * day), row(now - 8 * day), row(now - 6 * day), row(now - minute), row(now + minute)];
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let writes = Writes::new(&[], &rows);
        database.query(&writes.statements(), &writes).await.unwrap();

        let found = |rows: Vec<OutboxRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(found(pending(&database, "", now, 10).await.unwrap()), ids[..4], "not those of this moment");
        assert_eq!(found(pending(&database, &ids[0].to_string(), now, 2).await.unwrap()), ids[1..3]);
        mark_published(&database, &[ids[0], ids[2], ids[4]]).await.unwrap();
        assert_eq!(found(pending(&database, "", now + 2 * minute, 10).await.unwrap()), [ids[1], ids[3]]);

        assert!(delete_old(&database, 1, now).await.unwrap(), "one batch of one, and there may be more");
        assert!(!delete_old(&database, 1, now).await.unwrap(), "the next one waits still");
        assert_eq!(found(kept(&database, "", 10).await.unwrap()), ids[1..]);
        assert_eq!(found(kept(&database, &ids[2].to_string(), 1).await.unwrap()), [ids[3]]);

        assert_eq!(incarnation(&database).await.unwrap(), None);
        remember_incarnation(&database, "one").await.unwrap();
        remember_incarnation(&database, "two").await.unwrap();
        assert_eq!(incarnation(&database).await.unwrap().as_deref(), Some("two"));
    }
}
