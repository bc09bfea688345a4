//! Finds, fetches and runs a real nats-server.
//!
//! * [`find`]: on the `PATH`, in the cache, or fetched pinned by version and SHA-256.
//! * [`run`]: starts one on loopback with JetStream in a folder, and ends it.

pub mod find;
pub mod run;

pub use find::{FindError, find_or_fetch};
pub use run::{NatsServer, NatsServerSettings, StartError};
