//! Sagas that start sagas: one or many, how they end, fail, are cancelled and started anew.

use std::time::{Duration, Instant};

use amends_core::decide::Input;
use amends_core::decide::{Effect, Start, decide, start};
use amends_core::surroundings::Surroundings;
use amends_core::view::view;
use amends_schemas::command::Operation;
use amends_schemas::family::{CHILDREN_SHOWN_MAX, ChildEnded, ParentLink};
use amends_schemas::saga::SagaStatus;
use serde_json::{Value, json};

use crate::check::{Run, check, check_given, definition, epoch, saga_id};

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

/// Many children, two at a time, before the pivot; POLICY says what a failure means.
const MANY: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: a, call: t.plain@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s}
  - {name: kids, saga: badge, for_each: /input/guests, concurrency: 2, on_failure: POLICY, kind: compensable, input: {guest: /item/name, place: /index}, compensate: cancel}
  - {name: b, call: t.plain@1, kind: compensable, input: {done: /steps/kids/output}, compensate: undo, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
";

/// The same behind the pivot.
const BEHIND: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: p, call: t.read@1, kind: pivot, timeout: 5s}
  - {name: kids, saga: badge, for_each: /input/guests, concurrency: 2, on_failure: POLICY, kind: retriable, input: {place: /index}}
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

