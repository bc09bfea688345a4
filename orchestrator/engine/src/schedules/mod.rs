//! Schedules: one process at a time starts what is due, as a [chore](crate::chore); any orchestrator answers for them.
//!
//! A saga that a schedule starts has an id made of the schedule and the time, so that starting it twice is starting it once: nothing is
//! lost or doubled when the process dies between starting a saga and writing that down, nor when two are at it for a moment.
//!
//! * [`ScheduleStore`]: what is needed of a store.
//! * [`ScheduleRunner`]: starts what is due.
//! * [`ScheduleDesk`]: makes schedules, shows them, and does with them what people ask.

mod desk;
mod runner;
mod starting;
mod store;

pub use desk::ScheduleDesk;
pub use runner::ScheduleRunner;
pub use store::{DueSchedule, ScheduleStore};
