//! Nobody knows whether a step happened: retry, probe, ask; also while the saga wants to turn back.

use amends_core::decide::DOUBT_ATTEMPTS_MAX;

use crate::check::{PAID, UNDO, check};

#[test]
fn under_retry_the_do_is_sent_again_under_the_same_key() {
    check(PAID, "
        start => started; seat do#1 till 10s
        10s tick => seat in doubt, do timed out; seat do again at 11s in doubt
        waiting => in doubt whether `seat` happened: asking again under the same key after timed_out: No answer to do of `seat`, attempt 1, in time; attempt 2 at 2026-01-02T10:00:11Z
        11s tick => seat do#2 till 21s
        12s seat do#2 unknown => seat in doubt, do reported; seat do again at 14s in doubt
        14s tick => seat do#3 till 24s
        # The budget of clean retries does not end a doubt.
        24s tick => seat in doubt, do timed out; seat do again at 28s in doubt
        28s tick => seat do#4 till 38s
        29s seat do#4 ok free => seat ok:free; pay skipped; confirm skipped; completed
    ");
}

#[test]
fn a_clean_answer_ends_the_doubt() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        10s tick => seat in doubt, do timed out; seat do again at 11s in doubt
        11s tick => seat do#2 till 21s
        12s seat do#2 retry busy => seat do again at 13s
        cancel => cancel requested; seat failed busy; back cancelled; compensated cancelled; told compensating
    ",
    );
}

#[test]
fn doubts_do_not_spend_the_budget_of_clean_retries() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        seat do#1 unknown => seat in doubt, do reported; seat do again at 1s in doubt
        1s tick => seat do#2 till 11s
        seat do#2 unknown => seat in doubt, do reported; seat do again at 3s in doubt
        3s tick => seat do#3 till 13s
        seat do#3 retry busy => seat do again at 4s
        waiting => step `seat`: backing off until 2026-01-02T10:00:04Z after busy: a test's (attempt 2 of 3)
        4s tick => seat do#4 till 14s
        seat do#4 retry busy => seat do again at 6s
        6s tick => seat do#5 till 16s
        seat do#5 unknown => seat in doubt, do reported; seat do again at 10s in doubt
        10s tick => seat do#6 till 20s
        seat do#6 retry busy => seat failed busy; back failed; compensated failed
    ",
    );
}

#[test]
fn an_answer_that_is_too_large_would_be_given_again_so_a_person_is_asked_at_once() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        1s seat do#1 unknown output_too_large => seat in doubt, do reported; seat stuck on do in doubt output_too_large
        next => 100s
        2s retry => seat do ordered in doubt; seat do#2 till 12s; told retry@5
        3s seat do#2 unknown output_too_large => seat in doubt, do reported; seat stuck on do in doubt output_too_large
        4s skip => told illegal_here
        5s resolve as succeeded outcome paid output => seat do resolved as succeeded; seat ok:paid; pay do#1 till 10s; told resolve@9
        6s pay do#1 unknown output_too_large => pay in doubt, do reported; pay stuck on probe in doubt output_too_large
        7s retry => pay probe ordered in doubt; pay probe#1 till 12s; told retry@14
        8s pay probe#1 unknown output_too_large => pay stuck on probe in doubt output_too_large
        9s resolve as failed => pay probe resolved as failed; pay failed resolved_as_failed; back failed; seat undo#1 till 13s; told resolve@17
    ",
    );
}

const IN_DOUBT: &str = "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        5s tick => pay in doubt, do timed out; pay probe again at 6s in doubt
        6s tick => pay probe#1 till 11s
";

#[test]
fn a_probe_that_finds_it_done_goes_on_as_if_the_do_had_answered() {
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        waiting => in doubt whether `pay` happened: probing (attempt 1), times out at 2026-01-02T10:00:11Z
        command pay => probe#1 t.pay@1 {{\"seat\":7}}
        7s pay probe#1 ok => pay ok pivot; confirm do#1 till 12s
    "
        ),
    );
}

#[test]
fn a_late_answer_of_the_do_ends_the_probing() {
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        7s pay do#1 ok => pay ok pivot; confirm do#1 till 12s
        8s pay probe#1 not_happened => -
    "
        ),
    );
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        7s pay do#1 failed card_declined => pay failed card_declined; back failed; seat undo#1 till 11s
    "
        ),
    );
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        # It was given up on; only a clean end of it would count.
        7s pay do#1 retry busy => -
        7s pay do#1 unknown => -
    "
        ),
    );
}

#[test]
fn a_probe_that_fails_cleanly_ends_the_step() {
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        7s pay probe#1 failed card_declined => pay failed card_declined; back failed; seat undo#1 till 11s
    "
        ),
    );
}

#[test]
fn a_probe_that_cannot_say_asks_again_later() {
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        7s pay probe#1 unknown => pay probe again at 8s in doubt
        8s tick => pay probe#2 till 13s
        # A probe that wants another try could not look: nothing is known.
        9s pay probe#2 retry unreachable => pay probe again at 11s in doubt
        11s tick => pay probe#3 till 16s
        16s tick => pay probe again at 20s in doubt
        20s tick => pay probe#4 till 25s
        # Not of the attempt in flight.
        pay probe#3 not_happened => -
        21s pay probe#4 not_happened => pay do again at 22s in doubt
    "
        ),
    );
}

