//! Values to start tests from.

use amends_schemas::ids::EventId;
use amends_schemas::money::{Currency, Money};
use chrono::{DateTime, Utc};

use super::{Attendee, CancellationPolicy, EventSnapshot, EventStatus};

/// A published event of ten seats at 120 euros, on the first of May 2030.
pub fn snapshot() -> EventSnapshot {
    EventSnapshot {
        event_id: EventId::generate(),
        title: "RustFest".into(),
        starts_at: at("2030-05-01T09:00:00Z"),
        ends_at: at("2030-05-01T17:00:00Z"),
        timezone: "Europe/Paris".into(),
        capacity: 10,
        price: Some(euro("120")),
        tax_rate: Some("0.20".parse().expect("a rate")),
        cancellation: CancellationPolicy::Full,
        status: EventStatus::Published,
    }
}

/// Somebody.
pub fn attendee(email: &str) -> Attendee {
    Attendee { name: "Ada".into(), email: email.into(), locale: Some("en".into()) }
}

/// So many euros.
pub fn euro(amount: &str) -> Money {
    Money::new(amount.parse().expect("decimal"), Currency::EUR).expect("money")
}

/// A moment.
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("time")
}
