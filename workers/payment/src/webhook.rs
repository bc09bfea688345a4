//! What gateways tell: verified, taken once, and never in a way that undoes what is known.
//!
//! The saga is not told from here: it learns of the payment by its next probe, which asks the gateway or finds the answer on
//! record.

use std::sync::Arc;

use amends_schemas::problem::{Problem, ProblemKind};
use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, UnitOfWork};
use serde::{Deserialize, Serialize};

use crate::gateway::{PaymentGateway, WebhookError};
use crate::repository;
use crate::steps::{SettleError, settle};

/// Longest id of an event; it becomes a record's id.
const EVENT_ID_BYTES_MAX: usize = 255;

/// Takes a gateway's report.
#[derive(Debug)]
pub struct Webhook {
    gateway: Arc<dyn PaymentGateway>,
}

/// A report as it came.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookRequest {
    /// Under which name it came.
    pub gateway: String,
    /// The gateway's signature header.
    pub signature: String,
    /// The body, to the byte: it is what was signed.
    pub body: String,
}

/// What became of a report. All of these mean that it need not be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Taken in.
    Taken,
    /// Taken in before.
    Repeated,
    /// About a payment that is not ours, or nothing we act on.
    Ignored,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What became of it.
    pub outcome: Outcome,
}

impl Webhook {
    /// For the reports of this gateway.
    pub fn new(gateway: Arc<dyn PaymentGateway>) -> Self {
        Self { gateway }
    }
}

impl Endpoint for Webhook {
    const NAME: &'static str = "webhook";

    type Request = WebhookRequest;
    type Response = Receipt;

    async fn handle(&self, work: &mut UnitOfWork, request: WebhookRequest) -> Result<Receipt, EndpointError> {
        if request.gateway != self.gateway.name() {
            return Err(Problem::not_found("gateway_not_found", "There is no such gateway.").into());
        }
        let event = self.gateway.read_webhook(&request.signature, &request.body, work.now()).map_err(refuse)?;
        if event.event_id.is_empty() || event.event_id.len() > EVENT_ID_BYTES_MAX {
            return Err(Problem::invalid("webhook_malformed", "The webhook's event has no usable id.").into());
        }
        if !repository::take_webhook(work, &event.event_id).await? {
            return Ok(Receipt { outcome: Outcome::Repeated });
        }
        let Some(seen) = event.payment else { return Ok(Receipt { outcome: Outcome::Ignored }) };
        let Some(mut intent) = repository::load_by_key(work, &event.key).await? else {
            return Ok(Receipt { outcome: Outcome::Ignored });
        };
        settle(work, &mut intent, &seen).await.map_err(|error| match error {
            SettleError::Database(error) => EndpointError::Database(error),
            SettleError::Intent(error) => {
                tracing::error!(payment_id = %intent.payment_id, %error, "a genuine webhook contradicts the payment");
                Problem::conflict("payment_mismatch", "The report contradicts the payment it is about.").into()
            }
        })?;
        Ok(Receipt { outcome: Outcome::Taken })
    }
}

fn refuse(error: WebhookError) -> Problem {
    match error {
        WebhookError::Forged(reason) => {
            tracing::warn!(reason, "a webhook was refused");
            Problem::new(ProblemKind::Forbidden, "webhook_forged", reason)
        }
        WebhookError::Malformed(reason) => Problem::invalid("webhook_malformed", reason),
    }
}
