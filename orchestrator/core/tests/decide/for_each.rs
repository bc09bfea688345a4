//! Many children of one step: how many at once, what a failure means, how they are undone.

use amends_core::decide::{Input, decide};
use amends_core::surroundings::Surroundings;
use amends_core::view::view;
use amends_schemas::operate::{OperateSaga, OperatorAct};
use serde_json::{Value, json};

use crate::check::{Run, check_given, saga_id};

/// Many children, two at a time, before the pivot; POLICY says what a failure means.
pub const MANY: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: a, call: t.plain@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s}
  - {name: kids, saga: badge, for_each: /input/guests, concurrency: 2, on_failure: POLICY, kind: compensable, input: {guest: /item/name, place: /index}, compensate: cancel}
  - {name: b, call: t.plain@1, kind: compensable, input: {done: /steps/kids/output}, compensate: undo, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
";

#[track_caller]
fn many(policy: &str, guests: Value, script: &str) -> Run {
    check_given(
        &MANY.replace("POLICY", policy),
        json!({"guests": guests}),
        &format!("start => started; a do#1 till 5s\n{script}"),
    )
}

/// Four guests with names.
fn four() -> Value {
    json!([{"name": "ann"}, {"name": "ben"}, {"name": "cem"}, {"name": "dee"}])
}

#[test]
fn a_saga_that_ended_by_hand_starts_and_cancels_no_more() {
    let run = many(
        "stop",
        four(),
        "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        1s terminate forced => terminated; told terminate@6
        2s child kids 0 => -
        2s refused kids 1 do no => -
        recover =>
    ",
    );
    // Whoever ended it is told that its children go on, also when asked again.
    let mut state = run.state;
    let request = |act| OperateSaga {
        saga_id: saga_id(),
        operation_id: state.by_hand.done[0].operation_id,
        by: "ann".to_owned(),
        reason: "a test".to_owned(),
        act,
    };
    let again = Input::Operate(request(OperatorAct::Terminate { force: true }));
    let told = decide(&run.definition, &mut state, again, run.now).operated.expect("told").expect("the same");
    assert_eq!(told.children_left, 2);
}

#[test]
fn there_is_a_child_for_each_item_and_no_more_at_once_than_is_said() {
    let run = many(
        "stop",
        four(),
        r#"
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        request kids 1 => badge {"guest":"ben","place":1}
        1s child kids 1 => kids/1 ok; kids starts 2
        recover => start kids 0,2
        1s child kids 2 => kids/2 ok; kids starts 3
        request kids 3 => badge {"guest":"dee","place":3}
        1s child kids 0 => kids/0 ok
        2s child kids 3 => kids/3 ok; kids ok; b do#1 till 7s
        command b => do#1 t.plain@1 {"done":{"completed":4,"failed":0,"failures":[],"total":4}}
        2s child kids 3 => -
    "#,
    );
    assert_eq!(view(&run.definition, &run.state, &Surroundings::default()).steps[1].action, "for_each");
}

#[test]
fn children_may_be_counted_and_there_may_be_none() {
    let run = many(
        "stop",
        json!(2),
        r#"
        a do#1 ok => a ok; kids has 2; kids starts 0,1
        request kids 1 => badge {"place":1}
    "#,
    );
    assert!(run.state.steps[1].phase.is_open());
    for none in [json!(0), json!([])] {
        many("stop", none.clone(), "a do#1 ok => a ok; kids has 0; kids ok; b do#1 till 5s");
        many("continue", none, "a do#1 ok => a ok; kids has 0; kids ok:all; b do#1 till 5s");
    }
}

#[test]
fn what_is_no_list_or_too_long_fails_its_step() {
    for guests in [json!("ann"), json!(-1), json!(1.5), json!(100_001), json!(null), json!({})] {
        many("stop", guests, "a do#1 ok => a ok; kids failed bad_items; back failed; a undo#1 till 4s");
    }
}

#[test]
fn stop_lets_those_at_work_end_and_undoes_what_completed_backwards() {
    many(
        "stop",
        four(),
        "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        1s child kids 0 => kids/0 ok; kids starts 2
        1s child kids 1 compensated => kids/1 failed child_compensated; kids halted
        waiting => step `kids`: waiting for child 3 of 4 (saga LAST); 2 of 4 have ended; no more are started, for child 2 failed (child_compensated), and then the saga turns back
        recover => start kids 2
        2s child kids 2 => kids/2 ok; kids interrupted children_failed; back failed; kids cancels 2,0
        waiting => undoing step `kids`: cancelling child 1 of 4 (saga KID), 2 still to be undone
        recover => cancel kids 0,2
        preview => before: amends are being made; what is left is to undo kids, then a | 1 cancel_children kids, 2 undo a | stays
        3s undone kids 0 => kids/0 undone
        3s undone kids 2 => kids/2 undone; kids undone; a undo#1 till 7s
        4s a undo#1 ok => a undone; compensated failed
    "
        .replace("LAST", &saga_id().child("kids", 0, 2, 0).to_string())
        .replace("KID", &saga_id().child("kids", 0, 0, 0).to_string())
        .as_str(),
    );
}

#[test]
fn continue_goes_on_and_its_outcome_says_whether_all_did() {
    let run = many(
        "continue",
        four(),
        "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        child kids 0 compensated => kids/0 failed child_compensated; kids starts 2
        child kids 1 => kids/1 ok; kids starts 3
        child kids 2 => kids/2 ok
        child kids 3 compensated => kids/3 failed child_compensated; kids ok:some; b do#1 till 5s
        1s b do#1 failed no => b failed no; back failed; kids cancels 2,1
    ",
    );
    let output = run.state.steps[1].output.as_ref().expect("an output");
    assert_eq!((&output["completed"], &output["failed"]), (&json!(2), &json!(2)));
    assert_eq!(output["failures"][1]["child"], json!(3));
}

#[test]
fn one_that_was_ended_by_hand_is_put_before_a_person_when_the_others_have_ended() {
    // No more are started while nobody knows whether it failed; those at work are left to end.
    for policy in ["stop", "compensate"] {
        let stuck = "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        1s child kids 0 terminated => kids/0 in doubt child_terminated
        recover => start kids 1
        2s child kids 1 => kids/1 ok; kids stuck on do in doubt child_terminated
        3s resolve as succeeded outcome all => told invalid_outcome
        3s resolve as succeeded output => told invalid_output
        ";
        let run = many(
            policy,
            four(),
            &format!(
                "{stuck}
        4s resolve as succeeded => kids do resolved as succeeded; kids/0 ok; kids starts 2,3; told resolve@9
        5s child kids 2 => kids/2 ok
        5s child kids 3 => kids/3 ok; kids ok; b do#1 till 10s
        6s b do#1 failed no => b failed no; back failed; kids cancels 3,2
        7s undone kids 2 => kids/2 undone; kids cancels 1
        7s undone kids 3 => kids/3 undone; kids cancels 0
        7s undone kids 1 => kids/1 undone
        7s refused kids 0 undo illegal_here => kids/0 not undone illegal_here; kids stuck on undo illegal_here"
            ),
        );
        assert_eq!(run.state.steps[1].output.as_ref().map(|output| &output["completed"]), Some(&json!(4)));
        let halted = if policy == "stop" { "kids halted" } else { "kids halted and cancelled" };
        many(
            policy,
            four(),
            &format!(
                "{stuck}
        4s resolve as failed => kids do resolved as failed; kids/0 failed resolved_as_failed; {halted}; kids interrupted children_failed; back failed; kids cancels 1; told resolve@9"
            ),
        );
    }
}

#[test]
fn whatever_fails_beside_one_that_was_ended_by_hand_the_step_stays_in_doubt() {
    many(
        "stop",
        four(),
        "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        1s child kids 0 terminated => kids/0 in doubt child_terminated
        2s child kids 1 compensated => kids/1 failed child_compensated; kids halted; kids stuck on do in doubt child_terminated
        3s resolve as failed => kids do resolved as failed; kids/0 failed resolved_as_failed; kids failed children_failed; back failed; a undo#1 till 7s; told resolve@10
    ",
    );
    many(
        "stop",
        four(),
        "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        1s child kids 0 terminated => kids/0 in doubt child_terminated
        2s child kids 1 terminated => kids/1 in doubt child_terminated; kids stuck on do in doubt child_terminated
        waiting => stuck: step `kids` needs a person, nobody knows whether it happened: child_terminated: An operator has ended the saga KID as it stood, so what it has done stands; see which of its steps have happened, put right what has to be, and resolve this step. 1 more were ended so, and are resolved with it
        3s resolve as succeeded => kids do resolved as succeeded; kids/0 ok; kids/1 ok; kids starts 2,3; told resolve@9
    "
        .replace("KID", &saga_id().child("kids", 0, 0, 0).to_string())
        .as_str(),
    );
}

#[test]
fn continue_goes_on_beside_one_that_was_ended_by_hand_and_then_asks_a_person() {
    let stuck = "
        a do#1 ok => a ok; kids has 3; kids starts 0,1
        1s child kids 0 terminated => kids/0 in doubt child_terminated; kids starts 2
        2s child kids 1 => kids/1 ok
        2s child kids 2 => kids/2 ok; kids stuck on do in doubt child_terminated
    ";
    let (ok, some) = (
        "3s resolve as succeeded => kids do resolved as succeeded; kids/0 ok; kids ok:all; b do#1 till 8s; told resolve@11",
        "3s resolve as failed => kids do resolved as failed; kids/0 failed resolved_as_failed; kids ok:some; b do#1 till 8s; told resolve@11",
    );
    many("continue", json!(3), &format!("{stuck}{ok}"));
    many("continue", json!(3), &format!("{stuck}{some}"));
    many("continue", json!(3), &format!("{stuck} 3s terminate forced => terminated; told terminate@11"));
}

#[test]
fn compensate_cancels_those_at_work() {
    many(
        "compensate",
        four(),
        "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        1s child kids 0 compensated => kids/0 failed child_compensated; kids halted and cancelled
        recover => cancel kids 1
        2s child kids 1 => kids/1 ok; kids interrupted children_failed; back failed; kids cancels 1
        3s undone kids 1 => kids/1 undone; kids undone; a undo#1 till 7s
    ",
    );
    many(
        "compensate",
        four(),
        "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        1s child kids 0 compensated => kids/0 failed child_compensated; kids halted and cancelled
        2s child kids 1 compensated => kids/1 failed child_compensated; kids failed children_failed; back failed; a undo#1 till 6s
    ",
    );
}

#[test]
fn a_cancel_of_the_parent_halts_whatever_the_policy() {
    for policy in ["stop", "continue", "compensate"] {
        many(
            policy,
            four(),
            "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        1s child kids 0 => kids/0 ok; kids starts 2
        1s cancel => cancel requested; kids halted and cancelled; told compensating
        1s cancel => told compensating
        2s child kids 1 compensated => kids/1 failed child_compensated
        2s child kids 2 compensated => kids/2 failed child_compensated; kids interrupted children_failed; back cancelled; kids cancels 0
        3s undone kids 0 => kids/0 undone; kids undone; a undo#1 till 7s
    ",
        );
    }
}

#[test]
fn undoing_keeps_to_the_bound_too_and_one_that_cannot_be_undone_waits_for_the_others() {
    many(
        "stop",
        four(),
        "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        child kids 0 => kids/0 ok; kids starts 2
        child kids 1 => kids/1 ok; kids starts 3
        child kids 2 => kids/2 ok
        child kids 3 => kids/3 ok; kids ok; b do#1 till 5s
        1s b do#1 failed no => b failed no; back failed; kids cancels 3,2
        2s refused kids 3 undo past_pivot => kids/3 not undone past_pivot; kids cancels 1
        2s undone kids 1 => kids/1 undone; kids cancels 0
        2s undone kids 0 => kids/0 undone
        2s undone kids 2 => kids/2 undone; kids stuck on undo past_pivot
        3s retry kids => kids undo ordered; kids cancels 3; told retry@24
        3s undone kids 3 => kids/3 undone; kids undone; a undo#1 till 7s
    ",
    );
}

#[test]
fn children_whose_amends_are_waived_are_left_as_they_are() {
    let waived =
        MANY.replace("POLICY", "stop").replace("compensate: cancel", "compensate: {waive: badges are only paper}");
    check_given(
        &waived,
        json!({"guests": 2}),
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; kids has 2; kids starts 0,1
        child kids 0 => kids/0 ok
        child kids 1 compensated => kids/1 failed child_compensated; kids halted; kids interrupted children_failed; back failed; kids waived; a undo#1 till 4s
    ",
    );
}

#[test]
fn paused_no_child_is_started_or_cancelled_but_ends_are_taken() {
    many(
        "compensate",
        four(),
        "
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        1s pause => paused; told pause@6
        1s child kids 0 compensated => kids/0 failed child_compensated
        recover => start kids 1
        2s resume => resumed; kids halted and cancelled; told resume@8
    ",
    );
    many(
        "stop",
        json!(3),
        "
        a do#1 ok => a ok; kids has 3; kids starts 0,1
        1s pause => paused; told pause@6
        1s child kids 0 => kids/0 ok
        1s child kids 1 => kids/1 ok
        2s resume => resumed; kids starts 2; told resume@9
        3s pause => paused; told pause@11
        3s child kids 2 => kids/2 ok
        4s resume => resumed; kids ok; b do#1 till 9s; told resume@13
        5s b do#1 failed no => b failed no; back failed; kids cancels 2,1
        5s pause => paused; told pause@19
        5s undone kids 2 => kids/2 undone
        5s undone kids 1 => kids/1 undone
        6s resume => resumed; kids cancels 0; told resume@22
        6s pause => paused; told pause@24
        6s undone kids 0 => kids/0 undone
        7s resume => resumed; kids undone; a undo#1 till 11s; told resume@26
    ",
    );
    // It was cancelled meanwhile.
    many(
        "stop",
        json!(3),
        "
        a do#1 ok => a ok; kids has 3; kids starts 0,1
        1s pause => paused; told pause@6
        1s cancel => cancel requested; told compensating
        1s child kids 0 => kids/0 ok
        2s resume => resumed; kids halted and cancelled; told resume@9
    ",
    );
}
