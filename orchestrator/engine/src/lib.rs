//! The partition loop: await one input, drain what else is ready, decide, append once, then act.
//!
//! * [`ports`]: what the engine needs of a store and of a transport.

pub mod ports;
