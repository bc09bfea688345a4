//! NATS plumbing that every role shares: one connection, the topology made so, requests with typed answers, trace context
//! on every message.

pub mod connection;
pub mod request;
pub mod topology;
pub mod trace;

pub use connection::{Nats, NatsError, NatsSettings};
