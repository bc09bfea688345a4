//! Publishes, closes, cancels. Each may be asked again: what is so already is answered as it stands.

use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, UnitOfWork};
use chrono::{DateTime, Utc};

use super::problem;
use crate::domain::{Changed, Event, Refusal};
use crate::queries::{EventRef, EventView, not_found};
use crate::{events, repository};

async fn transition(
    work: &mut UnitOfWork,
    request: EventRef,
    apply: impl FnOnce(&mut Event, DateTime<Utc>) -> Result<Changed, Refusal> + Send,
    told_as: &'static str,
) -> Result<EventView, EndpointError> {
    let event_id = request.event_id;
    let known = repository::load(work, event_id).await?.ok_or_else(|| not_found(event_id))?;
    let mut event = known.stored.event;
    match apply(&mut event, work.now()).map_err(problem)? {
        Changed::No => {}
        Changed::Yes => {
            repository::save(work, &event, &known.stored.created_from, known.seats_sold).await?;
            events::publish(work, told_as, &event);
        }
    }
    Ok(EventView::of(&event, known.seats_sold))
}

/// `publish`: opens it for registration.
#[derive(Debug)]
pub struct Publish;

impl Endpoint for Publish {
    const NAME: &'static str = "publish";
    type Request = EventRef;
    type Response = EventView;

    async fn handle(&self, work: &mut UnitOfWork, request: EventRef) -> Result<EventView, EndpointError> {
        transition(work, request, Event::publish, events::EVENT_PUBLISHED).await
    }
}

/// `close`: takes no more registrations.
#[derive(Debug)]
pub struct Close;

impl Endpoint for Close {
    const NAME: &'static str = "close";
    type Request = EventRef;
    type Response = EventView;

    async fn handle(&self, work: &mut UnitOfWork, request: EventRef) -> Result<EventView, EndpointError> {
        transition(work, request, Event::close, events::EVENT_CLOSED).await
    }
}

/// `cancel`: calls it off, here; its registrations are cancelled by a saga.
#[derive(Debug)]
pub struct Cancel;

impl Endpoint for Cancel {
    const NAME: &'static str = "cancel";
    type Request = EventRef;
    type Response = EventView;

    async fn handle(&self, work: &mut UnitOfWork, request: EventRef) -> Result<EventView, EndpointError> {
        transition(work, request, Event::cancel, events::EVENT_CANCELLED).await
    }
}
