//! `registration.reserve@1`: holds a seat, or gives a place in the queue. Its undo gives back what was given.

use std::time::Duration;

use amends_schemas::ids::{EventId, RegistrationId};
use amends_schemas::money::Money;
use amends_schemas::tax::TaxRate;
use amends_sdk::{Failure, Step, StepContext, Success, Undo, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::wire::EventOutput;
use crate::domain::{Application, Attendee, CapacityPolicy, NotOpen, Place, Reason, Registration, Terms};
use crate::{events, repository};

/// What goes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveInput {
    /// The registration to be.
    pub registration_id: RegistrationId,
    /// For which event.
    pub event_id: EventId,
    /// Who.
    pub attendee: Attendee,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveOutput {
    /// The registration.
    pub registration_id: RegistrationId,
    /// The event.
    pub event: EventOutput,
    /// What it costs, frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// A fraction, frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_rate: Option<TaxRate>,
    /// The seat that is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<u32>,
    /// The position in the queue, from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Until when the seat is held, unless the saga still lives then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_expires_at: Option<DateTime<Utc>>,
}

/// The step.
#[derive(Debug)]
pub struct Reserve {
    /// How long a seat is held before anybody asks whether its saga still lives.
    pub hold: Duration,
}

impl Step for Reserve {
    const CONTRACT: &'static str = "registration.reserve@1";
    type Input = ReserveInput;
    type Output = ReserveOutput;

    /// All who want a seat of one event write its policy.
    fn serial_key(&self, input: &ReserveInput) -> Option<String> {
        Some(format!("event/{}", input.event_id))
    }

    async fn execute(&self, context: &mut StepContext, input: ReserveInput) -> Result<Success<ReserveOutput>, Failure> {
        let now = context.work.now();
        let identity = input.attendee.identity();
        let door = repository::door(&mut context.work, input.registration_id, input.event_id, &identity).await?;
        let Some(mut policy) = door.policy else { return Err(not_known(input.event_id)) };
        if let Some(known) = door.known {
            // The inbox answers repeats; this is for one whose inbox row is gone.
            return if known.saga_id == context.saga_id && known.is_active() {
                Ok(success(&policy, &known))
            } else {
                Err(Failure::failed("already_registered", "This registration has been decided before."))
            };
        }
        let application = Application {
            registration_id: input.registration_id,
            event_id: input.event_id,
            attendee: input.attendee,
            saga_id: context.saga_id,
        };
        match policy.check_open(now) {
            Ok(()) => {}
            Err(NotOpen::Draft) => return Err(not_known(input.event_id)),
            Err(why @ (NotOpen::Closed | NotOpen::Ended | NotOpen::Cancelled | NotOpen::Started)) => {
                refuse(&mut context.work, application, Reason::EventNotOpen).await?;
                return Err(Failure::failed("event_not_open", format!("Not open for registration: {why}.")));
            }
        }
        if door.active.is_some() {
            refuse(&mut context.work, application, Reason::AlreadyRegistered).await?;
            let message = "This person already has an active registration for this event.";
            return Err(Failure::failed("already_registered", message));
        }
        let admission = policy.admit(door.lowest_free);
        let terms = Terms::of(&policy.event);
        let registration = Registration::admitted(application, admission, terms, now + self.hold, now);
        repository::save_admitted(&mut context.work, &policy, &registration).await?;
        match registration.place {
            Some(Place::Queue(_)) => context.work.publish(events::waitlisted(&registration)),
            Some(Place::Seat(_)) | None => {}
        }
        Ok(success(&policy, &registration))
    }

    async fn undo(&self, context: &mut StepContext, undo: Undo<ReserveInput, ReserveOutput>) -> Result<(), Failure> {
        let registration_id = undo.input.registration_id;
        let known = repository::load(&mut context.work, registration_id).await?;
        // Another saga's registration under the same id is none of ours to release.
        let Some(mut registration) = known.filter(|known| known.saga_id == context.saga_id) else { return Ok(()) };
        release(&mut context.work, &mut registration, undo.reason.into()).await
    }
}

/// Gives back what a registration holds; nothing when it holds nothing.
pub(crate) async fn release(
    work: &mut UnitOfWork,
    registration: &mut Registration,
    reason: Reason,
) -> Result<(), Failure> {
    let freed = registration.release(reason, work.now()).map_err(|impossible| Failure::bug(impossible.to_string()))?;
    let Some(place) = freed else { return Ok(()) };
    let mut policy = repository::load_policy(work, registration.event_id)
        .await?
        .ok_or_else(|| Failure::bug("a registration without the policy it was admitted by"))?;
    policy.free(place);
    repository::save_freed(work, &policy, registration, place).await?;
    Ok(())
}

async fn refuse(work: &mut UnitOfWork, application: Application, reason: Reason) -> Result<(), Failure> {
    let refused = Registration::refused(application, reason, work.now());
    repository::save(work, &refused).await?;
    Ok(())
}

fn not_known(event_id: EventId) -> Failure {
    // Our view of the catalog may lag behind the publication by moments.
    Failure::retry("event_not_known", format!("Event {event_id} is not known here yet."))
}

fn success(policy: &CapacityPolicy, registration: &Registration) -> Success<ReserveOutput> {
    let terms = registration.terms.as_ref();
    let position = match registration.place {
        Some(Place::Queue(_)) => registration.joined_at_position,
        Some(Place::Seat(_)) | None => None,
    };
    let output = ReserveOutput {
        registration_id: registration.registration_id,
        event: EventOutput::of(&policy.event),
        price: terms.and_then(|terms| terms.price),
        tax_rate: terms.and_then(|terms| terms.tax_rate),
        seat: registration.seat(),
        position,
        hold_expires_at: registration.hold_expires_at,
    };
    Success::with_outcome(registration.outcome().as_str(), output)
}
