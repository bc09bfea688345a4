//! Cancelling at every moment.

use crate::check::{PAID, UNDO, check, saga_id};

const PAYING: &str = "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
";

#[test]
fn during_the_first_step_the_saga_waits_for_its_answer() {
    check(PAID, "
        start => started; seat do#1 till 10s
        1s cancel => cancel requested; told compensating
        waiting => step `seat`: sent to its workers at 2026-01-02T10:00:00Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:10Z; turns back (cancelled) as soon as that is settled
        2s seat do#1 ok paid => seat ok:paid; back cancelled; seat undo#1 till 6s
        3s seat undo#1 ok => seat undone; compensated cancelled
    ");
}

#[test]
fn during_a_step_that_then_fails_or_retries_there_is_less_to_undo() {
    for (answer, fact) in [("failed full", "seat failed full"), ("retry busy", "seat do again at 3s; seat failed busy")]
    {
        check(
            PAID,
            &format!(
                "
            start => started; seat do#1 till 10s
            1s cancel => cancel requested; told compensating
            2s seat do#1 {answer} => {fact}; back cancelled; compensated cancelled
        "
            ),
        );
    }
}

#[test]
fn a_last_step_without_pivot_is_undone_when_it_was_cancelled_in_flight() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        1s cancel => cancel requested; told compensating
        2s seat do#1 ok waitlisted => seat ok:waitlisted; back cancelled; seat undo#1 till 6s
    ",
    );
}

#[test]
fn while_backing_off_the_step_is_dropped() {
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        1s b do#1 retry busy => b do again at 2s
        1s cancel => cancel requested; b failed busy; back cancelled; a undo#1 till 5s; told compensating
        b do#1 ok => -
        2s a undo#1 ok => a undone; compensated cancelled
    ",
    );
}

#[test]
fn before_the_first_attempt_got_anywhere_nothing_is_left_to_undo() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        1s seat do#1 retry busy => seat do again at 2s
        1s cancel => cancel requested; seat failed busy; back cancelled; compensated cancelled; told compensating
    ",
    );
}

#[test]
fn while_in_doubt_the_doubt_is_settled_first() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        10s tick => seat in doubt, do timed out; seat do again at 11s in doubt
        10s cancel => cancel requested; told compensating
        11s tick => seat do#2 till 21s
        12s seat do#2 ok paid => seat ok:paid; back cancelled; seat undo#1 till 16s
    ",
    );
}

#[test]
fn during_the_pivot_its_answer_decides() {
    check(
        PAID,
        &format!(
            "{PAYING}
        1s cancel => cancel requested; told undecided by pay
        2s pay do#1 failed card_declined => pay failed card_declined; back cancelled; seat undo#1 till 6s
        3s seat undo#1 ok => seat undone; compensated cancelled
    "
        ),
    );
    let run = check(PAID, &format!("{PAYING}
        1s cancel => cancel requested; told undecided by pay
        2s pay do#1 ok => pay ok pivot; cancel turned forward; confirm do#1 till 7s
        waiting => step `confirm`: sent to its workers at 2026-01-02T10:00:02Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:07Z
        cancel => told forward
        3s confirm do#1 ok => confirm ok; completed; forward#1 till 5s
        4s forwarded ok => forward started
        4s cancel => told forward
    "));
    assert!(run.state.is_settled());
}

#[test]
fn during_the_pivot_of_a_definition_without_forward_saga_the_cancel_comes_to_nothing() {
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        cancel => cancel requested; told undecided by d
        d do#1 ok => d ok pivot; completed
        cancel => told past_pivot
    ",
    );
}

#[test]
fn after_the_pivot_another_saga_cancels_once_this_one_is_completed() {
    let run = check(
        PAID,
        &format!(
            "{PAYING}
        pay do#1 ok => pay ok pivot; confirm do#1 till 5s
        1s cancel => cancel requested forward; told forward
        1s cancel => told forward
        2s confirm do#1 ok => confirm ok; completed; forward#1 till 4s
        recover => start other {{\"of\":\"0193a1de-7d41-7cc1-9b5e-0242ac120002\",\"why\":\"second thoughts\"}}; wake 4s
    "
        ),
    );
    assert!(!run.state.is_settled());
    let forward = run.state.cancel.and_then(|cancel| cancel.forward).expect("forward");
    assert_eq!(forward.saga_id, saga_id().forward_cancellation());
}

#[test]
fn a_completed_saga_is_cancelled_forward_at_once_and_asked_until_it_answers() {
    check(PAID, "
        start => started; seat do#1 till 10s
        seat do#1 ok waitlisted => seat ok:waitlisted; pay skipped; confirm skipped; completed
        5s cancel => cancel requested forward; forward#1 till 7s; told forward
        next => 7s
        waiting => asking for the saga ece17f90-d15c-533e-9598-148817792c5e that cancels this one (attempt 1), asked again at 2026-01-02T10:00:07Z
        6s tick => -
        6s forwarded unavailable => -
        7s tick => forward#2 till 11s
        11s tick => forward#3 till 19s
        11s cancel => told forward
        12s forwarded ok => forward started
        12s forwarded ok => -
        19s tick => -
        next => -
        waiting => -
    ");
}

#[test]
fn a_refused_forward_cancellation_is_asked_for_again_when_somebody_cancels_again() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        seat do#1 ok waitlisted => seat ok:waitlisted; pay skipped; confirm skipped; completed
        cancel => cancel requested forward; forward#1 till 2s; told forward
        1s forwarded refused => forward refused invalid_input
        waiting => a person is needed: the saga that cancels this one was refused: invalid_input: no
        next => -
        2s cancel => cancel requested again by ann; forward#1 till 4s; told forward
    ",
    );
}

#[test]
fn past_the_pivot_without_a_forward_saga_is_a_conflict() {
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        d do#1 ok => d ok pivot; completed
        cancel => told past_pivot
    ",
    );
}

#[test]
fn between_each_pair_of_steps_what_has_succeeded_is_undone() {
    // Between two steps there is no moment: the next one is in flight as soon as one succeeds. So each is cancelled in its
    // flight and then succeeds.
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        cancel => cancel requested; told compensating
        b do#1 ok => b ok; back cancelled; b undo#1 till 4s
        b undo#1 ok => b undone; a undo#1 till 4s
        a undo#1 ok => a undone; compensated cancelled
    ",
    );
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        cancel => cancel requested; told compensating
        c do#1 ok => c ok; back cancelled; c waived; b undo#1 till 4s
    ",
    );
}

#[test]
fn twice_and_while_compensating_is_once() {
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        cancel => cancel requested; told compensating
        cancel => told compensating
        a do#1 ok => a ok; back cancelled; a undo#1 till 4s
        cancel => told compensating
        a undo#1 ok => a undone; compensated cancelled
        cancel => told compensating
    ",
    );
}
