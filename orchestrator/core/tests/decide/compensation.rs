//! Amends: reverse order of success, a budget of their own, stuck.

use crate::check::{UNDO, check};

const BACK: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        d do#1 failed no => d failed no; back failed; c waived; b undo#1 till 4s
";

#[test]
fn undos_run_backwards_one_at_a_time_and_waived_steps_are_passed_over() {
    check(UNDO, &format!("{BACK}
        waiting => undoing step `b`: sent to its workers at 2026-01-02T10:00:00Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:04Z
        next => 4s
        recover => dispatch b; wake 4s
        1s b undo#1 ok => b undone; a undo#1 till 5s
        b undo#1 ok => -
        2s a undo#1 ok => a undone; compensated failed
        3s cancel => told compensating
    "));
}

#[test]
fn an_undo_that_does_not_answer_is_sent_again_until_its_budget_is_spent() {
    check(UNDO, &format!("{BACK}
        4s tick => b undo again at 5s
        waiting => undoing step `b`: backing off until 2026-01-02T10:00:05Z after timed_out: No answer to undo of `b`, attempt 1, in time (attempt 2)
        5s tick => b undo#2 till 9s
        6s b undo#2 unknown => b stuck on undo lost
        waiting => stuck: step `b` needs a person, its undo cannot be carried out: lost: a test's
        cancel => told compensating
        # The first attempt had got through.
        7s b undo#1 ok => b undone; a undo#1 till 11s
    "));
}

#[test]
fn an_undo_that_fails_cleanly_needs_a_person_at_once() {
    check(
        UNDO,
        &format!(
            "{BACK}
        1s b undo#1 failed gone => b stuck on undo gone
        1s b undo#1 failed gone => -
        next => -
    "
        ),
    );
}

#[test]
fn retries_of_a_do_and_of_its_undo_are_counted_apart() {
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 retry busy => a do again at 1s
        1s tick => a do#2 till 6s
        a do#2 ok => a ok; b do#1 till 6s
        b do#1 failed no => b failed no; back failed; a undo#1 till 5s
        a undo#1 retry busy after 3s => a undo again at 4s
        4s tick => a undo#2 till 8s
        a undo#2 ok => a undone; compensated failed
    ",
    );
}

#[test]
fn answers_of_the_do_do_not_disturb_its_undo() {
    check(
        UNDO,
        &format!(
            "{BACK}
        b do#1 failed late => -
        b do#1 ok => -
        c do#1 ok => -
        d do#1 ok => -
        b undo#1 not_happened => -
        1s b undo#1 ok => b undone; a undo#1 till 5s
    "
        ),
    );
}
