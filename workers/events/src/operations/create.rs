//! Creates a draft.

use amends_schemas::ids::EventId;
use amends_schemas::money::Money;
use amends_schemas::problem::Problem;
use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{given, problem, unsound};
use crate::domain::{CancellationPolicy, Event, GivenRate, Organizer, Particulars};
use crate::queries::EventView;
use crate::repository;

/// An event to be. The id is the caller's, so that asking twice creates one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateEvent {
    /// Its id.
    pub event_id: EventId,
    /// What it is called.
    pub title: String,
    /// When it starts.
    pub starts_at: DateTime<Utc>,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
    /// IANA name of its time zone.
    pub timezone: String,
    /// Seats.
    pub capacity: u32,
    /// What a seat costs, tax included; none is free.
    #[serde(default)]
    pub price: Option<Money>,
    /// A fraction: 0.20 is 20 %.
    #[serde(default)]
    pub tax_rate: Option<GivenRate>,
    /// What is given back when a person cancels.
    #[serde(default)]
    pub cancellation: Option<CancellationPolicy>,
    /// Who invites.
    #[serde(default)]
    pub organizer: Option<Organizer>,
}

impl CreateEvent {
    fn particulars(self) -> Result<Particulars, Problem> {
        let mut faults = Vec::new();
        let timezone = given::timezone(&self.timezone, &mut faults);
        let tax_rate = self.tax_rate.and_then(|rate| given::tax_rate(&rate, &mut faults));
        let particulars = Particulars {
            title: self.title,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            timezone: timezone.unwrap_or_default(),
            capacity: self.capacity,
            price: self.price,
            tax_rate,
            cancellation: self.cancellation.unwrap_or_default(),
            organizer: self.organizer,
        };
        faults.extend(particulars.faults());
        if faults.is_empty() { Ok(particulars) } else { Err(unsound(faults)) }
    }
}

/// `create`: the same id and body again answers the event as it stands; another body is `idempotency_conflict`.
#[derive(Debug)]
pub struct Create;

impl Endpoint for Create {
    const NAME: &'static str = "create";
    type Request = CreateEvent;
    type Response = EventView;

    async fn handle(&self, work: &mut UnitOfWork, request: CreateEvent) -> Result<EventView, EndpointError> {
        let event_id = request.event_id;
        let particulars = request.particulars()?;
        let created_from = serde_json::to_string(&particulars)
            .map_err(|_| Problem::internal("event_not_stored", "the event could not be written down"))?;
        if let Some(known) = repository::load(work, event_id).await? {
            return if known.stored.created_from == created_from {
                Ok(EventView::of(&known.stored.event, known.seats_sold))
            } else {
                let message = format!("event {event_id} was created from another body; choose another id");
                Err(Problem::conflict("idempotency_conflict", message).into())
            };
        }
        let event = Event::draft(event_id, particulars, work.now()).map_err(problem)?;
        repository::save(work, &event, &created_from, 0).await?;
        Ok(EventView::of(&event, 0))
    }
}
