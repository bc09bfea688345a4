//! Domain events as CloudEvents 1.0 (structured JSON mode), published from each context's outbox.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A past-tense fact of one context, for the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique; consumers remember it and skip repeats.
    pub id: Uuid,
    /// The publishing context, as `/amends/<context>`.
    pub source: String,
    /// `<context>.<Name>.v<N>`, such as `registration.RegistrationConfirmed.v1`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The aggregate it is about.
    pub subject: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// Position within the aggregate's own history, from 1: consumers that see a lower one than they have applied skip it.
    pub sequence: u64,
    /// The facts.
    pub data: Value,
}

impl CloudEvent {
    /// The publishing context, from the type.
    pub fn context(&self) -> &str {
        self.event_type.split('.').next().unwrap_or_default()
    }
}
