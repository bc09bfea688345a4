//! Which times of a schedule are to be started now.

use amends_schemas::limits::SCHEDULE_CATCH_UP_MAX;
use amends_schemas::schedule::{CatchUp, LeftOut};
use chrono::{DateTime, TimeDelta, Utc};

use super::Timetable;

/// How late a time may be and still count as on time: longer than a takeover takes, shorter than anybody who writes a cron expression
/// would call late.
pub const PUNCTUAL: TimeDelta = TimeDelta::seconds(60);

/// What is to be started now, and what never will be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// To be started, oldest first.
    pub times: Vec<DateTime<Utc>>,
    /// Passed over; all of it before the first of `times`.
    pub left_out: Option<LeftOut>,
}

/// The times after `settled_until` and up to `now` that are to be started, as `catch_up` says; at most
/// [`SCHEDULE_CATCH_UP_MAX`], of which the newest count. Looks only as far back as that, however long ago `settled_until` is.
pub fn due(timetable: &Timetable, catch_up: CatchUp, settled_until: DateTime<Utc>, now: DateTime<Utc>) -> Due {
    let mut times = Vec::new();
    let mut before = now;
    let last_left_out = loop {
        let Some(time) = timetable.last_until(before).filter(|time| *time > settled_until) else { break None };
        let is_punctual = now - time <= PUNCTUAL;
        let is_wanted = match catch_up {
            CatchUp::Skip => is_punctual,
            CatchUp::Latest => is_punctual || times.is_empty(),
            CatchUp::All => true,
        };
        if !is_wanted || times.len() == SCHEDULE_CATCH_UP_MAX {
            break Some(time);
        }
        times.push(time);
        before = time - TimeDelta::seconds(1);
    };
    times.reverse();
    let left_out =
        last_left_out.map(|to| LeftOut { from: timetable.next_after(settled_until).unwrap_or(to), to, at: now });
    Due { times, left_out }
}
