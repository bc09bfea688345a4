//! Waits for times, waits in branches, and sagas that start later.

use amends_core::decide::Start;
use serde_json::json;

use crate::check::{Run, check, check_given, check_with, epoch};
use crate::waits::APPROVAL;

/// Sleeps so long, then until a time from the input, in its zone, and behind the pivot until another.
const SLEEPER: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: a, call: t.plain@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s}
  - {name: breath, sleep: 10s}
  - {name: doors, sleep: {until: /input/doors, time_zone: /input/zone, before: 1h}}
  - {name: p, call: t.read@1, kind: pivot, timeout: 5s}
  - {name: after, sleep: {until: /input/after}}
";

const AT_DOORS: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; breath waits till 10s
        waiting => step `breath`: sleeping until 2026-01-02T10:00:10Z
        9s tick => -
";

#[test]
fn a_sleep_ends_when_its_time_has_come_and_a_past_one_is_none() {
    // Ten seconds to eight in the evening of Paris, less one hour; the other has long passed.
    check_given(
        SLEEPER,
        json!({"doors": "2026-01-02T12:01:00", "zone": "Europe/Paris", "after": "2026-01-02T00:00:00Z"}),
        &format!(
            "{AT_DOORS}
        10s tick => breath ok; doors waits till 60s
        recover => wake 60s
        59s tick => -
        61s tick => doors ok; p do#1 till 66s
        p do#1 ok => p ok pivot; after ok; completed"
        ),
    );
    // With an offset the zone does not count.
    check_given(
        SLEEPER,
        json!({"doors": "2026-01-02T11:00:20Z", "zone": "Europe/Paris", "after": "2026-01-02T10:05:00"}),
        &format!(
            "{AT_DOORS}
        10s tick => breath ok; doors waits till 20s
        20s tick => doors ok; p do#1 till 25s
        p do#1 ok => p ok pivot; after waits till 300s
        300s tick => after ok; completed"
        ),
    );
}

#[test]
fn a_time_that_cannot_be_read_fails_before_the_pivot() {
    for input in [
        json!({"doors": "soon", "zone": "Europe/Paris"}),
        json!({"doors": "2026-01-02T12:00:00", "zone": "Europe/Nowhere"}),
        json!({"zone": "Europe/Paris"}),
        json!({"doors": 7, "zone": "Europe/Paris"}),
        json!({"doors": "2026-01-02T12:00:00"}),
    ] {
        check_given(
            SLEEPER,
            input,
            &format!("{AT_DOORS} 10s tick => breath ok; doors failed bad_time; back failed; a undo#1 till 14s"),
        );
    }
}

