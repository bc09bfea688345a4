//! Schedules: which times a cron expression names, which of them are due, and what people may do with a schedule.
//!
//! * [`Timetable`]: cron expression and time zone, to times.
//! * [`due`]: which times are to be started now, as the catch-up policy says.
//! * [`Schedule`]: one schedule as it is stored.
//! * [`create`], [`operate`]: making one, changing it, pausing, resuming, running, deleting it.

mod due;
mod operate;
mod state;
mod timetable;

pub use due::{Due, PUNCTUAL, due};
pub use operate::{Operating, create, not_found, operate, ran};
pub use state::{RecordedAct, Schedule, UPCOMING};
pub use timetable::Timetable;
