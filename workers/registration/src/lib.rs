//! The bounded context *registration*: who has a seat, who waits, and who gave theirs up.
//!
//! * [`domain`]: capacity, queue, terms, and the life of a registration; pure.
//! * [`steps`]: what sagas call (reserve and its release, confirm, cancel).
//! * [`queries`]: get, list, availability.
//! * [`events`]: what it tells the others, and the catalog's facts it listens to.
//! * [`holds`]: what becomes of a held seat whose time is up.
//! * [`liveness`]: the port that says whether a saga still lives.
//! * [`repository`]: where it is kept.
//! * [`context`]: all of it, ready to run.

mod context;
pub mod domain;
pub mod events;
pub mod holds;
pub mod liveness;
pub mod queries;
pub mod repository;
pub mod steps;

pub use context::{HOLD_DEFAULT, Settings, context};
pub use liveness::{AlwaysAlive, LivenessUnknown, SagaLiveness};