#[test]
fn behind_the_pivot_a_person_decides_about_a_time_that_cannot_be_read() {
    let input = json!({"doors": "2026-01-02T11:00:00", "zone": "UTC", "after": "soon"});
    let stuck = format!(
        "{AT_DOORS}
        10s tick => breath ok; doors ok; p do#1 till 15s
        p do#1 ok => p ok pivot; after stuck on do bad_time
        next => -
        retry => after do ordered; after stuck on do bad_time; told retry@10
        edit-input {{\"x\":1}} => told illegal_here
        "
    );
    check_given(SLEEPER, input.clone(), &format!("{stuck} skip => after do passed over; completed; told skip@12"));
    let resolved = "resolve as succeeded => after do resolved as succeeded; after ok; completed; told resolve@12";
    check_given(SLEEPER, input.clone(), &format!("{stuck} {resolved}"));
    // Ordered while it is paused, it is looked up again when it is resumed.
    check_given(
        SLEEPER,
        input,
        &format!(
            "{stuck} pause => paused; told pause@12
        retry => after do ordered; told retry@13
        resume => resumed; after stuck on do bad_time; told resume@14"
        ),
    );
}

#[test]
fn a_sleep_that_ended_while_paused_is_over_when_resumed() {
    check_given(
        SLEEPER,
        json!({"doors": "2026-01-02T11:00:00", "zone": "UTC"}),
        &format!(
            "{AT_DOORS}
        9s pause => paused; told pause@5
        20s tick => -
        21s resume => resumed; breath ok; doors ok; p do#1 till 26s; told resume@6"
        ),
    );
    check_given(
        SLEEPER,
        json!({"doors": "2026-01-02T11:00:00", "zone": "UTC"}),
        &format!(
            "{AT_DOORS}
        9s pause => paused; told pause@5
        9.5s resume => resumed; told resume@6
        next => 10s"
        ),
    );
}

#[test]
fn a_cancel_ends_a_sleep() {
    check_given(
        SLEEPER,
        json!({}),
        &format!(
            "{AT_DOORS} 9s cancel => cancel requested; breath failed dropped; back cancelled; a undo#1 till 13s; told compensating"
        ),
    );
}

#[test]
fn a_wait_beside_a_branch_that_fails_is_dropped() {
    let forked = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - parallel:
      - {name: wait, await: go}
      - {name: nap, sleep: 10s}
      - {name: a, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
";
    check(
        forked,
        "
        start => started; wait waits; nap waits till 10s; a do#1 till 5s
        waiting => step `wait`: waiting for the signal `go`; and step `nap`: sleeping until 2026-01-02T10:00:10Z; and step `a`: sent to its workers at 2026-01-02T10:00:00Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:05Z
        1s a do#1 failed no => a failed no; wait failed dropped; nap failed dropped; back failed; compensated failed
    ",
    );
    // A branch that fails as soon as it is begun keeps the next from beginning.
    let at_once = forked.replace("{name: nap, sleep: 10s}", "{name: nap, sleep: {until: /input/nothing}}");
    check(
        &at_once,
        "start => started; wait waits; nap failed bad_time; wait failed dropped; back failed; compensated failed",
    );
}

#[test]
fn of_two_waits_that_end_at_once_the_first_turns_the_saga_back() {
    check(
        "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - parallel:
      - {name: x, await: x, timeout: 10s}
      - {name: y, await: y, timeout: 10s}
",
        "
        start => started; x waits till 10s; y waits till 10s
        10s tick => x failed timed_out; y failed dropped; back failed; compensated failed
        10s tick => -
    ",
    );
}

/// A saga that begins a minute after it was accepted, and has ten seconds from then on.
#[track_caller]
fn later(script: &str) -> Run {
    let start_at = Some(epoch() + chrono::TimeDelta::seconds(60));
    let yaml = APPROVAL.replace("steps:\n  - {name: a", "deadline: 10s\nsteps:\n  - {name: a");
    check_with(&yaml, Start { start_at, ..Start::default() }, script)
}

#[test]
fn a_saga_begins_at_its_time_and_its_deadline_counts_from_then() {
    later(
        "
        start => started
        waiting => its first step begins at 2026-01-02T10:01:00Z
        recover => wake 60s
        30s tick => -
        60s tick => start reached; a do#1 till 65s
        61s a do#1 ok => a ok; approval waits till 121s
        70s tick => deadline passed; approval failed dropped; back deadline; a undo#1 till 74s
    ",
    );
}

#[test]
fn before_its_time_a_saga_takes_a_cancel_a_signal_and_an_end() {
    later(
        "
        start => started
        preview => before: a cancel would undo nothing |  | stays
        1s cancel => cancel requested; back cancelled; compensated cancelled; told compensating
        60s tick => -
    ",
    );
    later(
        r#"
        start => started
        1s signal approved no-thanks data {"by":"ann"} => signal approved:no-thanks kept; told kept@2
        1s retry-from a => told illegal_here
        60s tick => start reached; a do#1 till 65s
        61s a do#1 ok => a ok; approval ok:no-thanks; b skipped; completed
    "#,
    );
    later(
        "start => started
        1s terminate forced => terminated; told terminate@2
        next => -",
    );
}

#[test]
fn paused_over_its_time_a_saga_begins_when_it_is_resumed() {
    later(
        "
        start => started
        1s pause => paused; told pause@2
        next => -
        65s resume => resumed; start reached; a do#1 till 70s; told resume@3
    ",
    );
    later(
        "
        start => started
        1s pause => paused; told pause@2
        2s resume => resumed; told resume@3
        next => 60s
    ",
    );
    // Its deadline has passed, too: nothing is begun any more.
    later(
        "
        start => started
        1s pause => paused; told pause@2
        75s resume => resumed; start reached; deadline passed; back deadline; compensated deadline; told resume@3
    ",
    );
}

#[test]
fn a_time_of_start_that_has_passed_is_now() {
    let start_at = Some(epoch() - chrono::TimeDelta::seconds(1));
    check_with(APPROVAL, Start { start_at, ..Start::default() }, "start => started; a do#1 till 5s");
}
