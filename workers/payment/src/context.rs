//! Putting the context together.

use std::sync::Arc;
use std::time::Duration;

use amends_sdk::BoundedContext;

use crate::gateway::PaymentGateway;
use crate::queries::List;
use crate::repository::{PruneWebhooks, SCHEMA};
use crate::steps::{Capture, Refund};
use crate::webhook::Webhook;

/// The context's name.
pub const NAME: &str = "payment";

/// What the context needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The gateway that charges.
    pub gateway: Arc<dyn PaymentGateway>,
    /// How long one call to the gateway may take. Shorter than the step's timeout, so that an unclear answer is told rather than
    /// found out by silence.
    pub call_timeout: Duration,
}

impl Settings {
    /// With the usual timeout: a second less than the 5 s that the registration saga gives a capture.
    pub fn new(gateway: Arc<dyn PaymentGateway>) -> Self {
        Self { gateway, call_timeout: Duration::from_secs(4) }
    }
}

/// The bounded context, ready to run.
pub fn context(settings: Settings) -> BoundedContext {
    let Settings { gateway, call_timeout } = settings;
    BoundedContext::new(NAME, SCHEMA)
        .step(Capture::new(Arc::clone(&gateway), call_timeout))
        .step(Refund::new(Arc::clone(&gateway), call_timeout))
        .endpoint(List)
        .endpoint(Webhook::new(gateway))
        .background(PruneWebhooks)
}