#[test]
fn a_probe_that_finds_no_trace_sends_the_do_again() {
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        7s pay probe#1 not_happened => pay do again at 8s in doubt
        waiting => in doubt whether `pay` happened: the probe finds no trace of it; attempt 2 at 2026-01-02T10:00:08Z
        8s tick => pay do#2 till 13s
        9s pay do#2 unknown => pay in doubt, do reported; pay probe again at 10s in doubt
        10s tick => pay probe#2 till 15s
        11s pay probe#2 ok => pay ok pivot; confirm do#1 till 16s
    "
        ),
    );
}

#[test]
fn under_ask_a_person_decides_unless_the_answer_comes_late() {
    let stuck = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 unknown => c in doubt, do reported; c stuck on do in doubt lost
        waiting => stuck: step `c` needs a person, nobody knows whether it happened: lost: a test's
        next => -
    ";
    check(
        UNDO,
        &format!(
            "{stuck}
        c do#1 ok => c ok; d do#1 till 5s
    "
        ),
    );
    check(
        UNDO,
        &format!(
            "{stuck}
        c do#1 failed no => c failed no; back failed; b undo#1 till 4s
    "
        ),
    );
    check(
        UNDO,
        &format!(
            "{stuck}
        # Cancelling does not make it known.
        cancel => cancel requested; told compensating
        c do#1 ok => c ok; back cancelled; c waived; b undo#1 till 4s
    "
        ),
    );
}

#[test]
fn a_doubt_that_lasts_too_long_needs_a_person() {
    let mut run = check(
        UNDO,
        "
        start => started; a do#1 till 5s
    ",
    );
    // Nobody ever answers: the do is sent again until the bound.
    let mut rounds = 0;
    while let Some(at) = amends_core::decide::next_wakeup(&run.state) {
        amends_core::decide::decide(&run.definition, &mut run.state, amends_core::decide::Input::TimeReached, at);
        rounds += 1;
        assert!(rounds <= 2 * DOUBT_ATTEMPTS_MAX, "bounded");
    }
    assert_eq!(run.state.status, amends_schemas::saga::SagaStatus::Stuck);
    assert_eq!(run.state.steps[0].attempts.r#do, DOUBT_ATTEMPTS_MAX);
}

#[test]
fn a_cancelled_saga_in_doubt_bars_the_door_once_no_trace_is_found() {
    check(PAID, &format!("{IN_DOUBT}
        7s cancel => cancel requested; told undecided by pay
        waiting => in doubt whether `pay` happened: probing (attempt 1), times out at 2026-01-02T10:00:11Z; turns back (cancelled) unless `pay` turns out to have happened
        8s pay probe#1 not_happened => pay undo#1 till 13s
        command pay => undo#1 t.pay@1 {{\"seat\":7}} because cancelled
        waiting => no trace of `pay`: barring it with its undo, attempt 1, times out at 2026-01-02T10:00:13Z; turns back (cancelled) unless `pay` turns out to have happened
        # Only the undo can say now.
        pay do#1 ok => -
        9s pay undo#1 ok => pay undone; back cancelled; seat undo#1 till 13s
        10s seat undo#1 ok => seat undone; compensated cancelled
    "));
}

#[test]
fn a_cancel_finds_a_do_that_waits_after_no_trace_and_bars_it_at_once() {
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        7s pay probe#1 not_happened => pay do again at 8s in doubt
        7.5s cancel => cancel requested; pay undo#1 till 12.5s; told undecided by pay
        12.5s tick => pay undo again at 13.5s in doubt
        13.5s tick => pay undo#2 till 18.5s
        14s pay undo#2 ok => pay undone; back cancelled; seat undo#1 till 18s
    "
        ),
    );
}

#[test]
fn a_barring_undo_that_finds_it_done_puts_it_in_doubt_again() {
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        7s cancel => cancel requested; told undecided by pay
        8s pay probe#1 not_happened => pay undo#1 till 13s
        9s pay undo#1 failed already_captured => pay in doubt, undo reported; pay probe again at 10s in doubt
        10s tick => pay probe#2 till 15s
        # The pivot had succeeded: forward it goes, and the cancel with it.
        11s pay probe#2 ok => pay ok pivot; cancel turned forward; confirm do#1 till 16s
        12s confirm do#1 ok => confirm ok; completed; forward#1 till 14s
    "
        ),
    );
}

#[test]
fn a_barring_undo_that_spends_its_budget_needs_a_person() {
    check(
        PAID,
        &format!(
            "{IN_DOUBT}
        7s cancel => cancel requested; told undecided by pay
        8s pay probe#1 not_happened => pay undo#1 till 13s
        9s pay undo#1 unknown => pay undo again at 10s in doubt
        10s tick => pay undo#2 till 15s
        11s pay undo#2 retry busy => pay undo again at 13s in doubt
        13s tick => pay undo#3 till 18s
        18s tick => pay stuck on undo in doubt timed_out
        19s pay undo#1 ok => pay undone; back cancelled; seat undo#1 till 23s
    "
        ),
    );
}

#[test]
fn without_an_undo_to_bar_with_the_do_is_sent_again() {
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        1s d do#1 unknown => d in doubt, do reported; d probe again at 2s in doubt
        2s tick => d probe#1 till 7s
        2s cancel => cancel requested; told undecided by d
        3s d probe#1 not_happened => d do again at 4s in doubt
        4s tick => d do#2 till 9s
        5s d do#2 retry busy => d failed busy; back cancelled; c waived; b undo#1 till 9s
    ",
    );
}
