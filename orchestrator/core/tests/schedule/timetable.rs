//! Cron expression and time zone, to times.

use amends_core::schedule::Timetable;
use amends_schemas::limits::CRON_BYTES_MAX;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use crate::{all, at};

/// The times after `after` are these, and going backwards from the last of them finds the same.
#[track_caller]
fn check(cron: &str, zone: &str, after: &str, times: &[&str]) {
    let timetable = Timetable::parse(cron, zone).unwrap_or_else(|problem| panic!("{cron}: {problem}"));
    let wanted = all(times);
    let forward: Vec<_> = std::iter::successors(timetable.next_after(at(after)), |time| timetable.next_after(*time))
        .take(times.len())
        .collect();
    assert_eq!(forward, wanted, "{cron} in {zone} forward");
    let mut backward: Vec<_> = std::iter::successors(timetable.last_until(wanted[wanted.len() - 1]), |time| {
        timetable.last_until(*time - TimeDelta::seconds(1))
    })
    .take(times.len())
    .collect();
    backward.reverse();
    assert_eq!(backward, wanted, "{cron} in {zone} backward");
}

#[test]
fn expressions_name_times() {
    check("* * * * *", "UTC", "2026-01-01T00:00:30", &["2026-01-01T00:01", "2026-01-01T00:02"]);
    check("*/2 * * * * *", "UTC", "2026-01-01T00:00", &["2026-01-01T00:00:02", "2026-01-01T00:00:04"]);
    check("30 2 * * *", "UTC", "2026-01-01T02:30", &["2026-01-02T02:30", "2026-01-03T02:30"]);
    check("0 9 * * MON-FRI", "UTC", "2026-01-02T10:00", &["2026-01-05T09:00", "2026-01-06T09:00"]);
    check("0 0 1 jan *", "UTC", "2026-01-01T00:00", &["2027-01-01T00:00", "2028-01-01T00:00"]);
    // Sunday is 0 and 7; two restricted days are either.
    check("0 0 * * 0", "UTC", "2026-01-01T00:00", &["2026-01-04T00:00"]);
    check("0 0 * * 7", "UTC", "2026-01-01T00:00", &["2026-01-04T00:00"]);
    check("0 0 3 * SUN", "UTC", "2026-01-01T00:00", &["2026-01-03T00:00", "2026-01-04T00:00", "2026-01-11T00:00"]);
    check("0 12 L * *", "UTC", "2026-01-01T00:00", &["2026-01-31T12:00", "2026-02-28T12:00"]);
    check("0 9 * * MON#1", "UTC", "2026-01-06T00:00", &["2026-02-02T09:00", "2026-03-02T09:00"]);
    check("0 9 * * *", "Asia/Kolkata", "2026-01-01T00:00", &["2026-01-01T03:30", "2026-01-02T03:30"]);
}

#[test]
fn a_leap_day_comes_every_four_years_and_not_in_2100() {
    check("0 0 29 2 *", "UTC", "2026-01-01T00:00", &["2028-02-29T00:00", "2032-02-29T00:00"]);
    check("0 0 29 2 *", "UTC", "2096-03-01T00:00", &["2104-02-29T00:00"]);
}

