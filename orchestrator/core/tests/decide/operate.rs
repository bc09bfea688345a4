//! What operators do by hand, and what the state does not allow.

use amends_core::decide::{Input, decide};
use amends_core::view::history_entry;
use amends_schemas::limits::{OPERATIONS_REMEMBERED_MAX, REASON_BYTES_MAX};
use amends_schemas::operate::{OperateSaga, OperatorAct, Resolution};
use amends_schemas::saga::SagaStatus;
use serde_json::json;
use uuid::Uuid;

use crate::check::{PAID, Run, UNDO, check, saga_id};

const PAYING: &str = "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
";

const BEHIND: &str = "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        pay do#1 ok => pay ok pivot; confirm do#1 till 5s
";

const STUCK_UNDO: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        d do#1 failed no => d failed no; back failed; c waived; b undo#1 till 4s
        1s b undo#1 failed gone => b stuck on undo gone
";

const ASKING: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        1s c do#1 unknown => c in doubt, do reported; c stuck on do in doubt lost
";

fn request(id: u128, act: OperatorAct) -> OperateSaga {
    OperateSaga {
        saga_id: saga_id(),
        operation_id: Uuid::from_u128(id),
        by: "ann".to_owned(),
        reason: "a test".to_owned(),
        act,
    }
}

/// The code and the sentence of a refusal.
fn refusal(run: &mut Run, act: OperatorAct) -> (String, String) {
    let before = run.state.clone();
    let decision = decide(&run.definition, &mut run.state, Input::Operate(request(77, act)), run.now);
    assert!(
        decision.events.is_empty() && decision.effects.is_empty() && before == run.state,
        "refused, nothing changes"
    );
    let problem = decision.operated.expect("told").expect_err("refused");
    (problem.code, problem.message)
}

#[test]
fn paused_nothing_is_dispatched_and_timers_wait_but_answers_are_taken() {
    check(
        PAID,
        &format!(
            "{PAYING}
        1s pause => paused; told pause@5
        waiting => paused by ann: a test
        next => -
        6s tick => -
        7s pay do#1 ok => pay ok pivot
        recover =>
        200s resume => resumed; confirm do#1 till 205s; told resume@7
        201s confirm do#1 ok => confirm ok; completed
    "
        ),
    );
}

#[test]
fn what_came_due_while_paused_is_done_when_resumed() {
    check(
        PAID,
        &format!(
            "{PAYING}
        1s pause => paused; told pause@5
        recover => dispatch pay
        9s resume => resumed; pay in doubt, do timed out; pay probe again at 10s in doubt; told resume@6
        10s tick => pay probe#1 till 15s
    "
        ),
    );
    check(
        PAID,
        &format!(
            "{PAYING}
        1s pay do#1 retry busy => pay do again at 2s
        1s pause => paused; told pause@6
        5s tick => -
        9s resume => resumed; pay do#2 till 14s; told resume@7
    "
        ),
    );
}

#[test]
fn the_deadline_runs_on_while_paused_and_counts_when_resumed() {
    check(
        PAID,
        &format!(
            "{PAYING}
        1s pay do#1 retry busy => pay do again at 2s
        1s pause => paused; told pause@6
        150s tick => -
        150s resume => resumed; deadline passed; pay failed busy; back deadline; seat undo#1 till 154s; told resume@7
    "
        ),
    );
}

#[test]
fn a_cancel_while_paused_is_taken_and_carried_out_when_resumed() {
    check(
        PAID,
        &format!(
            "{PAYING}
        1s pause => paused; told pause@5
        2s cancel => cancel requested; told undecided by pay
        waiting => paused by ann: a test; turns back (cancelled) once it is resumed, unless `pay` turns out to have happened
        3s pay do#1 failed card_declined => pay failed card_declined
        4s resume => resumed; back cancelled; seat undo#1 till 8s; told resume@8
    "
        ),
    );
}

#[test]
fn a_probe_without_trace_bars_the_door_only_when_resumed() {
    check(
        PAID,
        &format!(
            "{PAYING}
        5s tick => pay in doubt, do timed out; pay probe again at 6s in doubt
        5s cancel => cancel requested; told undecided by pay
        6s tick => pay probe#1 till 11s
        6s pause => paused; told pause@9
        7s pay probe#1 not_happened => pay do again at 8s in doubt
        9s resume => resumed; pay undo#1 till 14s; told resume@11
    "
        ),
    );
}

#[test]
fn compensation_can_be_paused_between_two_undos() {
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 failed no => c failed no; back failed; b undo#1 till 4s
        pause => paused; told pause@10
        1s b undo#1 ok => b undone
        2s resume => resumed; a undo#1 till 6s; told resume@12
        3s a undo#1 ok => a undone; compensated failed
        pause => told illegal_here
        resume => told illegal_here
    ",
    );
}

