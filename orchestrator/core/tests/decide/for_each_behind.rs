//! Many children behind the pivot: nothing is undone there, what failed is started anew.

use serde_json::{Value, json};

use crate::check::{Run, check_given, saga_id};

/// Many children, two at a time, behind the pivot; POLICY says what a failure means.
const BEHIND: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: p, call: t.read@1, kind: pivot, timeout: 5s}
  - {name: kids, saga: badge, for_each: /input/guests, concurrency: 2, on_failure: POLICY, kind: retriable, input: {place: /index}}
";

#[track_caller]
fn behind(policy: &str, guests: Value, script: &str) -> Run {
    let script = format!("start => started; p do#1 till 5s\n{script}");
    check_given(&BEHIND.replace("POLICY", policy), json!({"guests": guests}), &script)
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
fn behind_the_pivot_one_that_was_ended_by_hand_is_started_anew_once_a_person_says_that_it_failed() {
    behind(
        "stop",
        json!(2),
        "
        p do#1 ok => p ok pivot; kids has 2; kids starts 0,1
        1s child kids 1 => kids/1 ok
        1s child kids 0 terminated => kids/0 in doubt child_terminated; kids stuck on do in doubt child_terminated
        2s skip => told illegal_here
        2s retry => told illegal_here
        2s resolve as failed => kids do resolved as failed; kids/0 failed resolved_as_failed; kids halted; kids stuck on do children_failed; told resolve@9
        3s retry => kids do ordered; kids starts 0; told retry@13
        4s child kids 0 => kids/0 ok; kids ok; completed
    ",
    );
}

#[test]
fn what_is_no_list_is_stuck_behind_the_pivot() {
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
