//! What several contracts carry.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::EventSnapshot;

/// The event, for messages and invoices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventOutput {
    /// What it is called.
    pub title: String,
    /// When it starts.
    pub starts_at: DateTime<Utc>,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
    /// IANA name of its time zone.
    pub timezone: String,
}

impl EventOutput {
    /// The event as it now stands.
    pub fn of(event: &EventSnapshot) -> Self {
        Self {
            title: event.title.clone(),
            starts_at: event.starts_at,
            ends_at: event.ends_at,
            timezone: event.timezone.clone(),
        }
    }
}
