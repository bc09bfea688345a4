//! The context, put together.

use amends_sdk::BoundedContext;

use crate::events::{OnRegistrationCancelled, OnRegistrationConfirmed};
use crate::operations::{Cancel, Close, Create, EndEvents, Publish, Update};
use crate::queries::{Get, List};
use crate::repository::SCHEMA;

/// What can be set; nothing so far.
#[derive(Debug, Clone, Default)]
pub struct Settings {}

/// The context, ready to run.
pub fn context(Settings {}: Settings) -> BoundedContext {
    BoundedContext::new("events", SCHEMA)
        .endpoint(Create)
        .endpoint(Get)
        .endpoint(List)
        .endpoint(Update)
        .endpoint(Publish)
        .endpoint(Close)
        .endpoint(Cancel)
        .subscriber(OnRegistrationConfirmed)
        .subscriber(OnRegistrationCancelled)
        .background(EndEvents)
}
