//! Faults: every role as a process of its own, killed at random moments; the broker emptied under load. Whatever dies, every
//! saga ends, and money, seats and invoices agree.

mod audit;
mod broker;
mod kills;
mod load;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_amends");
