//! Domain events: what registration tells the other contexts, and the catalog's facts it listens to.

use amends_schemas::event::CloudEvent;
use amends_schemas::ids::{EventId, RegistrationId};
use amends_schemas::money::Money;
use amends_sdk::database::DatabaseError;
use amends_sdk::{DomainEvent, Subscriber, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::{Attendee, CapacityPolicy, EventSnapshot, Place, Registration, Terms};
use crate::repository;

/// A seat is taken for good.
pub const REGISTRATION_CONFIRMED: &str = "RegistrationConfirmed.v1";
/// Somebody waits.
pub const WAITLISTED: &str = "Waitlisted.v1";
/// A seat or a place in the queue is free again.
pub const REGISTRATION_CANCELLED: &str = "RegistrationCancelled.v1";

/// The person, as the others read them: every member is there, an unknown locale is null.
#[derive(Serialize)]
struct Person<'a> {
    name: &'a str,
    email: &'a str,
    locale: Option<&'a str>,
}

impl<'a> Person<'a> {
    fn of(attendee: &'a Attendee) -> Self {
        Self { name: &attendee.name, email: &attendee.email, locale: attendee.locale.as_deref() }
    }
}

#[derive(Serialize)]
struct Confirmed<'a> {
    registration_id: RegistrationId,
    event_id: EventId,
    attendee: Person<'a>,
    seat: Option<u32>,
    price: Option<Money>,
    confirmed_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Waits<'a> {
    registration_id: RegistrationId,
    event_id: EventId,
    attendee: Person<'a>,
    position: Option<u32>,
    waitlisted_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct CancelledFact<'a> {
    registration_id: RegistrationId,
    event_id: EventId,
    attendee: Person<'a>,
    was: &'static str,
    seat: Option<u32>,
    refund: Option<Money>,
    cancelled_at: DateTime<Utc>,
}

fn fact(name: &'static str, registration: &Registration, data: impl Serialize) -> DomainEvent {
    DomainEvent {
        name,
        subject: registration.registration_id.to_string(),
        sequence: registration.version,
        data: serde_json::to_value(data).expect("facts are plain data with string keys"),
    }
}

/// The fact that a seat is taken for good.
pub fn confirmed(registration: &Registration) -> DomainEvent {
    let data = Confirmed {
        registration_id: registration.registration_id,
        event_id: registration.event_id,
        attendee: Person::of(&registration.attendee),
        seat: registration.seat(),
        price: registration.terms.as_ref().and_then(Terms::due),
        confirmed_at: registration.confirmed_at,
    };
    fact(REGISTRATION_CONFIRMED, registration, data)
}

/// The fact that somebody waits.
pub fn waitlisted(registration: &Registration) -> DomainEvent {
    let data = Waits {
        registration_id: registration.registration_id,
        event_id: registration.event_id,
        attendee: Person::of(&registration.attendee),
        position: registration.joined_at_position,
        waitlisted_at: registration.created_at,
    };
    fact(WAITLISTED, registration, data)
}

/// The fact that a registration was cancelled; none when it was not.
pub fn cancelled(registration: &Registration) -> Option<DomainEvent> {
    let cancelled = registration.cancelled.as_ref()?;
    let (was, seat) = match cancelled.place {
        Some(Place::Queue(_)) => ("waitlisted", None),
        Some(Place::Seat(seat)) => ("confirmed", Some(seat)),
        None => ("confirmed", None),
    };
    let data = CancelledFact {
        registration_id: registration.registration_id,
        event_id: registration.event_id,
        attendee: Person::of(&registration.attendee),
        was,
        seat,
        refund: cancelled.refund,
        cancelled_at: cancelled.at,
    };
    Some(fact(REGISTRATION_CANCELLED, registration, data))
}

/// Keeps the event as the catalog tells it; whole snapshots, so that the newest is all one needs.
async fn learn(work: &mut UnitOfWork, sequence: u64, event: EventSnapshot) -> Result<(), DatabaseError> {
    let policy = match repository::load_policy(work, event.event_id).await? {
        None => Some(CapacityPolicy::new(sequence, event)),
        Some(mut policy) => policy.learn(sequence, event).then_some(policy),
    };
    match policy {
        Some(policy) => repository::save_policy(work, &policy).await,
        None => Ok(()),
    }
}

macro_rules! on_catalog_event {
    ($(#[$doc:meta])* $name:ident, $event:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Subscriber for $name {
            const EVENT: &'static str = $event;
            type Data = EventSnapshot;

            async fn handle(
                &self,
                work: &mut UnitOfWork,
                event: &CloudEvent,
                data: EventSnapshot,
            ) -> Result<(), DatabaseError> {
                learn(work, event.sequence, data).await
            }
        }
    };
}

on_catalog_event!(
    /// It is open for registration.
    OnEventPublished,
    "events.EventPublished.v1"
);
on_catalog_event!(
    /// Something about it has changed.
    OnEventUpdated,
    "events.EventUpdated.v1"
);
on_catalog_event!(
    /// It takes no more registrations.
    OnEventClosed,
    "events.EventClosed.v1"
);
on_catalog_event!(
    /// It will not take place.
    OnEventCancelled,
    "events.EventCancelled.v1"
);

#[cfg(test)]
mod tests {
    use amends_schemas::ids::SagaId;

    use super::*;
    use crate::domain::testing::{attendee, snapshot};
    use crate::domain::{Admission, Application, Cancellation};

    fn registration(admission: Admission) -> Registration {
        let event = snapshot();
        let application = Application {
            registration_id: RegistrationId::generate(),
            event_id: event.event_id,
            attendee: attendee("ada@example.org"),
            saga_id: SagaId::generate(),
        };
        Registration::admitted(application, admission, Terms::of(&event), Utc::now(), Utc::now())
    }

    fn check(event: &DomainEvent) {
        let schema = amends_schemas::library::event_schema(&format!("registration.{}", event.name)).expect("it ships");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let faults: Vec<String> = validator.iter_errors(&event.data).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{}: {faults:?}", event.name);
        assert!(!validator.is_valid(&serde_json::json!({})), "{} accepts anything", event.name);
    }

    #[test]
    fn what_is_published_is_what_the_schemas_say() {
        let cancellation =
            || Cancellation { by: SagaId::generate(), requested_at: Utc::now(), starts_at: Utc::now(), reason: None };
        let mut seated = registration(Admission::Seat(3));
        assert!(cancelled(&seated).is_none());
        seated.confirm(Utc::now()).expect("held");
        check(&confirmed(&seated));
        seated.cancel(cancellation(), Utc::now()).expect("confirmed");
        check(&cancelled(&seated).expect("it was"));
        let mut waiting = registration(Admission::Queue { ticket: 7, position: 2 });
        waiting.attendee.locale = None;
        check(&waitlisted(&waiting));
        waiting.cancel(cancellation(), Utc::now()).expect("waitlisted");
        check(&cancelled(&waiting).expect("it was"));
    }
}
