//! A saga that was started by another: it tells of its end, and of the end of what cancels it.

use amends_core::decide::{Effect, Start, resume};
use serde_json::json;

use crate::check::{PAID, Run, UNDO, check, check_with, parent};

#[track_caller]
fn child(yaml: &str, script: &str) -> Run {
    check_with(yaml, Start { input: json!({}), parent: Some(parent()), ..Start::default() }, script)
}

const DONE: &str = "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        pay do#1 ok => pay ok pivot; confirm do#1 till 5s
        confirm do#1 ok => confirm ok; completed
";

#[test]
fn the_end_is_told_until_it_is_known() {
    let run = child(
        PAID,
        &format!(
            r#"
        {DONE}
        tell => completed {{"outcome":"paid"}}
        waiting => telling the saga 0193a1de-7d41-7cc1-9b5e-0242ac12000a of its end
        recover => tell parent
        1s parent told => parent told
        tell => -
        1s parent told => -
        recover =>
        waiting => -
    "#
        ),
    );
    assert!(run.state.is_settled());
    let mut untold = child(PAID, DONE);
    assert!(!untold.state.is_settled(), "somebody has yet to be told");
    untold.give("parent told");
    assert!(untold.state.is_settled());
}

#[test]
fn before_its_end_there_is_nothing_to_tell() {
    child(
        PAID,
        "
        start => started; seat do#1 till 10s
        tell => -
        parent told => -
    ",
    );
}

#[test]
fn a_saga_without_parent_tells_nobody() {
    let run = check(PAID, &format!("{DONE} parent told => -"));
    assert!(run.state.is_settled());
    assert!(!resume(&run.definition, &run.state).contains(&Effect::TellParent));
}

#[test]
fn a_parent_hears_why_it_did_not_happen() {
    child(
        PAID,
        "
        start => started; seat do#1 till 10s
        seat do#1 failed full => seat failed full; back failed; compensated failed
        tell => compensated child_compensated: The saga 0193a1de-7d41-7cc1-9b5e-0242ac120002 made amends: step `seat`: full: a test's
    ",
    );
    child(
        PAID,
        "
        start => started; seat do#1 till 10s
        parent cancels => cancel requested; told compensating
        seat do#1 failed full => seat failed full; back cancelled; compensated cancelled
        tell => compensated child_compensated: The saga 0193a1de-7d41-7cc1-9b5e-0242ac120002 is compensated (cancelled).
    ",
    );
    child(
        PAID,
        "
        start => started; seat do#1 till 10s
        terminate forced => terminated; told terminate@3
        tell => terminated child_terminated: An operator has ended the saga 0193a1de-7d41-7cc1-9b5e-0242ac120002 as it stood, so what it has done stands; see which of its steps have happened, put right what has to be, and resolve this step.
        waiting => telling the saga 0193a1de-7d41-7cc1-9b5e-0242ac12000a of its end
        parent told => parent told
        waiting => -
    ",
    );
    // Of branches the one that failed, not the one that was dropped.
    child(
        "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - parallel:
      - {name: nap, sleep: 10s}
      - {name: a, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
",
        "
        start => started; nap waits till 10s; a do#1 till 5s
        a do#1 failed no => a failed no; nap failed dropped; back failed; compensated failed
        tell => compensated child_compensated: The saga 0193a1de-7d41-7cc1-9b5e-0242ac120002 made amends: step `a`: no: a test's
    ",
    );
}

/// The saga that cancels it forward tells the parent of its own end.
fn forward_tells(run: &Run) -> bool {
    resume(&run.definition, &run.state).iter().any(
        |effect| matches!(effect, Effect::StartForward { request } if request.parent.as_ref().is_some_and(|link| link.saga_id == parent().saga_id)),
    )
}

#[test]
fn behind_its_end_a_parent_cancels_it_forward() {
    let run =
        child(PAID, &format!("{DONE} 1s parent cancels => cancel requested forward; forward#1 till 3s; told forward"));
    assert!(forward_tells(&run));
    child(
        PAID,
        &format!(
            "{DONE}
        1s parent cancels => cancel requested forward; forward#1 till 3s; told forward
        2s forwarded ok => forward started
        2s parent cancels => told forward
        "
        ),
    );
    // Nothing cancels it.
    child(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        d do#1 ok => d ok pivot; completed
        parent cancels => told past_pivot
    ",
    );
}

#[test]
fn a_cancel_by_others_is_taken_over_while_nothing_was_started_by_it() {
    // Before the pivot: should it succeed after all, the parent is told of what cancels it.
    let run = child(
        PAID,
        "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        cancel => cancel requested; told undecided by pay
        parent cancels => cancel adopted; told undecided by pay
        parent cancels => told undecided by pay
        pay do#1 ok => pay ok pivot; cancel turned forward; confirm do#1 till 5s
        confirm do#1 ok => confirm ok; completed; forward#1 till 2s
    ",
    );
    assert!(forward_tells(&run));
    // Behind it, before its end.
    let run = child(
        PAID,
        "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        pay do#1 ok => pay ok pivot; confirm do#1 till 5s
        cancel => cancel requested forward; told forward
        parent cancels => cancel adopted; told forward
        confirm do#1 ok => confirm ok; completed; forward#1 till 2s
    ",
    );
    assert!(forward_tells(&run));
    // Refused so far: it is asked for once more, now with the parent.
    let run = child(
        PAID,
        &format!(
            "{DONE}
        cancel => cancel requested forward; forward#1 till 2s; told forward
        forwarded refused => forward refused invalid_input
        parent cancels => cancel adopted; cancel requested again by parent; forward#1 till 2s; told forward"
        ),
    );
    assert!(forward_tells(&run));
}

#[test]
fn what_others_have_started_tells_no_parent() {
    // It is being asked for without a word of whom to tell: whoever asks again hears how that went.
    child(
        PAID,
        &format!(
            "{DONE}
        cancel => cancel requested forward; forward#1 till 2s; told forward
        parent cancels => told cancellation_under_way
        1s forwarded ok => forward started
        1s parent cancels => told cancelled_by_others
        1s cancel => told forward"
        ),
    );
}
