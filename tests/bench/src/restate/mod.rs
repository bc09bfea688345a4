//! Restate, a peer: a durable execution engine in one binary, with an SDK for Rust.
//!
//! * [`server`]: its server, from the `PATH`, from the cache, or fetched pinned by version and SHA-512.
//! * [`services`]: the same four steps written for it, built by the benchmark from a crate outside the workspace.
//! * [`run`]: one server on loopback with its own defaults, and what those are.

pub mod run;
pub mod server;
pub mod services;
