//! What the test gateway answers, as it stands on the wire, and what that means to us.

use amends_schemas::money::Money;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::domain::{Charge, DeclineCode, GatewayPayment, GatewayRefund, GatewayState, PaymentMethod};

/// An intent.
#[derive(Debug, Deserialize)]
pub(super) struct WireIntent {
    pub intent_id: String,
    pub idempotency_key: String,
    status: String,
    #[serde(default)]
    charge: Option<WireCharge>,
    #[serde(default)]
    decline: Option<WireError>,
    #[serde(default)]
    card: Option<WireCard>,
}

#[derive(Debug, Deserialize)]
struct WireCharge {
    charge_id: String,
    amount: Money,
    created_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct WireCard {
    brand: String,
    last_four: String,
    expiry: String,
}

/// Why not.
#[derive(Debug, Deserialize)]
pub(super) struct WireError {
    pub code: String,
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
pub(super) struct WireRefusal {
    pub error: WireError,
    #[serde(default)]
    pub intent: Option<WireIntent>,
}

/// A refund.
#[derive(Debug, Deserialize)]
pub(super) struct WireRefund {
    refund_id: String,
    charge_id: String,
    amount: Money,
    created_at: DateTime<Utc>,
}

/// A webhook.
#[derive(Debug, Deserialize)]
pub(super) struct WireEvent {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub data: WireEventData,
}

#[derive(Debug, Deserialize)]
pub(super) struct WireEventData {
    pub intent: WireIntent,
}

impl WireIntent {
    /// What it means, or the word that is not understood.
    pub fn payment(self) -> Result<GatewayPayment, String> {
        let state = match (self.status.as_str(), self.charge) {
            ("pending", None) => GatewayState::Pending,
            ("captured", Some(charge)) => GatewayState::Captured(Charge {
                charge_id: charge.charge_id,
                amount: charge.amount,
                at: charge.created_at,
            }),
            ("declined", None) => GatewayState::Declined(decline_code(self.decline.as_ref())),
            ("voided", None) => GatewayState::Voided,
            (status, _) => return Err(format!("an intent with status {status:?}")),
        };
        let method = self.card.map(|WireCard { brand, last_four, expiry }| PaymentMethod { brand, last_four, expiry });
        Ok(GatewayPayment { gateway_id: self.intent_id, state, method })
    }
}

/// A code that is new to us still is a decline.
fn decline_code(error: Option<&WireError>) -> DeclineCode {
    match error.map(|error| error.code.as_str()) {
        Some("insufficient_funds") => DeclineCode::InsufficientFunds,
        Some("invalid_token") => DeclineCode::InvalidToken,
        Some(_) | None => DeclineCode::CardDeclined,
    }
}

impl From<WireRefund> for GatewayRefund {
    fn from(wire: WireRefund) -> Self {
        let WireRefund { refund_id, charge_id, amount, created_at } = wire;
        Self { refund_id, charge_id, amount, at: created_at }
    }
}
