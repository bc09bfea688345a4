//! What the store promises, with a SurrealDB server.

mod common;
mod suite;

/// The suite runs here with a server of its own for each test.
const REMOTE: bool = true;
