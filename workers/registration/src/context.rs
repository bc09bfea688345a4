//! The context, put together.

use std::sync::Arc;
use std::time::Duration;

use amends_sdk::BoundedContext;

use crate::events::{OnEventCancelled, OnEventClosed, OnEventPublished, OnEventUpdated};
use crate::holds::ExpireHolds;
use crate::liveness::{AlwaysAlive, SagaLiveness};
use crate::queries::{Availability, Get, List};
use crate::repository::SCHEMA;
use crate::steps::{Cancel, Confirm, Reserve};

/// How long a seat is held unless set otherwise: as long as the registration saga's own deadline.
pub const HOLD_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// What can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a seat is held before anybody asks whether its saga still lives.
    pub hold: Duration,
    /// Who knows whether a saga lives.
    pub liveness: Arc<dyn SagaLiveness>,
}

impl Settings {
    /// The default hold, and who knows whether a saga lives.
    pub fn new(liveness: Arc<dyn SagaLiveness>) -> Self {
        Self { hold: HOLD_DEFAULT, liveness }
    }
}

impl Default for Settings {
    /// With [`AlwaysAlive`]: no hold ever expires.
    fn default() -> Self {
        Self::new(Arc::new(AlwaysAlive))
    }
}

/// The context, ready to run.
pub fn context(settings: Settings) -> BoundedContext {
    BoundedContext::new("registration", SCHEMA)
        .step(Reserve { hold: settings.hold })
        .step(Confirm)
        .step(Cancel)
        .endpoint(Get)
        .endpoint(List)
        .endpoint(Availability)
        .subscriber(OnEventPublished)
        .subscriber(OnEventUpdated)
        .subscriber(OnEventClosed)
        .subscriber(OnEventCancelled)
        .background(ExpireHolds { liveness: settings.liveness })
}
