//! Changes what an organiser says about an event.

use amends_schemas::ids::EventId;
use amends_schemas::money::Money;
use amends_schemas::problem::Problem;
use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{given, problem, unsound};
use crate::domain::{CancellationPolicy, Changed, Changes, EventStatus, GivenRate, Organizer};
use crate::queries::{EventView, not_found};
use crate::{events, repository};

/// Only what changes; `null` takes away a price, a tax rate or an organizer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateEvent {
    /// Which.
    pub event_id: EventId,
    /// The title.
    #[serde(default)]
    pub title: Option<String>,
    /// The start.
    #[serde(default)]
    pub starts_at: Option<DateTime<Utc>>,
    /// The end.
    #[serde(default)]
    pub ends_at: Option<DateTime<Utc>>,
    /// The time zone.
    #[serde(default)]
    pub timezone: Option<String>,
    /// The seats.
    #[serde(default)]
    pub capacity: Option<u32>,
    /// The price.
    #[serde(default, deserialize_with = "given::nullable")]
    pub price: Option<Option<Money>>,
    /// The tax rate.
    #[serde(default, deserialize_with = "given::nullable")]
    pub tax_rate: Option<Option<GivenRate>>,
    /// What is given back.
    #[serde(default)]
    pub cancellation: Option<CancellationPolicy>,
    /// Who invites.
    #[serde(default, deserialize_with = "given::nullable")]
    pub organizer: Option<Option<Organizer>>,
}

impl UpdateEvent {
    fn changes(self) -> Result<Changes, Problem> {
        let mut faults = Vec::new();
        let changes = Changes {
            title: self.title,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            timezone: self.timezone.and_then(|name| given::timezone(&name, &mut faults)),
            capacity: self.capacity,
            price: self.price,
            tax_rate: self.tax_rate.map(|rate| rate.and_then(|rate| given::tax_rate(&rate, &mut faults))),
            cancellation: self.cancellation,
            organizer: self.organizer,
        };
        if faults.is_empty() { Ok(changes) } else { Err(unsound(faults)) }
    }
}

/// `update`. Once public, every change is told as `EventUpdated.v1`.
#[derive(Debug)]
pub struct Update;

impl Endpoint for Update {
    const NAME: &'static str = "update";
    type Request = UpdateEvent;
    type Response = EventView;

    async fn handle(&self, work: &mut UnitOfWork, request: UpdateEvent) -> Result<EventView, EndpointError> {
        let event_id = request.event_id;
        let changes = request.changes()?;
        let known = repository::load(work, event_id).await?.ok_or_else(|| not_found(event_id))?;
        let mut event = known.stored.event;
        match event.update(changes, known.seats_sold, work.now()).map_err(problem)? {
            Changed::No => {}
            Changed::Yes => {
                repository::save(work, &event, &known.stored.created_from, known.seats_sold).await?;
                // A draft is its organiser's own; the others hear of it when it is published.
                if event.status != EventStatus::Draft {
                    events::publish(work, events::EVENT_UPDATED, &event);
                }
            }
        }
        Ok(EventView::of(&event, known.seats_sold))
    }
}
