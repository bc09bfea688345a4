//! Where the catalog is kept: the only SurrealQL of this context.
//!
//! `event` holds each aggregate as one object, next to what is searched by. `seat` remembers, per registration, the newest
//! fact heard of it; `sold` counts those that are confirmed. A change of an event touches its `sold` record as well, so that
//! lowering the capacity and hearing of a sale cannot pass each other unseen.

use amends_schemas::ids::{EventId, RegistrationId};
use amends_sdk::database::{Database, DatabaseError, Rows};
use amends_sdk::{Paging, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{Event, EventStatus};

/// Tables and indexes.
pub const SCHEMA: &str = "
    DEFINE TABLE IF NOT EXISTS event SCHEMALESS;
    DEFINE INDEX IF NOT EXISTS event_made ON event FIELDS made;
    DEFINE INDEX IF NOT EXISTS event_status_made ON event FIELDS status, made;
    DEFINE INDEX IF NOT EXISTS event_due ON event FIELDS due_us;
    DEFINE TABLE IF NOT EXISTS sold SCHEMALESS;
    DEFINE TABLE IF NOT EXISTS seat SCHEMALESS;
";

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StoredEvent {
    /// The aggregate.
    pub event: Event,
    /// What it was created from, to tell a repeated request from another one.
    pub created_from: String,
}

#[derive(Serialize)]
struct Row<'a> {
    event: &'a Event,
    created_from: &'a str,
    event_id: EventId,
    status: &'static str,
    /// Orders by age; one column, so that a page is one walk along an index.
    made: String,
    /// When it will be over; zero when it does not go on.
    due_us: i64,
}

impl<'a> Row<'a> {
    fn of(event: &'a Event, created_from: &'a str) -> Self {
        let goes_on = matches!(event.status, EventStatus::Published | EventStatus::Closed);
        Self {
            event,
            created_from,
            event_id: event.event_id,
            status: event.status.as_str(),
            made: position(event),
            due_us: if goes_on { event.particulars.ends_at.timestamp_micros() } else { 0 },
        }
    }
}

#[derive(Deserialize)]
struct Sold {
    sold: u32,
}

/// An event and how many of its seats are sold.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The event.
    pub stored: StoredEvent,
    /// Confirmed registrations we have heard of.
    pub seats_sold: u32,
}

const LOAD: &str = "
    SELECT event, created_from FROM type::record('event', $event_id);
    SELECT sold FROM type::record('sold', $event_id);
";

fn loaded(rows: &mut Rows) -> Result<Option<Loaded>, DatabaseError> {
    let stored = rows.take_first::<StoredEvent>(0)?;
    let seats_sold = rows.take_first::<Sold>(1)?.map_or(0, |row| row.sold);
    Ok(stored.map(|stored| Loaded { stored, seats_sold }))
}

/// Reads an event within the transaction.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn load(work: &mut UnitOfWork, event_id: EventId) -> Result<Option<Loaded>, DatabaseError> {
    loaded(&mut work.query(LOAD, json!({ "event_id": event_id })).await?)
}

/// Reads an event outside any transaction.
///
/// # Errors
/// As [`Database::query`].
pub async fn read(database: &Database, event_id: EventId) -> Result<Option<Loaded>, DatabaseError> {
    loaded(&mut database.query(LOAD, json!({ "event_id": event_id })).await?)
}

/// Stores an event, new or changed. Writes its `sold` record too: that is what concurrent sales collide with.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn save(
    work: &mut UnitOfWork,
    event: &Event,
    created_from: &str,
    seats_sold: u32,
) -> Result<(), DatabaseError> {
    let row = Row::of(event, created_from);
    work.query(
        "UPSERT type::record('event', $row.event_id) CONTENT $row RETURN NONE;
         UPSERT type::record('sold', $row.event_id) CONTENT { sold: $sold, touched: $version } RETURN NONE;",
        json!({ "row": row, "sold": seats_sold, "version": event.version }),
    )
    .await?;
    Ok(())
}

/// Where an event stands in lists: text that sorts by age. Sixteen digits of microseconds last until the year 2286.
pub fn position(event: &Event) -> String {
    format!("{:016}.{}", event.created_at.timestamp_micros().unsigned_abs(), event.event_id)
}

/// The events of a page, newest first.
///
/// # Errors
/// As [`Database::query`].
pub async fn page(
    database: &Database,
    status: Option<EventStatus>,
    paging: &Paging,
) -> Result<Vec<Loaded>, DatabaseError> {
    let of_status = if status.is_some() { "status = $status AND" } else { "" };
    let statement = format!(
        "SELECT event, created_from, made, (type::record('sold', event_id).sold ?? 0) AS sold
         FROM event WHERE {of_status} made < $before ORDER BY made DESC LIMIT $limit;"
    );
    let bindings = json!({
        "status": status.map(EventStatus::as_str),
        "before": paging.before(),
        "limit": paging.row_limit(),
    });
    #[derive(Deserialize)]
    struct Listed {
        event: Event,
        created_from: String,
        sold: u32,
    }
    let rows: Vec<Listed> = database.query(&statement, bindings).await?.take(0)?;
    Ok(rows
        .into_iter()
        .map(|row| Loaded {
            stored: StoredEvent { event: row.event, created_from: row.created_from },
            seats_sold: row.sold,
        })
        .collect())
}

/// At most `limit` events that go on although their end has passed.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn overdue(work: &mut UnitOfWork, now: DateTime<Utc>, limit: usize) -> Result<Vec<Loaded>, DatabaseError> {
    #[derive(Deserialize)]
    struct Due {
        event_id: EventId,
    }
    let due: Vec<Due> = work
        .query(
            "SELECT event_id, due_us FROM event WHERE due_us > 0 AND due_us <= $now_us ORDER BY due_us LIMIT $limit;",
            json!({ "now_us": now.timestamp_micros(), "limit": limit }),
        )
        .await?
        .take(0)?;
    let mut events = Vec::with_capacity(due.len());
    for row in due {
        events.extend(load(work, row.event_id).await?);
    }
    Ok(events)
}

/// Takes in a fact about a registration: whether it now holds a sold seat. Facts older than what is known are passed over.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn note_sale(
    work: &mut UnitOfWork,
    event_id: EventId,
    registration_id: RegistrationId,
    sequence: u64,
    sold: bool,
) -> Result<(), DatabaseError> {
    #[derive(Deserialize)]
    struct Seat {
        sequence: u64,
        sold: bool,
    }
    let mut rows = work
        .query(
            "SELECT sequence, sold FROM type::record('seat', $registration_id);
             SELECT sold FROM type::record('sold', $event_id);",
            json!({ "registration_id": registration_id, "event_id": event_id }),
        )
        .await?;
    let known: Option<Seat> = rows.take_first(0)?;
    if known.as_ref().is_some_and(|seat| seat.sequence >= sequence) {
        return Ok(());
    }
    let before = rows.take_first::<Sold>(1)?.map_or(0, |row| row.sold);
    let after = match (known.is_some_and(|seat| seat.sold), sold) {
        (false, true) => before.saturating_add(1),
        (true, false) => before.saturating_sub(1),
        (true, true) | (false, false) => before,
    };
    work.query(
        "UPSERT type::record('seat', $registration_id) CONTENT { sequence: $sequence, sold: $sold } RETURN NONE;
         UPSERT type::record('sold', $event_id) SET sold = $after RETURN NONE;",
        json!({
            "registration_id": registration_id,
            "event_id": event_id,
            "sequence": sequence,
            "sold": sold,
            "after": after,
        }),
    )
    .await?;
    Ok(())
}
