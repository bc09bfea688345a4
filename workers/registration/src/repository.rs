//! Where registrations are kept: the only SurrealQL of this context.
//!
//! `policy` has one row per event, which every change of seats or queue writes: two that change at once collide there, and one
//! of them runs again. That is what keeps an event from being oversold. Around it: `registration` (each aggregate as one
//! object, next to what is searched by), `active` (one row per event and person who has an active registration), `queue`
//! (`[event, ticket]`, so that a position is a count of keys and never has to be shifted) and `free_seat` (`[event, seat]`, the
//! numbers given back, lowest first).

use std::collections::BTreeMap;

use amends_schemas::ids::{EventId, RegistrationId};
use amends_sdk::database::{Database, DatabaseError};
use amends_sdk::{Paging, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::domain::{CapacityPolicy, Place, Registration, RegistrationStatus, Shown};

/// Tables and indexes.
pub const SCHEMA: &str = "
    DEFINE TABLE IF NOT EXISTS policy SCHEMALESS;
    DEFINE TABLE IF NOT EXISTS registration SCHEMALESS;
    DEFINE INDEX IF NOT EXISTS registration_hold ON registration FIELDS hold_us;
    DEFINE INDEX IF NOT EXISTS registration_event_hold ON registration FIELDS event_id, hold_us;
    DEFINE INDEX IF NOT EXISTS registration_made ON registration FIELDS made;
    DEFINE INDEX IF NOT EXISTS registration_event_made ON registration FIELDS event_id, made;
    DEFINE INDEX IF NOT EXISTS registration_shown_made ON registration FIELDS shown, made;
    DEFINE INDEX IF NOT EXISTS registration_event_shown_made ON registration FIELDS event_id, shown, made;
    DEFINE TABLE IF NOT EXISTS active SCHEMALESS;
    DEFINE TABLE IF NOT EXISTS queue SCHEMALESS;
    DEFINE TABLE IF NOT EXISTS free_seat SCHEMALESS;
";

/// One registration. A field of a record costs half of what a `SELECT` of it does, which is planned anew each time.
const OF_ID: &str = "RETURN type::record('registration', $registration_id).registration;";

#[derive(Deserialize)]
struct RegistrationRow {
    registration: Registration,
}

#[derive(Deserialize)]
struct CountRow {
    n: u32,
}

/// What a reservation is decided upon.
#[derive(Debug)]
pub struct Door {
    /// The event's capacity, when the event is known here.
    pub policy: Option<CapacityPolicy>,
    /// The registration itself, when it has been here before.
    pub known: Option<Registration>,
    /// The person's active registration for the event.
    pub active: Option<RegistrationId>,
    /// The lowest seat that was given back.
    pub lowest_free: Option<u32>,
}

/// Reads what a reservation is decided upon.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn door(
    work: &mut UnitOfWork,
    registration_id: RegistrationId,
    event_id: EventId,
    identity: &str,
) -> Result<Door, DatabaseError> {
    #[derive(Deserialize)]
    struct FreeSeat {
        seat: u32,
    }
    let mut rows = work
        .query(
            "RETURN type::record('policy', $event_id).policy;
             RETURN type::record('registration', $registration_id).registration;
             RETURN type::record('active', [$event_id, $identity]).registration_id;
             SELECT seat FROM type::record('free_seat', [$event_id, 0]..=[$event_id, $seat_max]) LIMIT 1;",
            json!({
                "event_id": event_id,
                "registration_id": registration_id,
                "identity": identity,
                "seat_max": u32::MAX,
            }),
        )
        .await?;
    Ok(Door {
        policy: rows.take_first(0)?,
        known: rows.take_first(1)?,
        active: rows.take_first(2)?,
        lowest_free: rows.take_first::<FreeSeat>(3)?.map(|row| row.seat),
    })
}

/// Reads a registration and its event's capacity within the transaction.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn load(
    work: &mut UnitOfWork,
    registration_id: RegistrationId,
) -> Result<Option<Registration>, DatabaseError> {
    work.query(OF_ID, json!({ "registration_id": registration_id })).await?.take_first(0)
}

/// Reads the capacity of an event within the transaction.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn load_policy(work: &mut UnitOfWork, event_id: EventId) -> Result<Option<CapacityPolicy>, DatabaseError> {
    work.query("RETURN type::record('policy', $event_id).policy;", json!({ "event_id": event_id })).await?.take_first(0)
}