#[track_caller]
fn behind(policy: &str, guests: Value, script: &str) -> Run {
    let script = format!("start => started; p do#1 till 5s\n{script}");
    check_given(&BEHIND.replace("POLICY", policy), json!({"guests": guests}), &script)
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
        ("child kid 0 terminated", "child_terminated"),
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

#[test]
fn a_cancel_reaches_a_child_at_work() {
    // It turns back.
    one(
        ONE_AT_WORK,
        "
        preview => before: a cancel would wait for the end of `kid` and then undo kid (if it happened), then a | cancel_children kid?, undo a | stays
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
fn a_child_that_has_completed_is_undone_by_the_saga_that_cancels_it() {
    one(
        ONE_DONE,
        "
        preview => before: a cancel would wait for the end of `b` and then undo b (if it happened), then kid, then a | undo b?, cancel_children kid, undo a | stays
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
fn a_saga_that_ended_by_hand_starts_and_cancels_no_more() {
    many(
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
fn what_is_no_list_or_too_long_fails_before_the_pivot_and_is_stuck_behind_it() {
    for guests in [json!("ann"), json!(-1), json!(1.5), json!(100_001), json!(null), json!({})] {
        many("stop", guests, "a do#1 ok => a ok; kids failed bad_items; back failed; a undo#1 till 4s");
    }
    let stuck = "p do#1 ok => p ok pivot; kids stuck on do bad_items";
    behind(
        "stop",
        json!("ann"),
        &format!(
            "{stuck}
        retry => kids do ordered; kids stuck on do bad_items; told retry@5
        pause => paused; told pause@7
        retry => kids do ordered; told retry@8
        resume => resumed; kids stuck on do bad_items; told resume@9
        next => -
        skip => kids do passed over; completed; told skip@11"
        ),
    );
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
        recover => start kids 2
        2s child kids 2 => kids/2 ok; kids interrupted children_failed; back failed; kids cancels 2,0
        waiting => undoing step `kids`: cancelling child 1 of 4 (saga KID), 2 still to be undone
        recover => cancel kids 0,2
        preview => before: amends are being made; what is left is to undo kids, then a | cancel_children kids, undo a | stays
        3s undone kids 0 => kids/0 undone
        3s undone kids 2 => kids/2 undone; kids undone; a undo#1 till 7s
        4s a undo#1 ok => a undone; compensated failed
    "
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
        child kids 3 terminated => kids/3 failed child_terminated; kids ok:some; b do#1 till 5s
        1s b do#1 failed no => b failed no; back failed; kids cancels 2,1
    ",
    );
    let output = run.state.steps[1].output.as_ref().expect("an output");
    assert_eq!((&output["completed"], &output["failed"]), (&json!(2), &json!(2)));
    assert_eq!(output["failures"][1]["child"], json!(3));
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
fn behind_the_pivot_only_those_that_failed_are_started_anew() {
    let run = behind(
        "stop",
        json!(4),
        "
        p do#1 ok => p ok pivot; kids has 4; kids starts 0,1
        1s child kids 0 compensated => kids/0 failed child_compensated; kids halted
        1s child kids 1 => kids/1 ok; kids stuck on do children_failed
        waiting => stuck: step `kids` needs a person, it cannot go on: children_failed: 1 of 4 children failed; child 1: child_compensated: The saga KID did not complete
        2s retry => kids do ordered; kids starts 0,2; told retry@10
        2s child kids 0~0 => -
        recover => start kids 0,2
        2s child kids 2 => kids/2 ok; kids starts 3
        3s child kids 0 => kids/0 ok
        3s child kids 3 => kids/3 ok; kids ok; completed
    "
        .replace("KID", &saga_id().child("kids", 0, 0, 0).to_string())
        .as_str(),
    );
    assert_eq!(run.children[&(1, 0)], [saga_id().child("kids", 0, 0, 0), saga_id().child("kids", 0, 0, 1)]);
    assert_eq!(run.children[&(1, 1)].len(), 1);
}

#[test]
fn many_that_are_started_anew_keep_to_the_bound_also_after_a_pause() {
    let stuck = "
        p do#1 ok => p ok pivot; kids has 3; kids starts 0,1
        1s child kids 0 compensated => kids/0 failed child_compensated; kids starts 2
        1s child kids 1 compensated => kids/1 failed child_compensated
        1s child kids 2 compensated => kids/2 failed child_compensated; kids ok:some; completed
    ";
    behind("continue", json!(3), stuck);
    let stuck = "
        p do#1 ok => p ok pivot; kids has 3; kids starts 0,1
        1s child kids 0 compensated => kids/0 failed child_compensated; kids halted
        1s child kids 1 compensated => kids/1 failed child_compensated; kids stuck on do children_failed
    ";
    behind(
        "stop",
        json!(3),
        &format!(
            "{stuck}
        2s pause => paused; told pause@10
        2s retry => kids do ordered; told retry@11
        recover =>
        3s resume => resumed; kids starts 0,1; told resume@12
        3s child kids 0 => kids/0 ok; kids starts 2
        3s child kids 1 => kids/1 ok
        3s child kids 2 => kids/2 ok; kids ok; completed"
        ),
    );
}

#[test]
fn behind_the_pivot_one_that_was_cancelled_after_all_is_started_anew() {
    behind(
        "compensate",
        json!(2),
        "
        p do#1 ok => p ok pivot; kids has 2; kids starts 0,1
        1s child kids 0 compensated => kids/0 failed child_compensated; kids halted and cancelled
        2s child kids 1 => kids/1 ok; kids stuck on do children_failed
        3s undone kids 1 => kids/1 undone
        4s retry => kids do ordered; kids starts 0,1; told retry@11
        5s undone kids 1~0 => -
        5s child kids 0 => kids/0 ok
        5s child kids 1 => kids/1 ok; kids ok; completed
    ",
    );
}

#[test]
fn behind_the_pivot_a_stuck_step_may_be_passed_over_or_resolved() {
    let stuck = "
        p do#1 ok => p ok pivot; kids has 1; kids starts 0
        1s skip => told illegal_here
        1s retry => told illegal_here
        1s resolve as succeeded => told illegal_here
        1s child kids 0 compensated => kids/0 failed child_compensated; kids halted; kids stuck on do children_failed
    ";
    behind("stop", json!(1), &format!("{stuck} 2s skip => kids do passed over; completed; told skip@9"));
    behind(
        "stop",
        json!(1),
        &format!(
            "{stuck} 2s resolve as succeeded => kids do resolved as succeeded; kids ok; completed; told resolve@9"
        ),
    );
    behind("stop", json!(1), &format!("{stuck} 2s resolve as succeeded outcome all => told invalid_outcome"));
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

/// A hundred thousand children come and go, every thousandth fails, and all that completed are undone.
#[test]
fn a_hundred_thousand_children_take_seconds_and_little_room() {
    const TOTAL: u32 = 100_000;
    let began = Instant::now();
    let yaml = MANY.replace("POLICY", "continue").replace("concurrency: 2", "concurrency: 100");
    let definition = definition(&yaml);
    let given = Start { input: json!({"guests": TOTAL}), ..Start::default() };
    let (mut state, _) = start(&definition, saga_id(), given, epoch());
    let mut give = |input: Input| {
        let decision = decide(&definition, &mut state, input, epoch());
        let children: Vec<u32> = decision
            .effects
            .iter()
            .flat_map(|effect| match effect {
                Effect::StartChildren { children, .. } | Effect::CancelChildren { children, .. } => children.clone(),
                _ => Vec::new(),
            })
            .collect();
        let stands = state.steps[1].children.as_ref();
        assert!(stands.is_none_or(|children| children.running.len() <= 100 && children.undoing.len() <= 100));
        let size = rmp_size(&state, &children);
        (children, size)
    };
    let reply =
        |step: &str, result| Input::Reply { step: step.to_owned(), operation: Operation::Do, attempt: 1, result };
    let ok = || amends_schemas::command::StepResult::Succeeded { outcome: None, output: json!({}) };
    let no =
        || amends_schemas::command::StepResult::Failed { error: amends_schemas::command::StepError::new("no", "No.") };
    let mut largest = 0;
    for operation in [Operation::Do, Operation::Undo] {
        let (step, result) = if operation == Operation::Do { ("a", ok()) } else { ("b", no()) };
        let (mut at_work, _) = give(reply(step, result));
        let mut ended = 0;
        // Of those at work the newest ends first, so that they are not in order.
        while let Some(child) = at_work.pop() {
            ended += 1;
            let id = saga_id().child("kids", 0, child, 0);
            let undo = operation == Operation::Undo;
            let (more, size) = give(Input::ChildEnded(ChildEnded {
                parent: ParentLink { saga_id: saga_id(), step: "kids".to_owned(), child, operation },
                saga_id: if undo { id.forward_cancellation() } else { id },
                status: if !undo && child % 1_000 == 7 { SagaStatus::Compensated } else { SagaStatus::Completed },
                output: Value::Null,
                error: None,
            }));
            largest = largest.max(size);
            at_work.splice(0..0, more);
        }
        assert_eq!(ended, if operation == Operation::Do { TOTAL } else { TOTAL - TOTAL / 1_000 });
    }
    let children = state.steps[1].children.as_ref().expect("children");
    assert_eq!((children.failed.count(), children.undone.count()), (100, TOTAL - 100));
    assert_eq!(children.failures.len(), CHILDREN_SHOWN_MAX);
    assert!(largest < 32 * 1024, "the state takes {largest} bytes");
    // On a slow machine, without optimisation.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

/// How large a checkpoint would be; looked at now and then, for writing it takes longer than deciding.
fn rmp_size(state: &amends_core::state::SagaState, children: &[u32]) -> usize {
    if children.iter().any(|child| child % 500 == 0) {
        rmp_serde::to_vec_named(state).expect("writes").len()
    } else {
        0
    }
}
