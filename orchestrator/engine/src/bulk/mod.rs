//! One operator's verb over every saga that a filter finds: begun, looked at and steered at any orchestrator ([`BulkDesk`]), carried out by
//! the owner of partition 0 ([`BulkRunner`]).
//!
//! An operation is a row of its own, changed by compare-and-set. The runner takes a page of sagas, oldest first, **writes down which**, has
//! each operated by the owner of its partition under an id made of the operation's and the saga's, and writes what came of it. Killed in
//! between it begins that page again: what was done is answered as done, and is counted once.

mod course;
mod desk;
mod ports;
mod runner;

pub use desk::BulkDesk;
pub use ports::{BulkRecord, BulkStore, Operators};
pub use runner::BulkRunner;
