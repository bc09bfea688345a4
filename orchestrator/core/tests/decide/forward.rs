//! A saga that goes forward: steps in order, conditions, retries, stuck.

use crate::check::{PAID, UNDO, check};

#[test]
fn steps_are_taken_in_order_and_the_saga_completes() {
    let run = check(
        PAID,
        "
        start => started; seat do#1 till 10s
        next => 10s
        command seat => do#1 t.seat@1 {}
        1s seat do#1 ok paid => seat ok:paid; pay do#1 till 6s
        command seat => -
        command pay => do#1 t.pay@1 {\"seat\":7}
        2s pay do#1 ok => pay ok pivot; confirm do#1 till 7s
        3s confirm do#1 ok => confirm ok; completed
        next => -
        waiting => -
        recover =>
    ",
    );
    assert_eq!(run.state.output, Some(serde_json::json!({"outcome": "paid"})));
    assert!(run.state.is_settled());
}

#[test]
fn steps_whose_condition_does_not_hold_are_skipped() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        1s seat do#1 ok waitlisted => seat ok:waitlisted; pay skipped; confirm skipped; completed
    ",
    );
}

#[test]
fn a_condition_on_the_input_compares() {
    let yaml = "
saga: test
version: 1
title: Test
input: {properties: {policy: {enum: [full, none]}}}
steps:
  - {name: a, call: t.last@1, kind: pivot, when: {input: /policy, equals: none}}
  - {name: b, call: t.last@1, kind: pivot, when: [{input: /policy, equals: full}], timeout: 5s}
  - {name: c, call: t.last@1, kind: retriable, when: [{input: /policy, equals: full}, {input: /policy, equals: none}]}
";
    check(
        yaml,
        "
        start => started; a skipped; b do#1 till 5s
        b do#1 ok => b ok pivot; c skipped; completed
    ",
    );
}

#[test]
fn a_clean_retry_backs_off_until_the_budget_is_spent_and_then_fails() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        1s seat do#1 retry busy => seat do again at 2s
        waiting => step `seat`: backing off until 2026-01-02T10:00:02Z after busy: a test's (attempt 2 of 3)
        next => 2s
        1.5s tick => -
        2s tick => seat do#2 till 12s
        3s seat do#2 retry busy => seat do again at 5s
        5s tick => seat do#3 till 15s
        6s seat do#3 retry busy => seat failed busy; back failed; compensated failed
    ",
    );
}

#[test]
fn a_worker_may_ask_for_a_longer_wait_but_not_for_ever() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        1s seat do#1 retry busy after 30s => seat do again at 31s
        31s tick => seat do#2 till 41s
        seat do#2 retry busy after 9999999s => seat do again at 86431s
    ",
    );
}

#[test]
fn errors_that_are_not_worth_it_fail_at_once() {
    let yaml = PAID.replacen("attempts: 3, backoff: 1s", "attempts: 3, backoff: 1s, only: [busy]", 1);
    check(
        &yaml,
        "
        start => started; seat do#1 till 10s
        1s seat do#1 retry busy => seat do again at 2s
        2s tick => seat do#2 till 12s
        seat do#2 retry other => seat failed other; back failed; compensated failed
    ",
    );
}

#[test]
fn after_the_pivot_a_failure_or_a_spent_budget_needs_a_person() {
    let to_confirm = "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        pay do#1 ok => pay ok pivot; confirm do#1 till 5s
    ";
    check(
        PAID,
        &format!(
            "{to_confirm}
        confirm do#1 failed broken => confirm stuck on do broken
        waiting => stuck: step `confirm` needs a person, it cannot go on: broken: a test's
        next => -
        confirm do#1 failed broken => -
        # Another attempt of the same key got through after all.
        confirm do#1 ok => confirm ok; completed
    "
        ),
    );
    check(
        PAID,
        &format!(
            "{to_confirm}
        confirm do#1 retry busy => confirm do again at 1s
        1s tick => confirm do#2 till 6s
        confirm do#2 retry busy => confirm stuck on do busy
    "
        ),
    );
}

#[test]
fn a_declined_pivot_makes_amends() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        1s pay do#1 failed card_declined => pay failed card_declined; back failed; seat undo#1 till 5s
        command seat => undo#1 t.seat@1 {} of {\"seat\":7} because failed
        2s seat undo#1 ok => seat undone; compensated failed
        waiting => -
    ",
    );
}

#[test]
fn late_repeated_and_foreign_answers_change_nothing() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        nobody do#1 ok => -
        pay do#1 ok => -
        seat do#0 ok => -
        seat do#2 ok => -
        seat undo#1 ok => -
        seat probe#1 not_happened => -
        seat do#1 not_happened => -
        tick => -
        forwarded ok => -
        1s seat do#1 ok paid => seat ok:paid; pay do#1 till 6s
        seat do#1 ok paid => -
        seat do#1 failed late => -
        pay do#1 ok => pay ok pivot; confirm do#1 till 6s
        pay do#1 failed late => -
        confirm do#1 ok => confirm ok; completed
        confirm do#1 ok => -
        90s tick => -
    ",
    );
}

#[test]
fn the_end_of_an_older_attempt_counts_but_not_its_doubts() {
    let second = "
        start => started; seat do#1 till 10s
        10s tick => seat in doubt, do timed out; seat do again at 11s in doubt
        11s tick => seat do#2 till 21s
        seat do#1 retry busy => -
        seat do#1 unknown => -
    ";
    check(
        PAID,
        &format!(
            "{second}
        12s seat do#1 ok free => seat ok:free; pay skipped; confirm skipped; completed
    "
        ),
    );
    check(
        PAID,
        &format!(
            "{second}
        12s seat do#1 failed full => seat failed full; back failed; compensated failed
    "
        ),
    );
}

#[test]
fn a_pivot_that_comes_first_has_nothing_to_undo() {
    let yaml = "
saga: test
version: 1
title: Test
input: {}
steps:
  - {name: a, call: t.last@1, kind: pivot, timeout: 5s}
";
    check(
        yaml,
        "
        start => started; a do#1 till 5s
        a do#1 failed no => a failed no; back failed; compensated failed
    ",
    );
}

#[test]
fn recovery_dispatches_what_is_in_flight_and_sets_the_timer() {
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        recover => dispatch a; wake 5s
        1s a do#1 retry busy => a do again at 2s
        recover => wake 2s
    ",
    );
}
