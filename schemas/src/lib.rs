//! Wire contracts of Amends: what travels between roles and languages, and nothing that does IO.
//!
//! * [`ids`], [`money`], [`tax`]: the values everything else is made of.
//! * [`contract`]: step contracts (`payment.capture@1`) and the registry of those we ship.
//! * [`command`]: what the orchestrator asks a worker, and what the worker answers.
//! * [`saga`]: what clients and operators ask of a saga, and how a saga reads.
//! * [`search`]: which sagas are meant, in a list, a count or a bulk operation.
//! * [`operate`]: what operators do with a saga by hand, and what a cancel would do.
//! * [`schedule`]: what starts sagas at given times.
//! * [`bulk`]: the same over every saga that a filter finds.
//! * [`event`]: domain events as CloudEvents.
//! * [`dead_letter`]: messages that could not be handled, and what operators do with them.
//! * [`presence`]: who serves what, and what waits to be served.
//! * [`problem`]: errors that cross a wire.
//! * [`subjects`], [`topology`]: every NATS subject, stream and consumer, as data.
//! * [`cursor`]: where a page of a list ended.
//! * [`limits`]: the bounds that hold at every door.

pub mod bulk;
pub mod command;
pub mod contract;
pub mod cursor;
pub mod dead_letter;
pub mod event;
pub mod family;
pub mod ids;
pub mod library;
pub mod limits;
pub mod money;
pub mod operate;
pub mod presence;
pub mod problem;
pub mod saga;
pub mod schedule;
pub mod search;
pub mod signal;
pub mod subjects;
pub mod tax;
pub mod topology;
