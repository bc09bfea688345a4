//! The thin HTTP gateway: it asks over NATS and owns no state.
//!
//! * [`serve`] listens; [`settings`] says how.
//! * [`routes`]: one file per resource; [`router`] puts them and the OpenAPI document together.
//! * [`asking`]: the owners of partitions, any orchestrator, the contexts.
//! * [`extract`], [`strict`], [`validation`], [`idempotency`]: what must hold of a request before anything is started.
//! * [`problems`]: errors as HTTP says them.
//! * [`telemetry`], [`metrics`], [`readiness`]: for those who run it.

pub mod asking;
pub mod documents;
pub mod extract;
pub mod idempotency;
pub mod metrics;
pub mod openapi;
pub mod problems;
pub mod readiness;
pub mod registration_status;
pub mod router;
pub mod routes;
pub mod server;
pub mod settings;
pub mod state;
pub mod strict;
pub mod telemetry;
pub mod validation;

pub use server::serve;
pub use settings::{ApiError, ApiSettings};