#[test]
fn pausing_twice_and_resuming_what_goes_on_are_refused() {
    check(
        PAID,
        &format!(
            "{PAYING}
        resume => told illegal_here
        pause => paused; told pause@5
        pause => told illegal_here
        resume => resumed; told resume@6
        resume => told illegal_here
    "
        ),
    );
}

#[test]
fn a_step_that_backs_off_is_tried_at_once_with_a_new_budget() {
    check(
        PAID,
        &format!(
            "{PAYING}
        1s pay do#1 retry busy => pay do again at 2s
        1s retry => pay do ordered; pay do#2 till 6s; told retry@6
        2s pay do#2 retry busy => pay do again at 3s
        3s tick => pay do#3 till 8s
        # Without the new budget this would have been the last.
        4s pay do#3 retry busy => pay do again at 6s
        4s retry confirm => told illegal_here
        4s retry nobody => told step_not_found
        4s retry pay => pay do ordered; pay do#4 till 9s; told retry@11
        5s retry pay => told illegal_here
    "
        ),
    );
}

#[test]
fn a_doubt_is_asked_again_at_once() {
    check(
        PAID,
        &format!(
            "{PAYING}
        5s tick => pay in doubt, do timed out; pay probe again at 6s in doubt
        5s retry => pay probe ordered in doubt; pay probe#1 till 10s; told retry@7
        6s pay probe#1 ok => pay ok pivot; confirm do#1 till 11s
    "
        ),
    );
    check(
        UNDO,
        &format!(
            "{ASKING}
        2s retry c => c do ordered in doubt; c do#2 till 7s; told retry@9
        3s c do#2 ok => c ok; d do#1 till 8s
    "
        ),
    );
}

