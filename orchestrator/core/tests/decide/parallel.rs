//! Branches that run at the same time: how they join, fail, are undone and get stuck.

use crate::check::{check, check_given};
use serde_json::json;

/// Two branches, one of two steps, then a step behind both. Everything can be undone; `b1` is probed when in doubt.
pub const FORK: &str = "
saga: test
version: 1
title: Test
input: {type: object, properties: {policy: {enum: [full, none]}}}
deadline: 100s
steps:
  - parallel:
      - steps:
          - {name: a1, call: t.plain@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s, retry: {attempts: 3, backoff: 1s, jitter: 0}}
          - {name: a2, call: t.plain@1, kind: compensable, when: {input: /policy, equals: full}, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s, retry: {attempts: 3, backoff: 1s, jitter: 0}}
      - {name: b1, call: t.pay@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s, retry: {attempts: 3, backoff: 1s, jitter: 0}, on_unknown: probe}
  - {name: c, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
output: {}
";

/// A `parallel` within a branch of another.
const NESTED: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - parallel:
      - steps:
          - {name: a, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
          - parallel:
              - {name: b, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
              - {name: c, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
          - {name: d, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
      - {name: e, call: t.plain@1, kind: compensable, compensate: {waive: it only looks}, timeout: 5s}
  - {name: f, call: t.read@1, kind: pivot, timeout: 5s}
";

/// Branches behind the pivot.
pub const BEHIND: &str = "
saga: test
version: 1
title: Test
input: {type: object}
cancel_with: {saga: other, input: {of: /saga/id}}
steps:
  - {name: p, call: t.read@1, kind: pivot, timeout: 5s}
  - parallel:
      - {name: a, call: t.last@1, kind: retriable, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
      - steps:
          - {name: b, call: t.last@1, kind: retriable, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
          - {name: c, call: t.last@1, kind: retriable, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
";

const FORKED: &str = "start => started; a1 do#1 till 5s; b1 do#1 till 5s";

#[track_caller]
fn forked(script: &str) {
    check(FORK, &format!("{FORKED}\n{script}"));
}

#[test]
fn branches_run_at_the_same_time_and_what_follows_waits_for_all() {
    forked(
        "
        waiting => step `a1`: sent to its workers at 2026-01-02T10:00:00Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:05Z; and step `b1`: sent to its workers at 2026-01-02T10:00:00Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:05Z
        recover => dispatch a1; dispatch b1; wake 5s
        1s a1 do#1 ok => a1 ok; a2 do#1 till 6s
        2s b1 do#1 ok => b1 ok
        3s a2 do#1 ok => a2 ok; c do#1 till 8s
        4s c do#1 ok => c ok; completed
    ",
    );
}

#[test]
fn a_step_whose_condition_does_not_hold_is_passed_over_in_its_branch() {
    check_given(
        FORK,
        json!({"policy": "none"}),
        "start => started; a1 do#1 till 5s; b1 do#1 till 5s
        1s a1 do#1 ok => a1 ok; a2 skipped
        2s b1 do#1 ok => b1 ok; c do#1 till 7s
        3s c do#1 failed no => c failed no; back failed; a1 undo#1 till 7s; b1 undo#1 till 7s
        4s a1 undo#1 ok => a1 undone
        4s b1 undo#1 ok => b1 undone; compensated failed",
    );
}

#[test]
fn a_parallel_within_a_branch_joins_there() {
    check(
        NESTED,
        "
        start => started; a do#1 till 5s; e do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s; c do#1 till 5s
        e do#1 ok => e ok
        c do#1 ok => c ok
        1s b do#1 ok => b ok; d do#1 till 6s
        1s d do#1 ok => d ok; f do#1 till 6s
        preview => undecided: a cancel would wait for the end of `f` and then undo d, then b and c at the same time, then a; if it turns out to have happened, the saga goes forward instead | 1 none f?, 1 waive e, 1 undo d, 2 undo b, 2 undo c, 3 undo a | stays e
        2s f do#1 failed no => f failed no; back failed; d undo#1 till 7s; e waived
        2s d undo#1 ok => d undone; b undo#1 till 7s; c undo#1 till 7s
        2s c undo#1 ok => c undone
        3s b undo#1 ok => b undone; a undo#1 till 8s
        3s a undo#1 ok => a undone; compensated failed
    ",
    );
}

#[test]
fn branches_are_undone_in_parallel_and_each_backwards() {
    forked(
        "
        1s a1 do#1 ok => a1 ok; a2 do#1 till 6s
        1s a2 do#1 ok => a2 ok
        1s b1 do#1 ok => b1 ok; c do#1 till 6s
        2s c do#1 failed no => c failed no; back failed; a2 undo#1 till 6s; b1 undo#1 till 6s
        waiting => undoing step `a2`: sent to its workers at 2026-01-02T10:00:02Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:06Z; and undoing step `b1`: sent to its workers at 2026-01-02T10:00:02Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:06Z
        3s a2 undo#1 ok => a2 undone; a1 undo#1 till 7s
        4s a1 undo#1 ok => a1 undone
        5s b1 undo#1 ok => b1 undone; compensated failed
    ",
    );
}

#[test]
fn a_branch_in_flight_is_waited_for_and_what_it_did_is_undone() {
    forked(
        "
        1s a1 do#1 failed no => a1 failed no
        waiting => step `b1`: sent to its workers at 2026-01-02T10:00:00Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:05Z; turns back (failed) as soon as that is settled
        2s b1 do#1 ok => b1 ok; back failed; b1 undo#1 till 6s
        3s b1 undo#1 ok => b1 undone; compensated failed
    ",
    );
    // Its answer may also be that nothing is to be undone, or that it would have to be tried again.
    forked(
        "
        1s a1 do#1 failed no => a1 failed no
        2s b1 do#1 failed full => b1 failed full; back failed; compensated failed
    ",
    );
    forked(
        "
        1s a1 do#1 failed no => a1 failed no
        2s b1 do#1 retry busy => b1 do again at 3s; b1 failed busy; back failed; compensated failed
    ",
    );
}

#[test]
fn the_next_step_of_a_branch_is_not_begun_when_the_other_has_failed() {
    forked(
        "
        1s b1 do#1 failed no => b1 failed no
        2s a1 do#1 ok => a1 ok; back failed; a1 undo#1 till 6s
        3s a1 undo#1 ok => a1 undone; compensated failed
    ",
    );
}

#[test]
fn a_branch_that_backs_off_is_dropped() {
    forked(
        "
        1s b1 do#1 retry busy => b1 do again at 2s
        1s a1 do#1 failed no => a1 failed no; b1 failed busy; back failed; compensated failed
        2s tick => -
        b1 do#1 ok => -
    ",
    );
}

#[test]
fn a_branch_in_doubt_is_settled_and_a_door_barred() {
    // The probe finds it done.
    forked(
        "
        1s b1 do#1 unknown => b1 in doubt, do reported; b1 probe again at 2s in doubt
        1s a1 do#1 failed no => a1 failed no
        waiting => in doubt whether `b1` happened after lost: a test's: probing at 2026-01-02T10:00:02Z (attempt 1); turns back (failed) as soon as that is settled
        2s tick => b1 probe#1 till 7s
        3s b1 probe#1 ok => b1 ok; back failed; b1 undo#1 till 7s
    ",
    );
    // It finds no trace: the undo bars it.
    forked(
        "
        1s b1 do#1 unknown => b1 in doubt, do reported; b1 probe again at 2s in doubt
        2s tick => b1 probe#1 till 7s
        3s a1 do#1 failed no => a1 failed no
        3s b1 probe#1 not_happened => b1 undo#1 till 7s
        4s b1 undo#1 ok => b1 undone; back failed; compensated failed
    ",
    );
    // No trace had been found before the other branch failed.
    forked(
        "
        1s b1 do#1 unknown => b1 in doubt, do reported; b1 probe again at 2s in doubt
        2s tick => b1 probe#1 till 7s
        2s b1 probe#1 not_happened => b1 do again at 3s in doubt
        2s a1 do#1 failed no => a1 failed no; b1 undo#1 till 6s
        3s b1 undo#1 ok => b1 undone; back failed; compensated failed
    ",
    );
}

#[test]
fn two_branches_that_fail_are_one_way_back() {
    forked(
        "
        1s a1 do#1 ok => a1 ok; a2 do#1 till 6s
        2s a2 do#1 failed first => a2 failed first
        3s b1 do#1 failed second => b1 failed second; back failed; a1 undo#1 till 7s
        4s a1 undo#1 ok => a1 undone; compensated failed
    ",
    );
}

#[test]
fn one_branch_stuck_in_its_undo_does_not_hold_the_other() {
    let run = check(
        FORK,
        &format!(
            "{FORKED}
        1s a1 do#1 ok => a1 ok; a2 do#1 till 6s
        1s a2 do#1 ok => a2 ok
        1s b1 do#1 ok => b1 ok; c do#1 till 6s
        2s c do#1 failed no => c failed no; back failed; a2 undo#1 till 6s; b1 undo#1 till 6s
        2s b1 undo#1 failed gone => b1 stuck on undo gone
        waiting => stuck: step `b1` needs a person, its undo cannot be carried out: gone: a test's; and undoing step `a2`: sent to its workers at 2026-01-02T10:00:02Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:06Z
        3s a2 undo#1 ok => a2 undone; a1 undo#1 till 7s
        3s retry a1 => told illegal_here
        4s a1 undo#1 ok => a1 undone
        waiting => stuck: step `b1` needs a person, its undo cannot be carried out: gone: a test's
        5s retry => b1 undo ordered; b1 undo#2 till 9s; told retry@17
        6s b1 undo#2 ok => b1 undone; compensated failed"
        ),
    );
    assert!(run.state.is_settled());
}

#[test]
fn several_open_steps_want_a_name() {
    forked(
        "
        1s a1 do#1 retry busy => a1 do again at 2s
        1s b1 do#1 retry busy => b1 do again at 2s
        1s retry => told step_required
        1s retry b1 => b1 do ordered; b1 do#2 till 6s; told retry@6
        2s tick => a1 do#2 till 7s
    ",
    );
}

#[test]
fn a_cancel_and_a_deadline_wait_for_every_branch() {
    forked(
        "
        1s b1 do#1 ok => b1 ok
        preview => before: a cancel would wait for the end of `a1` and then undo a1 (if it happened) and b1 at the same time | 1 undo a1?, 1 undo b1 | stays
        1s cancel => cancel requested; told compensating
        2s a1 do#1 ok => a1 ok; back cancelled; a1 undo#1 till 6s; b1 undo#1 till 6s
        3s a1 undo#1 ok => a1 undone
        3s b1 undo#1 ok => b1 undone; compensated cancelled
    ",
    );
    check(
        &FORK.replace("deadline: 100s", "deadline: 3s"),
        &format!(
            "{FORKED}
        1s b1 do#1 ok => b1 ok
        3s tick => deadline passed
        4s a1 do#1 failed no => a1 failed no; back deadline; b1 undo#1 till 8s
        5s b1 undo#1 ok => b1 undone; compensated deadline"
        ),
    );
}

#[test]
fn both_branches_time_out_at_the_same_moment() {
    forked(
        "
        5s tick => a1 in doubt, do timed out; a1 do again at 6s in doubt; b1 in doubt, do timed out; b1 probe again at 6s in doubt
        6s tick => a1 do#2 till 11s; b1 probe#1 till 11s
    ",
    );
}

#[test]
fn paused_no_branch_goes_on_and_resumed_all_do() {
    forked(
        "
        1s pause => paused; told pause@4
        1s a1 do#1 ok => a1 ok
        1s b1 do#1 failed no => b1 failed no
        1s next => -
        waiting => paused by ann: a test; turns back (failed) once it is resumed
        2s resume => resumed; back failed; a1 undo#1 till 6s; told resume@7
    ",
    );
}

#[test]
fn behind_the_pivot_a_branch_that_fails_is_stuck_and_the_others_go_on() {
    check(
        BEHIND,
        "
        start => started; p do#1 till 5s
        p do#1 ok => p ok pivot; a do#1 till 5s; b do#1 till 5s
        1s a do#1 failed no => a stuck on do no
        2s b do#1 ok => b ok; c do#1 till 7s
        waiting => stuck: step `a` needs a person, it cannot go on: no: a test's; and step `c`: sent to its workers at 2026-01-02T10:00:02Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:07Z
        2s cancel => cancel requested forward; told forward
        3s c do#1 ok => c ok
        4s skip => a do passed over; completed; forward#1 till 6s; told skip@11
        5s forwarded ok => forward started
    ",
    );
    // Both stuck: each is named when it is dealt with.
    check(
        BEHIND,
        "
        start => started; p do#1 till 5s
        p do#1 ok => p ok pivot; a do#1 till 5s; b do#1 till 5s
        1s a do#1 failed no => a stuck on do no
        1s b do#1 failed no => b stuck on do no
        1s skip => told step_required
        1s skip b => b do passed over; c do#1 till 6s; told skip@8
        2s resolve a as succeeded => a do resolved as succeeded; a ok; told resolve@10
        2s c do#1 ok => c ok; completed
    ",
    );
}
