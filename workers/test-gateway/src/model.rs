//! What the gateway holds and shows, and the lines of its ledger.

use amends_schemas::money::Money;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::token::Decline;

/// What a client asks to be charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargeRequest {
    pub amount: Money,
    pub payment_token: String,
    /// The client's own word for it, shown in the ledger.
    #[serde(default)]
    pub reference: String,
}

/// What a client asks to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    pub charge_id: String,
    pub amount: Money,
}

/// How an intent stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Pending { due_at: DateTime<Utc>, declined: bool },
    Captured { charge_id: String, at: DateTime<Utc> },
    Declined(Decline),
    Voided,
}

/// Everything under one idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    pub intent_id: String,
    pub key: String,
    /// None for a tombstone: voided before anything was asked.
    pub request: Option<ChargeRequest>,
    pub state: State,
    pub created_at: DateTime<Utc>,
    pub refunded: Option<Money>,
}

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub refund_id: String,
    pub key: String,
    pub request: RefundRequest,
    pub created_at: DateTime<Utc>,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// An error was given on purpose.
    Faulted {
        key: String,
        at: DateTime<Utc>,
    },
    Captured {
        key: String,
        request: ChargeRequest,
        at: DateTime<Utc>,
    },
    Declined {
        key: String,
        request: ChargeRequest,
        decline: Decline,
        at: DateTime<Utc>,
    },
    Pending {
        key: String,
        request: ChargeRequest,
        due_at: DateTime<Utc>,
        declined: bool,
        at: DateTime<Utc>,
    },
    /// A pending intent came to its end; a webhook is to be sent.
    Settled {
        key: String,
        at: DateTime<Utc>,
    },
    Voided {
        key: String,
        at: DateTime<Utc>,
    },
    Refunded {
        key: String,
        request: RefundRequest,
        at: DateTime<Utc>,
    },
    WebhookTaken {
        event_id: String,
        at: DateTime<Utc>,
    },
}

/// An intent as clients see it.
#[derive(Debug, Clone, Serialize)]
pub struct IntentView {
    pub intent_id: String,
    pub idempotency_key: String,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    pub reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge: Option<ChargeView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline: Option<ErrorView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<CardView>,
    pub created_at: DateTime<Utc>,
}

/// A charge within an intent.
#[derive(Debug, Clone, Serialize)]
pub struct ChargeView {
    pub charge_id: String,
    pub amount: Money,
    pub created_at: DateTime<Utc>,
}

/// What may be shown of a card.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CardView {
    pub brand: &'static str,
    pub last_four: &'static str,
    pub expiry: &'static str,
}

/// A refund as clients see it.
#[derive(Debug, Clone, Serialize)]
pub struct RefundView {
    pub refund_id: String,
    pub idempotency_key: String,
    pub charge_id: String,
    pub amount: Money,
    pub created_at: DateTime<Utc>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorView {
    pub code: &'static str,
    pub message: String,
}

impl ErrorView {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A charge in `GET /ledger`.
#[derive(Debug, Clone, Serialize)]
pub struct LedgerCharge {
    pub charge_id: String,
    pub idempotency_key: String,
    pub amount: Money,
    pub token: String,
    pub reference: String,
    pub created_at: DateTime<Utc>,
    pub refunded: Money,
}

/// `GET /ledger`.
#[derive(Debug, Clone, Serialize)]
pub struct LedgerView {
    pub charges: Vec<LedgerCharge>,
    pub refunds: Vec<RefundView>,
}

/// What is told by webhook.
#[derive(Debug, Clone, Serialize)]
pub struct WebhookEvent {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub created_at: DateTime<Utc>,
    pub data: WebhookData,
}

/// The thing it is about.
#[derive(Debug, Clone, Serialize)]
pub struct WebhookData {
    pub intent: IntentView,
}
