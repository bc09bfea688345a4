//! Waits for signals: given early, in time, again, otherwise, too late.

use amends_core::decide::{Input, decide};
use amends_schemas::signal::SignalSaga;
use serde_json::json;
use uuid::Uuid;

use crate::check::{Run, check, saga_id};

/// An approval with two answers that is late after a minute, between two steps.
pub const APPROVAL: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: a, call: t.plain@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s}
  - name: approval
    await: approved
    outcomes: [yes-please, no-thanks]
    schema: {type: object, required: [by], properties: {by: {type: string}}}
    timeout: 60s
  - {name: b, call: t.plain@1, kind: compensable, when: {step: approval, outcome: yes-please}, input: {by: /steps/approval/output/by}, compensate: undo, timeout: 5s}
output: {said: /steps/approval/outcome}
";

/// A webhook behind the pivot that is waited for as long as it takes, and one that has an outcome of its own when it is late.
const WEBHOOKS: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: early, await: early, timeout: 10s, on_timeout: late}
  - {name: p, call: t.read@1, kind: pivot, timeout: 5s}
  - {name: settled, await: settled}
  - {name: rated, await: rated, outcomes: [good, bad], timeout: 10s, on_timeout: never}
output: {early: /steps/early/outcome, settled: /steps/settled/output, rated: /steps/rated/outcome}
";

const WAITING: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; approval waits till 60s
";

#[track_caller]
fn waiting(script: &str) -> Run {
    check(APPROVAL, &format!("{WAITING}{script}"))
}

#[test]
fn a_signal_in_time_is_the_outcome_and_output_of_its_step() {
    let run = waiting(
        r#"
        waiting => step `approval`: waiting for the signal `approved` until 2026-01-02T10:01:00Z
        recover => wake 60s
        30s signal approved yes-please data {"by":"ann"} => signal approved:yes-please taken; approval ok:yes-please; b do#1 till 35s; told taken@5
        command b => do#1 t.plain@1 {"by":"ann"}
        31s b do#1 ok => b ok; completed
        60s tick => -
    "#,
    );
    assert_eq!(run.state.output, Some(json!({"said": "yes-please"})));
}

#[test]
fn a_signal_before_its_step_is_kept_for_it() {
    check(
        APPROVAL,
        r#"
        start => started; a do#1 till 5s
        signal approved no-thanks data {"by":"ann"} => signal approved:no-thanks kept; told kept@3
        waiting => step `a`: sent to its workers at 2026-01-02T10:00:00Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:05Z
        1s a do#1 ok => a ok; approval ok:no-thanks; b skipped; completed
    "#,
    );
}

#[test]
fn a_signal_given_again_is_the_same_and_another_is_refused() {
    waiting(
        r#"
        1s signal approved no-thanks id 7 data {"by":"ann"} => signal approved:no-thanks taken; approval ok:no-thanks; b skipped; completed; told taken@5
        2s signal approved no-thanks id 7 data {"by":"ann"} => told taken@5
        2s signal approved no-thanks id 7 data {"by":"ben"} => told signal_id_reused
        2s signal approved yes-please id 7 data {"by":"ann"} => told signal_id_reused
        2s signal approved no-thanks id 8 data {"by":"ann"} => told signal_already_given
    "#,
    );
    check(
        APPROVAL,
        r#"
        start => started; a do#1 till 5s
        signal approved no-thanks id 7 data {"by":"ann"} => signal approved:no-thanks kept; told kept@3
        signal approved no-thanks id 7 data {"by":"ann"} => told kept@3
        signal approved yes-please id 8 data {"by":"ann"} => told signal_already_given
        1s a do#1 ok => a ok; approval ok:no-thanks; b skipped; completed
        signal approved no-thanks id 7 data {"by":"ann"} => told kept@3
    "#,
    );
}

#[test]
fn a_signal_that_is_not_as_its_step_says_leaves_nothing() {
    waiting(
        r#"
        1s signal approved perhaps data {"by":"ann"} => told invalid_outcome
        1s signal approved data {"by":"ann"} => told invalid_outcome
        1s signal approved yes-please data {"by":7} => told invalid_signal
        1s signal approved yes-please => told invalid_signal
        1s signal nobody yes-please => told unknown_signal
        1s signal approved yes-please data {"by":"ann"} => signal approved:yes-please taken; approval ok:yes-please; b do#1 till 6s; told taken@5
    "#,
    );
    check(
        WEBHOOKS,
        "
        start => started; early waits till 10s
        signal early yes => told invalid_outcome
        signal early late => told invalid_outcome
        signal early => signal early taken; early ok; p do#1 till 5s; told taken@3
    ",
    );
}

