//! Which times are to be started now.

use amends_core::schedule::{Timetable, due};
use amends_schemas::limits::SCHEDULE_CATCH_UP_MAX;
use amends_schemas::schedule::CatchUp;
use chrono::TimeDelta;

use crate::{all, at};

/// `from` and `to` of what is left out; nothing when empty.
type LeftOut<'a> = &'a [&'a str];

#[track_caller]
fn check(cron: &str, catch_up: CatchUp, settled: &str, now: &str, times: &[&str], left_out: LeftOut<'_>) {
    let timetable = Timetable::parse(cron, "Europe/Berlin").expect("sound");
    let due = due(&timetable, catch_up, at(settled), at(now));
    let what = format!("{cron} {catch_up:?} from {settled} to {now}");
    assert_eq!(due.times, all(times), "{what}");
    let got: Vec<_> = due.left_out.iter().flat_map(|left_out| [left_out.from, left_out.to]).collect();
    assert_eq!(got, all(left_out), "{what}: left out");
}

const EVERY: [CatchUp; 3] = [CatchUp::Skip, CatchUp::Latest, CatchUp::All];

#[test]
fn what_is_on_time_is_started_under_every_policy() {
    for policy in EVERY {
        check("* * * * *", policy, "2026-01-01T00:00", "2026-01-01T00:00:59", &[], &[]);
        check("* * * * *", policy, "2026-01-01T00:00", "2026-01-01T00:01", &["2026-01-01T00:01"], &[]);
        // A takeover that takes a few seconds loses nothing.
        check(
            "* * * * * *",
            policy,
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:03",
            &["2026-01-01T00:00:01", "2026-01-01T00:00:02", "2026-01-01T00:00:03"],
            &[],
        );
        // Late by a minute is on time, by a second more is not.
        check("0 2 * * *", policy, "2026-01-01T00:00", "2026-01-01T01:01", &["2026-01-01T01:00"], &[]);
    }
    check("0 2 * * *", CatchUp::Skip, "2026-01-01T00:00", "2026-01-01T01:01:01", &[], &["2026-01-01T01:00"; 2]);
}

#[test]
fn after_a_long_downtime() {
    let (from, to) = ("2026-01-01T12:00", "2026-01-04T12:00");
    let nights = ["2026-01-02T01:00", "2026-01-03T01:00", "2026-01-04T01:00"];
    check("0 2 * * *", CatchUp::Skip, from, to, &[], &[nights[0], nights[2]]);
    check("0 2 * * *", CatchUp::Latest, from, to, &[nights[2]], &[nights[0], nights[1]]);
    check("0 2 * * *", CatchUp::All, from, to, &nights, &[]);
    // One that is on time is the latest.
    let to = "2026-01-04T01:00:30";
    check("0 2 * * *", CatchUp::Skip, from, to, &[nights[2]], &[nights[0], nights[1]]);
    check("0 2 * * *", CatchUp::Latest, from, to, &[nights[2]], &[nights[0], nights[1]]);
    check("0 2 * * *", CatchUp::All, from, to, &nights, &[]);
    // Over the night in which clocks were put back, and the one in which they were put forward.
    check(
        "30 2 * * *",
        CatchUp::All,
        "2026-10-24T12:00",
        "2026-10-26T12:00",
        &["2026-10-25T00:30", "2026-10-26T01:30"],
        &[],
    );
    check(
        "30 2 * * *",
        CatchUp::All,
        "2026-03-28T12:00",
        "2026-03-30T12:00",
        &["2026-03-29T01:00", "2026-03-30T00:30"],
        &[],
    );
}

#[test]
fn catching_up_is_bounded_however_long_it_was() {
    let timetable = Timetable::parse("* * * * * *", "UTC").expect("sound");
    let (settled, now) = (at("1990-01-01T00:00"), at("2026-01-01T00:00"));
    let due = due(&timetable, CatchUp::All, settled, now);
    let bound = TimeDelta::seconds(i64::try_from(SCHEDULE_CATCH_UP_MAX).expect("small"));
    let second = TimeDelta::seconds(1);
    assert_eq!(due.times.len(), SCHEDULE_CATCH_UP_MAX);
    assert_eq!((due.times.first(), due.times.last()), (Some(&(now - bound + second)), Some(&now)));
    let left_out = due.left_out.expect("the older ones");
    assert_eq!((left_out.from, left_out.to, left_out.at), (settled + second, now - bound, now));
}

#[test]
fn a_clock_that_was_put_back_starts_nothing_again() {
    for policy in EVERY {
        check("* * * * *", policy, "2026-01-01T12:00", "2026-01-01T11:00", &[], &[]);
    }
}
