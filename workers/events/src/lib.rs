//! The bounded context *events*: the catalog of what people can register for.
//!
//! * [`domain`]: the event, its particulars and transitions; pure.
//! * [`operations`]: what organisers do (create, update, publish, close, cancel), and the ending of what is over.
//! * [`queries`]: get and list.
//! * [`events`]: what it tells the others, and what it listens to (seats sold).
//! * [`repository`]: where it is kept.
//! * [`context`]: all of it, ready to run.

mod context;
pub mod domain;
pub mod events;
pub mod operations;
pub mod queries;
pub mod repository;

pub use context::{Settings, context};