/// Stores the capacity of an event.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn save_policy(work: &mut UnitOfWork, policy: &CapacityPolicy) -> Result<(), DatabaseError> {
    work.query(
        "UPSERT type::record('policy', $policy.event_id) CONTENT { policy: $policy } RETURN NONE;",
        json!({ "policy": policy }),
    )
    .await?;
    Ok(())
}

#[derive(Serialize)]
struct NewRow<'a> {
    registration: &'a Registration,
    registration_id: RegistrationId,
    event_id: EventId,
    shown: &'static str,
    /// Orders by age; one column, so that a page is one walk along an index.
    made: String,
    /// Zero when nothing is held.
    hold_us: i64,
}

/// Stores a registration, new or changed.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn save(work: &mut UnitOfWork, registration: &Registration) -> Result<(), DatabaseError> {
    let held = registration.hold_expires_at.filter(|_| registration.status == RegistrationStatus::Held);
    let row = NewRow {
        registration,
        registration_id: registration.registration_id,
        event_id: registration.event_id,
        shown: registration.shown().as_str(),
        made: position(registration),
        hold_us: held.map_or(0, |until| until.timestamp_micros()),
    };
    work.query(
        "UPSERT type::record('registration', $row.registration_id) CONTENT $row RETURN NONE;",
        json!({ "row": row }),
    )
    .await?;
    Ok(())
}

/// Stores an admission: the registration, the person's key, the place that is taken, and the capacity it was taken from.
///
/// # Errors
/// As [`UnitOfWork::query`]; a second active registration of the same person is `AlreadyExists` or a conflict.
pub async fn save_admitted(
    work: &mut UnitOfWork,
    policy: &CapacityPolicy,
    registration: &Registration,
) -> Result<(), DatabaseError> {
    save_policy(work, policy).await?;
    save(work, registration).await?;
    let (place, number) = match registration.place {
        Some(Place::Seat(seat)) => ("DELETE type::record('free_seat', [$event_id, $number]) RETURN NONE;", seat.into()),
        Some(Place::Queue(ticket)) => (
            "CREATE type::record('queue', [$event_id, $number]) CONTENT { registration_id: $registration_id } RETURN NONE;",
            ticket,
        ),
        None => ("", 0_u64),
    };
    let statements = format!(
        "CREATE type::record('active', [$event_id, $identity]) CONTENT {{ registration_id: $registration_id }} RETURN NONE;
         {place}"
    );
    let bindings = json!({
        "event_id": registration.event_id,
        "registration_id": registration.registration_id,
        "identity": registration.attendee.identity(),
        "number": number,
    });
    work.query(&statements, bindings).await?;
    Ok(())
}

/// Stores that a place was given back: the registration that had it, the pile or queue it came from, the person's key, and the
/// capacity it goes back to.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn save_freed(
    work: &mut UnitOfWork,
    policy: &CapacityPolicy,
    registration: &Registration,
    place: Place,
) -> Result<(), DatabaseError> {
    save_policy(work, policy).await?;
    save(work, registration).await?;
    let (statement, number) = match place {
        Place::Seat(seat) => (
            "UPSERT type::record('free_seat', [$event_id, $number]) CONTENT { seat: $number } RETURN NONE;",
            seat.into(),
        ),
        Place::Queue(ticket) => ("DELETE type::record('queue', [$event_id, $number]) RETURN NONE;", ticket),
    };
    let statements = format!("DELETE type::record('active', [$event_id, $identity]) RETURN NONE; {statement}");
    let bindings = json!({
        "event_id": registration.event_id,
        "identity": registration.attendee.identity(),
        "number": number,
    });
    work.query(&statements, bindings).await?;
    Ok(())
}

/// At most `limit` registrations whose hold has run out, longest ago first.
///
/// # Errors
/// As [`Database::query`].
pub async fn expired_holds(
    database: &Database,
    now: DateTime<Utc>,
    limit: usize,
) -> Result<Vec<Registration>, DatabaseError> {
    let rows: Vec<RegistrationRow> = database
        .query(
            "SELECT registration, hold_us FROM registration WHERE hold_us > 0 AND hold_us <= $now_us
             ORDER BY hold_us LIMIT $limit;",
            json!({ "now_us": now.timestamp_micros(), "limit": limit }),
        )
        .await?
        .take(0)?;
    Ok(rows.into_iter().map(|row| row.registration).collect())
}

/// Reads a registration outside any transaction.
///
/// # Errors
/// As [`Database::query`].
pub async fn read(database: &Database, registration_id: RegistrationId) -> Result<Option<Registration>, DatabaseError> {
    database.query(OF_ID, json!({ "registration_id": registration_id })).await?.take_first(0)
}

