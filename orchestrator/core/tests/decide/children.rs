//! A step that starts another saga: how it ends, fails, and is cancelled.

use amends_core::surroundings::Surroundings;
use amends_core::view::view;
use serde_json::json;

use crate::check::{Run, check, check_given, saga_id};

/// A step, one child, a step that hears what it came to.
const ONE: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: a, call: t.plain@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s}
  - {name: kid, saga: badge@2, kind: compensable, input: {for: /input/who, of: /saga/id}, compensate: cancel}
  - {name: b, call: t.plain@1, kind: compensable, input: {badge: /steps/kid/output/of}, compensate: undo, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
";

const ONE_AT_WORK: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; kid has 1; kid starts 0
";

const ONE_DONE: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; kid has 1; kid starts 0
        1s child kid 0 => kid/0 ok; kid ok; b do#1 till 6s
";

#[track_caller]
fn one(given: &str, script: &str) -> Run {
    check_given(ONE, json!({"who": "ann"}), &format!("{given}{script}"))
}

#[test]
fn a_child_that_completes_is_its_step_done() {
    let run = one(
        ONE_AT_WORK,
        &format!(
            r#"
        request kid 0 => badge@2 {{"for":"ann","of":"{id}"}}
        waiting => step `kid`: waiting for child 1 of 1 (saga {child}); 0 of 1 have ended
        recover => start kid 0
        next => -
        child kid 0 => kid/0 ok; kid ok; b do#1 till 5s
        command b => do#1 t.plain@1 {{"badge":0}}
        child kid 0 => -
        child kid 0 compensated => -
        1s b do#1 ok => b ok; completed
    "#,
            id = saga_id(),
            child = saga_id().child("kid", 0, 0, 0),
        ),
    );
    assert_eq!(run.state.steps[1].output, Some(json!({"of": 0})));
    let seen = view(&run.definition, &run.state, &Surroundings::default());
    let children = seen.steps[1].children.as_ref().expect("seen");
    assert_eq!(
        (seen.steps[1].action.as_str(), children.total, children.completed, children.running),
        ("saga", 1, 1, 0)
    );
}

#[test]
fn a_child_that_does_not_complete_fails_its_step() {
    for (end, code) in [
        ("child kid 0 compensated", "child_compensated"),
        ("refused kid 0 do unknown_definition", "unknown_definition"),
    ] {
        one(
            ONE_AT_WORK,
            &format!(
                "
        1s {end} => kid/0 failed {code}; kid halted; kid failed {code}; back failed; a undo#1 till 5s
        2s {end} => -
        2s a undo#1 ok => a undone; compensated failed"
            ),
        );
    }
    // What may be otherwise next time is asked again by whoever asks.
    one(ONE_AT_WORK, "1s refused kid 0 do unavailable => -");
}

/// A child that an operator has ended as it stood: what it has done stands.
const ONE_ENDED_BY_HAND: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; kid has 1; kid starts 0
        1s child kid 0 terminated => kid/0 in doubt child_terminated; kid stuck on do in doubt child_terminated
";

#[test]
fn a_child_that_was_ended_by_hand_is_in_doubt_until_a_person_says_how_it_ended() {
    let run = one(
        ONE_ENDED_BY_HAND,
        &format!(
            "
        waiting => stuck: step `kid` needs a person, nobody knows whether it happened: child_terminated: An operator has ended the saga {child} as it stood, so what it has done stands; see which of its steps have happened, put right what has to be, and resolve this step
        2s child kid 0 terminated => -
        2s child kid 0 => -
        next => -
        recover =>
        3s skip => told illegal_here
        3s retry => told illegal_here
        3s retry-from kid => told illegal_here
        3s edit-input kid {{}} => told illegal_here
    ",
            child = saga_id().child("kid", 0, 0, 0),
        ),
    );
    let seen = view(&run.definition, &run.state, &Surroundings::default());
    let children = seen.steps[1].children.as_ref().expect("seen");
    assert_eq!((children.in_doubt, children.failed, children.completed), (1, 0, 0));
    assert_eq!(children.failures[0].error.code, "child_terminated");
    assert_eq!(children.failures[0].saga_id, saga_id().child("kid", 0, 0, 0));
    // It did not happen.
    one(
        ONE_ENDED_BY_HAND,
        "
        2s resolve as failed => kid do resolved as failed; kid/0 failed resolved_as_failed; kid halted; kid failed resolved_as_failed; back failed; a undo#1 till 6s; told resolve@8
        3s a undo#1 ok => a undone; compensated failed
    ",
    );
    // It did: what it came to is what the operator says, and to undo it takes a person, for it cannot be cancelled.
    let run = one(
        ONE_ENDED_BY_HAND,
        r#"
        2s resolve as succeeded outcome all => told invalid_outcome
        2s resolve as succeeded output => kid do resolved as succeeded; kid/0 ok; kid ok; b do#1 till 7s; told resolve@8
        command b => do#1 t.plain@1 {}
        3s b do#1 failed no => b failed no; back failed; kid cancels 0
        3s refused kid 0 undo illegal_here => kid/0 not undone illegal_here; kid stuck on undo illegal_here
        4s resolve as succeeded => kid undo resolved as succeeded; kid undone; a undo#1 till 8s; told resolve@17
    "#,
    );
    assert_eq!(run.state.steps[1].output, Some(json!({"seat": 9})));
}

#[test]
fn paused_what_is_said_of_a_child_in_doubt_waits_for_the_resume() {
    one(
        ONE_AT_WORK,
        "
        1s pause => paused; told pause@6
        1s child kid 0 terminated => kid/0 in doubt child_terminated
        2s resume => resumed; kid stuck on do in doubt child_terminated; told resume@8
        3s pause => paused; told pause@10
        3s resolve as succeeded => kid do resolved as succeeded; kid/0 ok; told resolve@11
        4s resume => resumed; kid ok; b do#1 till 9s; told resume@13
    ",
    );
}

#[test]
fn a_child_that_was_ended_by_hand_on_the_way_back_is_not_undone() {
    // At work, and cancelled by its parent.
    let cancelled = format!(
        "{ONE_AT_WORK}
        1s cancel => cancel requested; kid halted and cancelled; told compensating
        2s child kid 0 terminated => kid/0 in doubt child_terminated; kid stuck on do in doubt child_terminated
        2s cancel => told compensating
        next => -
        "
    );
    one(
        &cancelled,
        "3s resolve as failed => kid do resolved as failed; kid/0 failed resolved_as_failed; kid failed resolved_as_failed; back cancelled; a undo#1 till 7s; told resolve@10",
    );
    one(
        &cancelled,
        "
        3s resolve as succeeded => kid do resolved as succeeded; kid/0 ok; kid ok; back cancelled; kid cancels 0; told resolve@10
        3s refused kid 0 undo illegal_here => kid/0 not undone illegal_here; kid stuck on undo illegal_here
        4s skip => kid undo passed over; a undo#1 till 8s; told skip@17
    ",
    );
    // Completed, and the saga that cancels it was ended by hand.
    one(
        ONE_DONE,
        "
        2s b do#1 failed no => b failed no; back failed; kid cancels 0
        2s undone kid 0 terminated => kid/0 not undone child_terminated; kid stuck on undo child_terminated
    ",
    );
}

#[test]
fn a_cancel_reaches_a_child_at_work() {
    // It turns back.
    one(
        ONE_AT_WORK,
        "
        preview => before: a cancel would cancel the children of `kid` that are at work, start no more, wait for their ends and then undo kid (what of it has completed), then a | 1 cancel_children kid?, 2 undo a | stays
        1s cancel => cancel requested; kid halted and cancelled; told compensating
        recover => cancel kid 0
        2s child kid 0 compensated => kid/0 failed child_compensated; kid failed child_compensated; back cancelled; a undo#1 till 6s
        3s a undo#1 ok => a undone; compensated cancelled
    ",
    );
    // It completes all the same, and is then cancelled forward.
    one(
        ONE_AT_WORK,
        "
        1s cancel => cancel requested; kid halted and cancelled; told compensating
        2s child kid 0 => kid/0 ok; kid ok; back cancelled; kid cancels 0
        recover => cancel kid 0
        3s undone kid 0 => kid/0 undone; kid undone; a undo#1 till 7s
    ",
    );
    // Word of that may come before its own end.
    one(
        ONE_AT_WORK,
        "
        1s cancel => cancel requested; kid halted and cancelled; told compensating
        2s undone kid 0 => kid/0 undone
        2s undone kid 0 => -
        3s child kid 0 => kid/0 ok; kid failed children_cancelled; back cancelled; a undo#1 till 7s
    ",
    );
    // It cannot be cancelled: it comes to its end by itself.
    one(
        ONE_AT_WORK,
        "
        1s cancel => cancel requested; kid halted and cancelled; told compensating
        1s refused kid 0 undo past_pivot => -
        2s child kid 0 => kid/0 ok; kid ok; back cancelled; kid cancels 0
        2s refused kid 0 undo past_pivot => kid/0 not undone past_pivot; kid stuck on undo past_pivot
    ",
    );
}

#[test]
fn one_child_that_is_being_cancelled_is_spoken_of_as_one() {
    one(
        ONE_AT_WORK,
        &format!(
            "
        1s cancel => cancel requested; kid halted and cancelled; told compensating
        waiting => step `kid`: waiting for child 1 of 1 (saga {}), which is being cancelled; 0 of 1 have ended; turns back (cancelled) as soon as that is settled",
            saga_id().child("kid", 0, 0, 0)
        ),
    );
}

#[test]
fn a_child_that_has_completed_is_undone_by_the_saga_that_cancels_it() {
    one(
        ONE_DONE,
        "
        preview => before: a cancel would wait for the end of `b` and then undo b (if it happened), then kid, then a | 1 undo b?, 2 cancel_children kid, 3 undo a | stays
        2s b do#1 failed no => b failed no; back failed; kid cancels 0
        waiting => undoing step `kid`: cancelling child 1 of 1 (saga 5d0ee8f8-0000-5000-8000-000000000000), 1 still to be undone
        refused kid 0 undo unavailable => -
        undone kid 0 => kid/0 undone; kid undone; a undo#1 till 6s
        undone kid 0 => -
        a undo#1 ok => a undone; compensated failed
    "
        .replace("5d0ee8f8-0000-5000-8000-000000000000", &saga_id().child("kid", 0, 0, 0).to_string())
        .as_str(),
    );
}

#[test]
fn a_child_that_cannot_be_cancelled_needs_a_person() {
    let refused = format!(
        "{ONE_DONE}
        2s b do#1 failed no => b failed no; back failed; kid cancels 0
        2s refused kid 0 undo cancelled_by_others => kid/0 not undone cancelled_by_others; kid stuck on undo cancelled_by_others
        waiting => stuck: step `kid` needs a person, its undo cannot be carried out: cancelled_by_others: no
        "
    );
    one(
        &refused,
        "
        3s retry => kid undo ordered; kid cancels 0; told retry@14
        3s undone kid 0 => kid/0 undone; kid undone; a undo#1 till 7s
    ",
    );
    one(
        &refused,
        "
        3s pause => paused; told pause@14
        3s retry => kid undo ordered; told retry@15
        4s resume => resumed; kid cancels 0; told resume@16
    ",
    );
    one(&refused, "3s skip => kid undo passed over; a undo#1 till 7s; told skip@14");
    one(
        &refused,
        "3s resolve as succeeded => kid undo resolved as succeeded; kid undone; a undo#1 till 7s; told resolve@14",
    );
    // The saga that cancels it has ended without success. There is but one, so asking again is no use.
    one(
        &format!(
            "{ONE_DONE}
        2s b do#1 failed no => b failed no; back failed; kid cancels 0
        2s undone kid 0 compensated => kid/0 not undone child_compensated; kid stuck on undo child_compensated
        "
        ),
        "
        3s retry => kid undo ordered; kid stuck on undo child_compensated; told retry@14
        3s undone kid 0 => kid/0 undone
        3s skip => kid undo passed over; a undo#1 till 7s; told skip@17
    ",
    );
}

#[test]
fn a_child_beside_a_branch_that_fails_is_cancelled() {
    check(
        "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - parallel:
      - {name: kid, saga: badge, kind: compensable, compensate: cancel}
      - {name: a, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
",
        "
        start => started; kid has 1; kid starts 0; a do#1 till 5s
        1s a do#1 failed no => a failed no; kid halted and cancelled
        2s child kid 0 => kid/0 ok; kid ok; back failed; kid cancels 0
        3s undone kid 0 => kid/0 undone; kid undone; compensated failed
    ",
    );
}
