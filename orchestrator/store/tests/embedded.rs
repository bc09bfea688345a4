//! What the store promises, with an embedded database.

mod common;
mod suite;

/// The suite runs here with a folder of its own for each test.
const REMOTE: bool = false;
