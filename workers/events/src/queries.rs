//! What is asked of the catalog.

use amends_schemas::ids::EventId;
use amends_schemas::money::Money;
use amends_schemas::problem::Problem;
use amends_schemas::saga::Page;
use amends_schemas::tax::TaxRate;
use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, Paging, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{CancellationPolicy, Event, EventStatus, Organizer};
use crate::repository;

/// Names an event.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRef {
    /// Which.
    pub event_id: EventId,
}

/// An event, as it reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// Its id.
    pub event_id: EventId,
    /// Where it stands.
    pub status: EventStatus,
    /// What it is called.
    pub title: String,
    /// When it starts.
    pub starts_at: DateTime<Utc>,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
    /// IANA name of its time zone.
    pub timezone: &'static str,
    /// Seats.
    pub capacity: u32,
    /// Confirmed registrations the catalog has heard of; it may lag by moments.
    pub seats_sold: u32,
    /// What a seat costs.
    pub price: Option<Money>,
    /// A fraction.
    pub tax_rate: Option<TaxRate>,
    /// What is given back when a person cancels.
    pub cancellation: CancellationPolicy,
    /// Who invites.
    pub organizer: Option<Organizer>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts changes, from 1.
    pub version: u64,
}

impl EventView {
    /// As it reads.
    pub fn of(event: &Event, seats_sold: u32) -> Self {
        let particulars = event.particulars.clone();
        Self {
            event_id: event.event_id,
            status: event.status,
            title: particulars.title,
            starts_at: particulars.starts_at,
            ends_at: particulars.ends_at,
            timezone: particulars.timezone.name(),
            capacity: particulars.capacity,
            seats_sold,
            price: particulars.price,
            tax_rate: particulars.tax_rate,
            cancellation: particulars.cancellation,
            organizer: particulars.organizer,
            created_at: event.created_at,
            updated_at: event.updated_at,
            version: event.version,
        }
    }
}

/// There is no such event.
pub(crate) fn not_found(event_id: EventId) -> Problem {
    Problem::not_found("event_not_found", format!("there is no event {event_id}"))
}

/// `get`: one event.
#[derive(Debug)]
pub struct Get;

impl Endpoint for Get {
    const NAME: &'static str = "get";
    type Request = EventRef;
    type Response = EventView;

    async fn handle(&self, work: &mut UnitOfWork, request: EventRef) -> Result<EventView, EndpointError> {
        let event_id = request.event_id;
        let known = repository::read(work.database(), event_id).await?.ok_or_else(|| not_found(event_id))?;
        Ok(EventView::of(&known.stored.event, known.seats_sold))
    }
}

/// Asks for a page of events, newest first.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListEvents {
    /// Only these.
    #[serde(default)]
    pub status: Option<EventStatus>,
    /// Where the last page ended; opaque.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// `list`: a page of events.
#[derive(Debug)]
pub struct List;

impl Endpoint for List {
    const NAME: &'static str = "list";
    type Request = ListEvents;
    type Response = Page<EventView>;

    async fn handle(&self, work: &mut UnitOfWork, request: ListEvents) -> Result<Page<EventView>, EndpointError> {
        let question = json!(["events", request.status]);
        let paging = Paging::new(&question, request.cursor.as_deref(), request.limit)?;
        let found = repository::page(work.database(), request.status, &paging).await?;
        let Page { items, next_cursor } = paging.page(found, |known| repository::position(&known.stored.event));
        let items = items.iter().map(|known| EventView::of(&known.stored.event, known.seats_sold)).collect();
        Ok(Page { items, next_cursor })
    }
}
