//! What this context asks of any payment gateway.

use std::fmt;
use std::time::Duration;

use amends_schemas::money::Money;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{GatewayPayment, GatewayRefund};

/// A payment token: passed on to the gateway, never shown and never stored here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentToken(String);

impl PaymentToken {
    /// For the gateway only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for PaymentToken {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentToken(…)")
    }
}

/// What is to be charged.
#[derive(Debug, Clone)]
pub struct CaptureRequest {
    /// The idempotency key: one charge under it, however often asked.
    pub key: String,
    /// How much.
    pub amount: Money,
    /// How.
    pub token: PaymentToken,
    /// Our own word for it, shown in the gateway's books.
    pub reference: String,
    /// What the payer reads on the statement.
    pub description: Option<String>,
}

/// Which payment is meant: by key, and by the gateway's own id where that is known (some gateways find nothing by key alone).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The idempotency key of the capture.
    pub key: String,
    /// The gateway's id of the intent.
    pub gateway_id: Option<String>,
}

/// What is to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRequest {
    /// The idempotency key: one refund under it.
    pub key: String,
    /// Of which charge.
    pub charge_id: String,
    /// How much.
    pub amount: Money,
}

/// How a void ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoidAnswer {
    /// It will never be captured: voided, declined before, or barred before it was asked.
    Barred(GatewayPayment),
    /// Too late.
    AlreadyCaptured(GatewayPayment),
    /// The gateway is still deciding; ask again.
    Processing,
}

/// How a refund ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundAnswer {
    /// Done.
    Refunded(GatewayRefund),
    /// It would exceed what was captured.
    ExceedsCaptured,
    /// The gateway has no such charge.
    ChargeNotFound,
}

/// Why there is no answer. What a gateway decides (a declined card, a refused void) is an answer and not an error.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No connection: nothing was sent.
    #[error("the payment gateway cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It may have been sent, and may have been done.
    #[error("the payment gateway gave no clear answer: {0}")]
    Unclear(String),
    /// The gateway says that the request itself is wrong: our own mistake.
    #[error("the payment gateway refuses the request as wrong: {0}")]
    Misused(String),
}

/// A webhook that was found genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayEvent {
    /// Unique at the gateway; the same each time it is sent.
    pub event_id: String,
    /// The idempotency key of the capture it is about.
    pub key: String,
    /// How the payment stood then; none for events that say nothing we act on.
    pub payment: Option<GatewayPayment>,
}

/// Why a webhook is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Not signed by the gateway, or too long ago.
    #[error("{0}")]
    Forged(&'static str),
    /// Signed, and yet not understood.
    #[error("the webhook is not understood: {0}")]
    Malformed(String),
}

/// A payment gateway. Every call that changes something carries an idempotency key and may be repeated.
///
/// Dropping a future of a call leaves it done or not, like any lost answer.
#[async_trait]
pub trait PaymentGateway: fmt::Debug + Send + Sync {
    /// Its name in `POST /v1/webhooks/{gateway}`.
    fn name(&self) -> &'static str;

    /// Authorises and captures in one.
    ///
    /// # Errors
    /// [`GatewayError`].
    async fn capture(&self, request: &CaptureRequest, timeout: Duration) -> Result<GatewayPayment, GatewayError>;

    /// The payment, if the gateway knows it.
    ///
    /// # Errors
    /// [`GatewayError`].
    async fn find(&self, payment: &Lookup, timeout: Duration) -> Result<Option<GatewayPayment>, GatewayError>;

    /// Sees to it that the payment will never be captured, even if it has not been asked for yet.
    ///
    /// # Errors
    /// [`GatewayError`].
    async fn void(&self, payment: &Lookup, timeout: Duration) -> Result<VoidAnswer, GatewayError>;

    /// Gives back, in part or whole.
    ///
    /// # Errors
    /// [`GatewayError`].
    async fn refund(&self, request: &RefundRequest, timeout: Duration) -> Result<RefundAnswer, GatewayError>;

    /// The refund under that key, if the gateway knows it.
    ///
    /// # Errors
    /// [`GatewayError`].
    async fn find_refund(&self, key: &str, timeout: Duration) -> Result<Option<GatewayRefund>, GatewayError>;

    /// Checks and reads a webhook. `signature` is the gateway's own signature header.
    ///
    /// # Errors
    /// [`WebhookError`].
    fn read_webhook(&self, signature: &str, body: &str, now: DateTime<Utc>) -> Result<GatewayEvent, WebhookError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_shows() {
        assert!(!format!("{:?}", PaymentToken::from("tok_secret".to_owned())).contains("secret"));
    }
}
