//! The event, as registration sees it: a view made from the catalog's facts.

use amends_schemas::ids::EventId;
use amends_schemas::money::Money;
use amends_schemas::tax::TaxRate;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::terms::CancellationPolicy;

/// Where the catalog says the event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// Not public yet.
    Draft,
    /// Open for registration.
    Published,
    /// Takes no more registrations.
    Closed,
    /// Over.
    Ended,
    /// Called off.
    Cancelled,
}

/// The catalog's snapshot of an event, so far as we care.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSnapshot {
    /// Which.
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
    /// What a seat costs.
    #[serde(default)]
    pub price: Option<Money>,
    /// A fraction.
    #[serde(default)]
    pub tax_rate: Option<TaxRate>,
    /// What is given back when a person cancels.
    #[serde(default)]
    pub cancellation: CancellationPolicy,
    /// Where it stands.
    pub status: EventStatus,
}