#[test]
fn a_stuck_step_behind_the_pivot_is_tried_again_or_passed_over() {
    let run = check(PAID, &format!("{BEHIND}
        1s confirm do#1 failed gone => confirm stuck on do gone
        cancel => cancel requested forward; told forward
        2s retry => confirm do ordered anew; confirm do#2 till 7s; told retry@9
        waiting => step `confirm`: sent to its workers at 2026-01-02T10:00:02Z and not answered yet, attempt 2, times out at 2026-01-02T10:00:07Z
        3s confirm do#2 retry busy => confirm do again at 4s
        4s tick => confirm do#3 till 9s
        5s confirm do#3 failed gone => confirm stuck on do gone
        6s skip mute => told reason_required
        6s skip => confirm do passed over; completed; forward#1 till 8s; told skip@14
        6s confirm do#3 ok => -
    "));
    assert_eq!(run.state.status, SagaStatus::Completed);
    check(
        PAID,
        &format!(
            "{BEHIND}
        1s confirm do#1 retry busy => confirm do again at 2s
        1s skip confirm => confirm do passed over; completed; told skip@8
    "
        ),
    );
}

#[test]
fn a_stuck_step_behind_the_pivot_has_succeeded_by_other_means() {
    let run = check(
        PAID,
        &format!(
            "{BEHIND}
        1s confirm do#1 failed gone => confirm stuck on do gone
        1s resolve as failed => told illegal_here
        1s resolve as succeeded outcome x => told invalid_outcome
        2s resolve as succeeded output => confirm do resolved as succeeded; confirm ok; completed; told resolve@8
    "
        ),
    );
    let entry = history_entry(&run.definition, 8, &run.events[7]);
    assert_eq!((entry.event.as_str(), entry.step.as_deref()), ("step_resolved", Some("confirm")));
    let data = json!({"operation": "do", "succeeded": true, "by": "ann", "reason": "a test",
        "operation_id": entry.data["operation_id"]});
    assert_eq!(entry.data, data);
}

#[test]
fn nobody_passes_over_a_doubt_or_a_step_before_the_pivot() {
    check(
        PAID,
        &format!(
            "{PAYING}
        skip => told illegal_here
        1s pay do#1 retry busy => pay do again at 2s
        1s skip pay => told illegal_here
        2s tick => pay do#2 till 7s
        7s tick => pay in doubt, do timed out; pay probe again at 8s in doubt
        7s skip pay => told illegal_here
        8s tick => pay probe#1 till 13s
        8s skip pay => told illegal_here
        8s skip seat => told illegal_here
        8s skip confirm => told illegal_here
    "
        ),
    );
    check(
        UNDO,
        &format!(
            "{ASKING}
        skip => told illegal_here
    "
        ),
    );
}

#[test]
fn a_doubt_is_settled_by_hand() {
    // The pivot had happened, nobody could tell but a person: the saga goes forward.
    check(PAID, &format!("{PAYING}
        5s tick => pay in doubt, do timed out; pay probe again at 6s in doubt
        5s resolve pay as succeeded output => pay probe resolved as succeeded; pay ok pivot; confirm do#1 till 10s; told resolve@7
        6s pay do#1 failed late => -
    "));
    // It had not: amends are made.
    check(PAID, &format!("{PAYING}
        5s tick => pay in doubt, do timed out; pay probe again at 6s in doubt
        6s tick => pay probe#1 till 11s
        7s resolve pay as failed => pay probe resolved as failed; pay failed resolved_as_failed; back failed; seat undo#1 till 11s; told resolve@8
        8s pay probe#1 ok => -
    "));
    check(
        UNDO,
        &format!(
            "{ASKING}
        waiting => stuck: step `c` needs a person, nobody knows whether it happened: lost: a test's
        2s resolve as succeeded => c do resolved as succeeded; c ok; d do#1 till 7s; told resolve@9
    "
        ),
    );
    check(UNDO, &format!("{ASKING}
        2s cancel => cancel requested; told compensating
        2s resolve as succeeded => c do resolved as succeeded; c ok; back cancelled; c waived; b undo#1 till 6s; told resolve@10
    "));
}

#[test]
fn what_is_with_the_workers_is_not_resolved_as_failed() {
    check(PAID, &format!("{PAYING}
        resolve pay as failed => told illegal_here
        resolve pay as succeeded => told illegal_here
        5s tick => pay in doubt, do timed out; pay probe again at 6s in doubt
        6s tick => pay probe#1 till 11s
        7s pay probe#1 not_happened => pay do again at 8s in doubt
        8s tick => pay do#2 till 13s
        8s resolve pay as failed => told illegal_here
        8s resolve pay as succeeded => pay do resolved as succeeded; pay ok pivot; confirm do#1 till 13s; told resolve@10
    "));
}

#[test]
fn what_a_step_returned_is_checked_against_its_contract() {
    check(PAID, "
        start => started; seat do#1 till 10s
        10s tick => seat in doubt, do timed out; seat do again at 11s in doubt
        resolve as succeeded => told invalid_outcome
        resolve as succeeded outcome gone => told invalid_outcome
        resolve as succeeded outcome paid output => seat do resolved as succeeded; seat ok:paid; pay do#1 till 15s; told resolve@5
    ");
}

#[test]
fn a_stuck_undo_is_tried_again_left_or_settled_by_hand() {
    check(
        UNDO,
        &format!(
            "{STUCK_UNDO}
        2s retry => b undo ordered; b undo#2 till 6s; told retry@14
        3s b undo#2 ok => b undone; a undo#1 till 7s
    "
        ),
    );
    check(
        UNDO,
        &format!(
            "{STUCK_UNDO}
        2s skip b => b undo passed over; a undo#1 till 6s; told skip@14
        2s b undo#1 ok => -
        3s a undo#1 ok => a undone; compensated failed
    "
        ),
    );
    check(
        UNDO,
        &format!(
            "{STUCK_UNDO}
        2s resolve b as failed => told illegal_here
        2s resolve b as succeeded output => told invalid_output
        2s resolve b as succeeded => b undo resolved as succeeded; b undone; a undo#1 till 6s; told resolve@14
        3s a undo#1 ok => a undone; compensated failed
    "
        ),
    );
}

#[test]
fn an_undo_has_a_new_budget_too() {
    check(
        UNDO,
        &format!(
            "{STUCK_UNDO}
        2s retry => b undo ordered; b undo#2 till 6s; told retry@14
        3s b undo#2 unknown => b undo again at 4s
        4s tick => b undo#3 till 8s
        5s b undo#3 unknown => b stuck on undo lost
    "
        ),
    );
}

#[test]
fn an_undo_that_bars_the_door_is_not_passed_over() {
    check(PAID, &format!("{PAYING}
        5s tick => pay in doubt, do timed out; pay probe again at 6s in doubt
        5s cancel => cancel requested; told undecided by pay
        6s tick => pay probe#1 till 11s
        7s pay probe#1 not_happened => pay undo#1 till 12s
        8s pay undo#1 retry busy => pay undo again at 9s in doubt
        8s skip => told illegal_here
        8s retry => pay undo ordered in doubt; pay undo#2 till 13s; told retry@11
        9s pay undo#2 retry busy => pay undo again at 10s in doubt
        # Said of the step, not of its undo: nobody has paid.
        9s resolve as failed => pay undo resolved as failed; pay failed resolved_as_failed; back cancelled; seat undo#1 till 13s; told resolve@14
    "));
}

#[test]
fn paused_a_retry_waits_too() {
    check(
        PAID,
        &format!(
            "{PAYING}
        1s pay do#1 retry busy => pay do again at 2s
        1s pause => paused; told pause@6
        1s retry => pay do ordered; told retry@7
        5s resume => resumed; pay do#2 till 10s; told resume@8
    "
        ),
    );
    check(
        PAID,
        &format!(
            "{BEHIND}
        1s confirm do#1 failed gone => confirm stuck on do gone
        1s pause => paused; told pause@8
        1s skip => confirm do passed over; told skip@9
        2s resume => resumed; completed; told resume@10
    "
        ),
    );
}

#[test]
fn a_saga_ends_without_amends_only_when_somebody_means_it() {
    let run = check(
        PAID,
        &format!(
            "{PAYING}
        terminate => told force_required
        terminate forced mute => told reason_required
        pause => paused; told pause@5
        terminate forced id 5 => terminated; told terminate@6
        waiting => -
        next => -
        recover =>
        command pay => -
        pay do#1 ok => -
        tick => -
        cancel => told illegal_here
        pause => told illegal_here
        retry => told illegal_here
        terminate forced => told illegal_here
        terminate forced id 5 => told terminate@6
    "
        ),
    );
    assert!(run.state.is_settled() && !run.state.paused && run.state.status == SagaStatus::Terminated);
    let run = check(
        PAID,
        &format!(
            "{BEHIND}
        cancel => cancel requested forward; told forward
        terminate forced => terminated; told terminate@8
        next => -
    "
        ),
    );
    assert!(run.state.is_settled());
}

#[test]
fn an_act_is_done_once_under_its_id() {
    check(
        PAID,
        &format!(
            "{PAYING}
        1s pause id 1 => paused; told pause@5
        2s pause id 1 => told pause@5
        3s resume id 2 => resumed; told resume@6
        # The same answer, although it has been resumed since.
        4s pause id 1 => told pause@5
        4s pause id 1 mute => told operation_id_reused
        4s resume id 1 => told operation_id_reused
        waiting => step `pay`: sent to its workers at 2026-01-02T10:00:00Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:05Z
        # Refused, so not done: under the same id it is done when the state allows it.
        4s retry id 3 => told illegal_here
        4s pay do#1 retry busy => pay do again at 5s
        4s retry id 3 => pay do ordered; pay do#2 till 9s; told retry@8
    "
        ),
    );
}

#[test]
fn of_two_operators_at_once_the_second_finds_what_the_first_has_left() {
    check(
        UNDO,
        &format!(
            "{ASKING}
        2s resolve c as succeeded id 1 => c do resolved as succeeded; c ok; d do#1 till 7s; told resolve@9
        2s resolve c as failed id 2 => told illegal_here
        2s retry c id 3 => told illegal_here
    "
        ),
    );
}

#[test]
fn a_worker_that_answers_before_the_operator_wins() {
    check(
        PAID,
        &format!(
            "{BEHIND}
        1s confirm do#1 failed gone => confirm stuck on do gone
        # Of an attempt before it, redelivered.
        2s confirm do#1 ok => confirm ok; completed
        2s skip confirm => told illegal_here
        2s cancel => cancel requested forward; forward#1 till 4s; told forward
    "
        ),
    );
}

#[test]
fn refusals_name_the_verb_and_the_state() {
    let mut run = check(PAID, PAYING);
    let (code, sentence) = refusal(&mut run, OperatorAct::Skip { step: None });
    assert_eq!(code, "illegal_here");
    assert_eq!(
        sentence,
        "`skip` is illegal here: the saga is running, its step `pay` is in flight: it is with the workers and may yet happen"
    );
    let mut long = request(1, OperatorAct::Pause);
    long.reason = "x".repeat(REASON_BYTES_MAX + 1);
    let decision = decide(&run.definition, &mut run.state, Input::Operate(long), run.now);
    assert_eq!(decision.operated.expect("told").expect_err("refused").code, "reason_too_long");
}

#[test]
fn an_output_beyond_its_schema_or_bound_is_refused_with_its_place() {
    let mut run = check(
        PAID,
        "
        start => started; seat do#1 till 10s
        10s tick => seat in doubt, do timed out; seat do again at 11s in doubt
    ",
    );
    let resolve = |output| OperatorAct::Resolve {
        step: None,
        resolution: Resolution::Succeeded { outcome: Some("paid".to_owned()), output },
    };
    assert_eq!(refusal(&mut run, resolve(json!("x".repeat(70_000)))).0, "output_too_large");
}

#[test]
fn acts_are_remembered_within_a_bound() {
    let mut run = check(PAID, PAYING);
    for id in 0..(OPERATIONS_REMEMBERED_MAX as u128 + 10) {
        let act = if id % 2 == 0 { OperatorAct::Pause } else { OperatorAct::Resume };
        let decision = decide(&run.definition, &mut run.state, Input::Operate(request(id, act)), run.now);
        assert!(decision.operated.expect("told").is_ok());
    }
    assert_eq!(run.state.by_hand.done.len(), OPERATIONS_REMEMBERED_MAX);
}