/// The capacity of an event and how many of its seats are confirmed: those taken less those merely held, which are few at any
/// moment. In one transaction, so that both are of one moment.
///
/// # Errors
/// As [`UnitOfWork::query`].
pub async fn availability(
    work: &mut UnitOfWork,
    event_id: EventId,
) -> Result<Option<(CapacityPolicy, u32)>, DatabaseError> {
    let mut rows = work
        .query(
            "RETURN type::record('policy', $event_id).policy;
             SELECT count() AS n FROM registration WHERE event_id = $event_id AND hold_us > 0 GROUP ALL;",
            json!({ "event_id": event_id }),
        )
        .await?;
    let held = rows.take_first::<CountRow>(1)?.map_or(0, |row| row.n);
    let policy: Option<CapacityPolicy> = rows.take_first(0)?;
    Ok(policy.map(|policy| {
        let confirmed = policy.taken.saturating_sub(held);
        (policy, confirmed)
    }))
}

/// Where a registration stands in lists: text that sorts by age. Sixteen digits of microseconds last until the year 2286.
pub fn position(registration: &Registration) -> String {
    format!("{:016}.{}", registration.created_at.timestamp_micros().unsigned_abs(), registration.registration_id)
}

/// The registrations of a page, newest first: of one event, or that read so, or all.
///
/// # Errors
/// As [`Database::query`].
pub async fn page(
    database: &Database,
    event_id: Option<EventId>,
    shown: Option<Shown>,
    paging: &Paging,
) -> Result<Vec<Registration>, DatabaseError> {
    let of_event = if event_id.is_some() { "event_id = $event_id AND" } else { "" };
    let so_shown = if shown.is_some() { "shown = $shown AND" } else { "" };
    let statement = format!(
        "SELECT registration, made FROM registration WHERE {of_event} {so_shown} made < $before
         ORDER BY made DESC LIMIT $limit;"
    );
    let bindings = json!({
        "event_id": event_id,
        "shown": shown.map(Shown::as_str),
        "before": paging.before(),
        "limit": paging.row_limit(),
    });
    let rows: Vec<RegistrationRow> = database.query(&statement, bindings).await?.take(0)?;
    Ok(rows.into_iter().map(|row| row.registration).collect())
}

/// The present positions of those registrations that wait, counted from one.
///
/// Each queue is walked once, however many of its people are asked for: from one ticket asked for to the next.
///
/// # Errors
/// As [`Database::query`].
pub async fn queue_positions(
    database: &Database,
    registrations: &[Registration],
) -> Result<BTreeMap<RegistrationId, u32>, DatabaseError> {
    let mut waiting: Vec<(EventId, u64, RegistrationId)> = registrations
        .iter()
        .filter_map(|registration| match registration.place {
            Some(Place::Queue(ticket)) => Some((registration.event_id, ticket, registration.registration_id)),
            Some(Place::Seat(_)) | None => None,
        })
        .collect();
    waiting.sort_unstable();
    waiting.dedup();
    if waiting.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut statements = String::new();
    let mut bindings = Map::new();
    let mut before: Option<(EventId, u64)> = None;
    for (at, (event_id, ticket, _)) in waiting.iter().enumerate() {
        let from = before.filter(|(event, _)| event == event_id).map_or(0, |(_, ticket)| ticket + 1);
        statements.push_str(&format!(
            "SELECT count() AS n FROM queue:[$event_{at}, $from_{at}]..=[$event_{at}, $to_{at}] GROUP ALL;"
        ));
        bindings.insert(format!("event_{at}"), json!(event_id));
        bindings.insert(format!("from_{at}"), json!(from));
        bindings.insert(format!("to_{at}"), json!(ticket));
        before = Some((*event_id, *ticket));
    }
    let mut rows = database.query(&statements, Value::Object(bindings)).await?;
    let mut positions = BTreeMap::new();
    let mut ahead: Option<(EventId, u32)> = None;
    for (at, (event_id, _, registration_id)) in waiting.iter().enumerate() {
        let earlier = ahead.filter(|(event, _)| event == event_id).map_or(0, |(_, count)| count);
        let position = earlier + rows.take_first::<CountRow>(at)?.map_or(0, |row| row.n);
        positions.insert(*registration_id, position);
        ahead = Some((*event_id, position));
    }
    Ok(positions)
}