#[test]
fn before_the_pivot_a_signal_that_does_not_come_fails_its_step() {
    let run = waiting(
        r#"
        60s tick => approval failed timed_out; back failed; a undo#1 till 64s
        61s signal approved yes-please data {"by":"ann"} => told signal_too_late
        62s a undo#1 ok => a undone; compensated failed
        63s signal approved yes-please data {"by":"ann"} => told signal_too_late
    "#,
    );
    assert!(run.state.signals.is_empty());
}

#[test]
fn of_a_signal_and_the_end_of_its_time_the_first_counts() {
    waiting(
        r#"
        60s signal approved no-thanks data {"by":"ann"} => signal approved:no-thanks taken; approval ok:no-thanks; b skipped; completed; told taken@5
        60s tick => -
    "#,
    );
    waiting(
        r#"
        60s tick => approval failed timed_out; back failed; a undo#1 till 64s
        60s signal approved no-thanks data {"by":"ann"} => told signal_too_late
    "#,
    );
}

#[test]
fn an_outcome_may_say_that_the_signal_did_not_come() {
    let run = check(
        WEBHOOKS,
        r#"
        start => started; early waits till 10s
        10s tick => early ok:late; p do#1 till 15s
        11s signal early => told signal_too_late
        11s p do#1 ok => p ok pivot; settled waits
        waiting => step `settled`: waiting for the signal `settled`
        next => -
        recover =>
        9999s tick => -
        9999s signal settled data {"sum":5} => signal settled taken; settled ok; rated waits till 10009s; told taken@7
        10009s tick => rated ok:never; completed
    "#,
    );
    assert_eq!(run.state.output, Some(json!({"early": "late", "settled": {"sum": 5}, "rated": "never"})));
}

#[test]
fn a_cancel_ends_the_wait_and_a_signal_after_it_is_too_late() {
    waiting(
        r#"
        preview => before: a cancel would undo a | 1 undo a | stays
        30s cancel => cancel requested; approval failed dropped; back cancelled; a undo#1 till 34s; told compensating
        30s signal approved yes-please data {"by":"ann"} => told signal_too_late
        60s tick => a undo again at 61s
    "#,
    );
}

#[test]
fn a_signal_that_comes_when_the_saga_turns_back_is_told_so() {
    let run = check(
        APPROVAL,
        "
        start => started; a do#1 till 5s
        1s cancel => cancel requested; told compensating
    ",
    );
    let mut state = run.state;
    let signal = SignalSaga {
        saga_id: saga_id(),
        signal: "approved".to_owned(),
        signal_id: Uuid::from_u128(1),
        outcome: Some("yes-please".to_owned()),
        data: json!({"by": "ann"}),
        by: "ann".to_owned(),
    };
    let decision = decide(&run.definition, &mut state, Input::Signal(signal), run.now);
    let problem = decision.signalled.expect("told").expect_err("too late");
    assert_eq!(problem.code, "signal_too_late");
    assert_eq!(
        problem.message,
        "the saga is running and turns back (cancelled): nobody waits for this signal any more"
    );
}

#[test]
fn paused_a_signal_is_taken_and_its_time_does_not_pass() {
    waiting(
        r#"
        1s pause => paused; told pause@5
        1s next => -
        90s signal approved yes-please data {"by":"ann"} => signal approved:yes-please taken; approval ok:yes-please; told taken@6
        91s resume => resumed; b do#1 till 96s; told resume@8
    "#,
    );
    // Nobody gave it: the time is over as soon as the saga is resumed.
    waiting(
        r#"
        1s pause => paused; told pause@5
        90s tick => -
        91s resume => resumed; approval failed timed_out; back failed; a undo#1 till 95s; told resume@6
    "#,
    );
    // It wants to turn back: nobody waits any more.
    waiting(
        r#"
        1s pause => paused; told pause@5
        2s cancel => cancel requested; told compensating
        2s signal approved yes-please data {"by":"ann"} => told signal_too_late
        3s resume => resumed; approval failed dropped; back cancelled; a undo#1 till 7s; told resume@7
    "#,
    );
}

#[test]
fn by_hand_a_wait_is_left_alone() {
    waiting(
        r#"
        1s retry => told illegal_here
        1s skip => told illegal_here
        1s resolve as succeeded => told illegal_here
        1s edit-input {"x":1} => told illegal_here
        1s retry-from a => told illegal_here
        1s terminate forced => terminated; told terminate@5
        1s signal approved yes-please data {"by":"ann"} => told signal_too_late
        waiting => -
        next => -
    "#,
    );
}
