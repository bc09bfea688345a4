//! Domain events: what the catalog tells the other contexts, and what it listens to.

use amends_schemas::event::CloudEvent;
use amends_schemas::ids::{EventId, RegistrationId};
use amends_schemas::money::Money;
use amends_schemas::tax::TaxRate;
use amends_sdk::database::DatabaseError;
use amends_sdk::{DomainEvent, Subscriber, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{CancellationPolicy, Event, EventStatus};
use crate::repository;

/// It is open for registration.
pub const EVENT_PUBLISHED: &str = "EventPublished.v1";
/// Something about it has changed.
pub const EVENT_UPDATED: &str = "EventUpdated.v1";
/// It takes no more registrations.
pub const EVENT_CLOSED: &str = "EventClosed.v1";
/// It will not take place.
pub const EVENT_CANCELLED: &str = "EventCancelled.v1";

/// An event as the others see it, whole: whoever holds the newest snapshot needs no older one.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Snapshot<'a> {
    event_id: EventId,
    title: &'a str,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    timezone: &'static str,
    capacity: u32,
    price: Option<Money>,
    tax_rate: Option<TaxRate>,
    cancellation: CancellationPolicy,
    status: EventStatus,
}

/// Tells the others, with the commit.
pub fn publish(work: &mut UnitOfWork, name: &'static str, event: &Event) {
    work.publish(domain_event(name, event));
}

fn domain_event(name: &'static str, event: &Event) -> DomainEvent {
    let particulars = &event.particulars;
    let snapshot = Snapshot {
        event_id: event.event_id,
        title: &particulars.title,
        starts_at: particulars.starts_at,
        ends_at: particulars.ends_at,
        timezone: particulars.timezone.name(),
        capacity: particulars.capacity,
        price: particulars.price,
        tax_rate: particulars.tax_rate,
        cancellation: particulars.cancellation,
        status: event.status,
    };
    DomainEvent {
        name,
        subject: event.event_id.to_string(),
        sequence: event.version,
        data: serde_json::to_value(snapshot).expect("a snapshot is plain data with string keys"),
    }
}

/// What we care for in facts about registrations.
#[derive(Debug, Deserialize)]
pub struct Sale {
    registration_id: RegistrationId,
    event_id: EventId,
}

/// A seat was sold.
#[derive(Debug)]
pub struct OnRegistrationConfirmed;

impl Subscriber for OnRegistrationConfirmed {
    const EVENT: &'static str = "registration.RegistrationConfirmed.v1";
    type Data = Sale;

    async fn handle(&self, work: &mut UnitOfWork, event: &CloudEvent, sale: Sale) -> Result<(), DatabaseError> {
        repository::note_sale(work, sale.event_id, sale.registration_id, event.sequence, true).await
    }
}

/// A seat, if it was one, is no longer sold.
#[derive(Debug)]
pub struct OnRegistrationCancelled;

impl Subscriber for OnRegistrationCancelled {
    const EVENT: &'static str = "registration.RegistrationCancelled.v1";
    type Data = Sale;

    async fn handle(&self, work: &mut UnitOfWork, event: &CloudEvent, sale: Sale) -> Result<(), DatabaseError> {
        repository::note_sale(work, sale.event_id, sale.registration_id, event.sequence, false).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_what_the_schemas_say() {
        let particulars = crate::domain::testing::sound();
        let mut event = Event::draft(EventId::generate(), particulars, Utc::now()).expect("sound");
        for price in [event.particulars.price, None] {
            event.particulars.price = price;
            for (name, status) in [
                (EVENT_PUBLISHED, EventStatus::Published),
                (EVENT_UPDATED, EventStatus::Published),
                (EVENT_UPDATED, EventStatus::Ended),
                (EVENT_CLOSED, EventStatus::Closed),
                (EVENT_CANCELLED, EventStatus::Cancelled),
            ] {
                event.status = status;
                let published = domain_event(name, &event);
                assert_eq!(published.sequence, event.version);
                let schema = amends_schemas::library::event_schema(&format!("events.{name}")).expect("it ships");
                let validator = jsonschema::validator_for(&schema).expect("a schema");
                let faults: Vec<String> = validator.iter_errors(&published.data).map(|e| e.to_string()).collect();
                assert!(faults.is_empty(), "{name}: {faults:?}");
                assert!(!validator.is_valid(&serde_json::json!({})), "{name} accepts anything");
            }
        }
    }
}
