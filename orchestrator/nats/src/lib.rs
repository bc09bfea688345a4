//! NATS plumbing that every role shares: one connection, the topology made so, requests with typed answers, publications
//! that count only when acknowledged, trace context on every message.
//!
//! * [`connection`]: connects with patience, reconnects for ever, logs what the server reports.
//! * [`topology`]: streams and consumers made as `amends_schemas::topology` says.
//! * [`publish`]: into JetStream, resolved by the acknowledgement.
//! * [`queues`]: how much waits in the work queue.
//! * [`request`]: typed questions and answers.
//! * [`services`]: who makes itself known.
//! * [`trace`]: W3C trace context in headers.

pub mod connection;
pub mod publish;
pub mod queues;
pub mod request;
pub mod services;
pub mod topology;
pub mod trace;

pub use connection::{Nats, NatsError, NatsSettings};
