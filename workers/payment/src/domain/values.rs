//! What an intent is made of, and what a gateway says of it.

use amends_schemas::money::Money;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Who pays: this context's own view of the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    /// As given at registration.
    pub name: String,
    /// Where a receipt would go.
    pub email: String,
}

/// What may be known of how somebody pays. The token is none of it: it is passed on and forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentMethod {
    /// Such as `visa`.
    pub brand: String,
    /// Last four digits.
    pub last_four: String,
    /// `YYYY-MM`.
    pub expiry: String,
}

/// Money taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The gateway's id.
    pub charge_id: String,
    /// How much.
    pub amount: Money,
    /// When, by the gateway's clock.
    pub at: DateTime<Utc>,
}

/// Money given back, or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its idempotency key.
    pub key: String,
    /// How much.
    pub amount: Money,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// The gateway's word for it; none while the gateway has not confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<GatewayRefund>,
}

/// A refund at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayRefund {
    /// The gateway's id.
    pub refund_id: String,
    /// The charge it is of.
    pub charge_id: String,
    /// How much.
    pub amount: Money,
    /// When, by the gateway's clock.
    pub at: DateTime<Utc>,
}

/// Why a charge was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineCode {
    /// The card was declined, for whatever reason not named here.
    CardDeclined,
    /// Not enough money.
    InsufficientFunds,
    /// The gateway does not know the token.
    InvalidToken,
}

impl DeclineCode {
    /// The contract's error code.
    pub const fn code(self) -> &'static str {
        match self {
            DeclineCode::CardDeclined => "card_declined",
            DeclineCode::InsufficientFunds => "insufficient_funds",
            DeclineCode::InvalidToken => "invalid_token",
        }
    }

    /// For people.
    pub const fn message(self) -> &'static str {
        match self {
            DeclineCode::CardDeclined => "The card was declined.",
            DeclineCode::InsufficientFunds => "The card has insufficient funds.",
            DeclineCode::InvalidToken => "The gateway does not know this payment token.",
        }
    }
}

/// How a payment stands at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayState {
    /// The gateway is still deciding.
    Pending,
    /// Charged.
    Captured(Charge),
    /// Refused.
    Declined(DeclineCode),
    /// Voided before it was captured; it never will be.
    Voided,
}

/// A payment as the gateway tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayPayment {
    /// The gateway's id of the intent.
    pub gateway_id: String,
    /// How it stands.
    pub state: GatewayState,
    /// What may be known of the card, if the gateway says.
    pub method: Option<PaymentMethod>,
}
