//! The bounded context payment: intents, charges and refunds, through a gateway.
//!
//! One charge per intent however often it is asked for. What the gateway said is never guessed: a call that may have been sent
//! and was not answered is *unknown*, and settled by a probe that asks the gateway by idempotency key. A success outweighs
//! whatever is heard later, or was heard before.
//!
//! * [`domain`]: the intent and its rules; pure.
//! * [`steps`]: `payment.capture@1` and `payment.refund@1`.
//! * [`queries`]: what the API asks. [`webhook`]: what gateways tell.
//! * [`events`]: what is published.
//! * [`gateway`]: the port, and its adapter for the test gateway.
//! * `repository`: the only SurrealQL.

mod context;
pub mod domain;
pub mod events;
pub mod gateway;
pub mod queries;
mod repository;
pub mod steps;
pub mod webhook;

pub use context::{NAME, Settings, context};
pub use repository::PruneWebhooks;