/// In Berlin, 02:00 is followed by 03:00 on 29 March 2026, at 01:00 UTC.
#[test]
fn a_time_of_day_that_does_not_happen_is_the_first_moment_after_the_gap() {
    const BERLIN: &str = "Europe/Berlin";
    check("30 2 * * *", BERLIN, "2026-03-28T00:00", &["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]);
    check("0 2 * * *", BERLIN, "2026-03-28T12:00", &["2026-03-29T01:00", "2026-03-30T00:00"]);
    check("0 3 * * *", BERLIN, "2026-03-28T12:00", &["2026-03-29T01:00", "2026-03-30T01:00"]);
    // Several of them are one moment; a list of hours names times of day as well.
    check("0,20,40 2 * * *", BERLIN, "2026-03-28T12:00", &["2026-03-29T01:00", "2026-03-30T00:00"]);
    check("0 1,2,4 * * *", BERLIN, "2026-03-28T23:30", &["2026-03-29T00:00", "2026-03-29T01:00", "2026-03-29T02:00"]);
    check("59 59 1 * * *", BERLIN, "2026-03-28T12:00", &["2026-03-29T00:59:59", "2026-03-29T23:59:59"]);
    // What runs with the clock does not miss what did not happen.
    check("*/30 * * * *", BERLIN, "2026-03-29T00:00", &["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"]);
    check("15 * * * *", BERLIN, "2026-03-29T00:00", &["2026-03-29T00:15", "2026-03-29T01:15"]);
    // Half an hour on Lord Howe, a whole day in Samoa.
    check("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00", &["2026-10-03T15:30", "2026-10-04T15:15"]);
    check(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00",
        &["2011-12-29T22:00", "2011-12-30T10:00", "2011-12-30T22:00"],
    );
}

/// In Berlin, 03:00 is followed by 02:00 on 25 October 2026, at 01:00 UTC.
#[test]
fn a_time_of_day_that_happens_twice_is_a_time_once() {
    const BERLIN: &str = "Europe/Berlin";
    check("30 2 * * *", BERLIN, "2026-10-24T12:00", &["2026-10-25T00:30", "2026-10-26T01:30"]);
    check("0,30 2 * * *", BERLIN, "2026-10-24T12:00", &["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-26T01:00"]);
    check("0 2,3 * * *", BERLIN, "2026-10-24T12:00", &["2026-10-25T00:00", "2026-10-25T02:00", "2026-10-26T01:00"]);
    // Asked within the second round, the first one has been.
    check("0,30 2 * * *", BERLIN, "2026-10-25T01:10", &["2026-10-26T01:00"]);
    let timetable = Timetable::parse("50 2 * * *", BERLIN).expect("sound");
    assert_eq!(timetable.last_until(at("2026-10-25T01:10")), Some(at("2026-10-25T00:50")));
    // What runs with the clock runs in both hours.
    check(
        "0 * * * *",
        BERLIN,
        "2026-10-24T23:30",
        &["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00", "2026-10-25T03:00"],
    );
    check("*/30 * * * *", BERLIN, "2026-10-25T00:30", &["2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"]);
}

#[test]
fn what_is_wrong_is_said() {
    for (cron, part) in [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * * *", "7 fields"),
        ("60 * * * *", "the minute cannot be `60`"),
        ("* 24 * * *", "the hour cannot be `24`"),
        ("* * 0 * *", "the day of month cannot be `0`"),
        ("* * * 13 *", "the month cannot be `13`"),
        ("* * * * MOO", "the day of week cannot be `MOO`"),
        ("61 * * * * *", "the second cannot be `61`"),
        ("*/0 * * * *", "the minute cannot be"),
        ("5-1 * * * *", "the minute cannot be"),
        ("0 0 30 2 *", "a day that no month has"),
        ("é * * * *", "the minute cannot be"),
        ("@reboot", "1 fields"),
    ] {
        let problem = Timetable::parse(cron, "UTC").err().unwrap_or_else(|| panic!("{cron} is taken"));
        assert_eq!(problem.code, "invalid_cron", "{cron}");
        assert!(problem.message.contains(part), "{cron}: {}", problem.message);
        assert_eq!(problem.errors[0].pointer, "/cron");
    }
    let long = format!("{} * * * *", vec!["1"; CRON_BYTES_MAX].join(","));
    assert!(Timetable::parse(&long, "UTC").expect_err("too long").message.contains("bytes"));
    for (zone, part) in [
        ("Europe/Berln", "did you mean `Europe/Berlin`?"),
        ("europe/paris", "did you mean `Europe/Paris`?"),
        ("", "write an IANA name"),
        ("+02:00", "write an IANA name"),
    ] {
        let problem = Timetable::parse("* * * * *", zone).err().unwrap_or_else(|| panic!("{zone} is taken"));
        assert_eq!((problem.code.as_str(), problem.errors[0].pointer.as_str()), ("unknown_time_zone", "/time_zone"));
        assert!(problem.message.contains(part), "{zone}: {}", problem.message);
    }
}

/// Some that name times of day, some that run with the clock, some rare.
const CRONS: [&str; 10] = [
    "* * * * *",
    "*/17 * * * *",
    "13 */5 * * *",
    "30 2 * * *",
    "0,20,59 0-3 * * *",
    "0 0 29 2 *",
    "15 1 * * SUN",
    "0 23 L * *",
    "7 7 2,3 * * *",
    "*/40 * 2 * * *",
];

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Forwards and backwards name the same times, in order, from wherever one looks.
    #[test]
    fn forwards_and_backwards_agree(cron in 0..CRONS.len(), zone in 0..ZONES.len(), second in 1_293_840_000_i64..2_000_000_000) {
        let timetable = Timetable::parse(CRONS[cron], ZONES[zone]).expect("sound");
        let from = DateTime::<Utc>::from_timestamp(second, 0).expect("in range");
        let mut last = from;
        for _ in 0..8 {
            let next = timetable.next_after(last).expect("there is always one");
            prop_assert!(next > last);
            prop_assert_eq!(timetable.last_until(next), Some(next));
            let before = timetable.last_until(next - TimeDelta::seconds(1));
            prop_assert!(before <= Some(last), "{:?} lies between {} and {}", before, last, next);
            last = next;
        }
    }
}
