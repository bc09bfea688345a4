//! The bounded context events.
pub mod domain;
