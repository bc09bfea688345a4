//! Real servers for tests: started in a temporary folder, on a free port, ended with the test.
//!
//! * [`nats`]: a nats-server that can be killed, emptied and started again.
//! * [`process`]: the `amends` binary in any role, as a process that can be killed.
//! * [`platform`]: `amends dev`, everything in one process.
//! * [`roles`]: every role as a process of its own.
//! * [`client`]: what a client of the HTTP API does.
//! * [`smtp`]: a mail server that can misbehave.
//! * [`store`]: an orchestrator's store with somebody between.
//! * [`surreal`]: a SurrealDB server that can be killed and started again.
//! * [`wait`]: waiting with a deadline.

pub mod client;
pub mod nats;
pub mod platform;
pub mod process;
pub mod roles;
pub mod smtp;
pub mod store;
pub mod surreal;
pub mod wait;

pub use client::{Answer, Client};
pub use nats::{TestNats, nats_server};
pub use platform::Platform;
pub use roles::Roles;
pub use surreal::{TestSurreal, surreal_server};
