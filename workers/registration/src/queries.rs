//! What is asked of registrations.

use amends_schemas::command::StepError;
use amends_schemas::ids::{EventId, RegistrationId};
use amends_schemas::money::Money;
use amends_schemas::problem::Problem;
use amends_schemas::saga::Page;
use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, Paging, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{Attendee, Reason, Registration, Shown};
use crate::repository;

/// A registration, as it reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegistrationView {
    /// Its id.
    pub registration_id: RegistrationId,
    /// For which event.
    pub event_id: EventId,
    /// Where it stands.
    pub status: Shown,
    /// The seat it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat: Option<u32>,
    /// Its position among those who wait now, from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Who.
    pub attendee: Attendee,
    /// What it costs, as it was when the seat was reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// Until when the seat is held, unless its saga still lives then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_expires_at: Option<DateTime<Utc>>,
    /// Why it came to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The same as an error, when it was refused at the door.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// What goes back, when it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund: Option<Money>,
    /// When it was reserved.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<DateTime<Utc>>,
}

impl RegistrationView {
    fn of(registration: Registration, position: Option<u32>) -> Self {
        let cancelled = registration.cancelled.as_ref();
        Self {
            registration_id: registration.registration_id,
            event_id: registration.event_id,
            status: registration.shown(),
            seat: registration.seat(),
            position,
            price: registration.terms.as_ref().and_then(|terms| terms.price),
            hold_expires_at: registration.hold_expires_at,
            reason: registration.reason,
            error: registration.reason.and_then(refusal),
            refund: cancelled.and_then(|cancelled| cancelled.refund),
            created_at: registration.created_at,
            updated_at: registration.updated_at,
            confirmed_at: registration.confirmed_at,
            cancelled_at: cancelled.map(|cancelled| cancelled.at),
            attendee: registration.attendee,
        }
    }
}

/// What the reserve step answered, when it refused. Of later steps' errors only the saga knows.
fn refusal(reason: Reason) -> Option<StepError> {
    match reason {
        Reason::EventNotOpen => Some(StepError::new("event_not_open", "The event is not open for registration.")),
        Reason::AlreadyRegistered => {
            Some(StepError::new("already_registered", "This person already has an active registration for this event."))
        }
        Reason::Failed | Reason::Cancelled | Reason::Deadline | Reason::HoldExpired => None,
    }
}

/// Names a registration.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationRef {
    /// Which.
    pub registration_id: RegistrationId,
}

/// `get`: one registration.
#[derive(Debug)]
pub struct Get;

impl Endpoint for Get {
    const NAME: &'static str = "get";
    type Request = RegistrationRef;
    type Response = RegistrationView;

    async fn handle(&self, work: &mut UnitOfWork, request: RegistrationRef) -> Result<RegistrationView, EndpointError> {
        let registration_id = request.registration_id;
        let registration = repository::read(work.database(), registration_id).await?.ok_or_else(|| {
            Problem::not_found("registration_not_found", format!("there is no registration {registration_id}"))
        })?;
        let mut views = views(work, vec![registration]).await?;
        views.pop().ok_or_else(|| Problem::internal("bug", "a registration without a view").into())
    }
}

/// Asks for a page of registrations, newest first.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRegistrations {
    /// Only of this event.
    #[serde(default)]
    pub event_id: Option<EventId>,
    /// Only these.
    #[serde(default)]
    pub status: Option<Shown>,
    /// Where the last page ended; opaque.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// `list`: a page of registrations.
#[derive(Debug)]
pub struct List;

impl Endpoint for List {
    const NAME: &'static str = "list";
    type Request = ListRegistrations;
    type Response = Page<RegistrationView>;

    async fn handle(
        &self,
        work: &mut UnitOfWork,
        request: ListRegistrations,
    ) -> Result<Page<RegistrationView>, EndpointError> {
        let question = json!(["registrations", request.event_id, request.status]);
        let paging = Paging::new(&question, request.cursor.as_deref(), request.limit)?;
        let found = repository::page(work.database(), request.event_id, request.status, &paging).await?;
        let Page { items, next_cursor } = paging.page(found, repository::position);
        Ok(Page { items: views(work, items).await?, next_cursor })
    }
}

async fn views(work: &UnitOfWork, found: Vec<Registration>) -> Result<Vec<RegistrationView>, EndpointError> {
    let positions = repository::queue_positions(work.database(), &found).await?;
    let view = |registration: Registration| {
        let position = positions.get(&registration.registration_id).copied();
        RegistrationView::of(registration, position)
    };
    Ok(found.into_iter().map(view).collect())
}

/// Names an event.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRef {
    /// Which.
    pub event_id: EventId,
}

/// How full an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AvailabilityView {
    /// Which event.
    pub event_id: EventId,
    /// Seats.
    pub capacity: u32,
    /// Seats held or confirmed.
    pub taken: u32,
    /// Seats confirmed.
    pub confirmed: u32,
    /// People in the queue.
    pub waiting: u32,
}

/// `availability`: how full an event is.
#[derive(Debug)]
pub struct Availability;

impl Endpoint for Availability {
    const NAME: &'static str = "availability";
    type Request = EventRef;
    type Response = AvailabilityView;

    async fn handle(&self, work: &mut UnitOfWork, request: EventRef) -> Result<AvailabilityView, EndpointError> {
        let event_id = request.event_id;
        let known = repository::availability(work, event_id).await?;
        let (policy, confirmed) = known.ok_or_else(|| {
            Problem::not_found(
                "event_not_found",
                format!("event {event_id} has not been published, so far as is known here"),
            )
        })?;
        Ok(AvailabilityView {
            event_id,
            capacity: policy.event.capacity,
            taken: policy.taken,
            confirmed,
            waiting: policy.waiting,
        })
    }
}
