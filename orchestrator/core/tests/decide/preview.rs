//! What a cancel would do, said before it is done.

use amends_core::decide::{Input, decide};
use amends_core::preview::preview;
use amends_schemas::operate::CancelPreview;
use serde_json::json;

use crate::check::{PAID, UNDO, check, check_given, saga_id};

#[test]
fn before_the_pivot_it_undoes_backwards_what_has_succeeded() {
    check(UNDO, "
        start => started; a do#1 till 5s
        preview => before: a cancel would wait for the end of `a` and then undo a (if it happened) | 1 undo a? | stays 
        a do#1 retry busy => a do again at 1s
        preview => before: a cancel would undo nothing |  | stays 
        1s tick => a do#2 till 6s
        a do#2 ok => a ok; b do#1 till 6s
        b do#1 ok => b ok; c do#1 till 6s
        c do#1 unknown => c in doubt, do reported; c stuck on do in doubt lost
        preview => before: a cancel would first settle whether `c` happened and then undo b, then a | 1 waive c?, 1 undo b, 2 undo a | stays 
        c do#1 ok => c ok; d do#1 till 6s
        preview => undecided: a cancel would wait for the end of `d` and then undo b, then a; if it turns out to have happened, the saga goes forward instead | 1 none d?, 1 waive c, 1 undo b, 2 undo a | stays c
        pause => paused; told pause@13
        preview => undecided: a cancel would wait for the end of `d` and then undo b, then a; if it turns out to have happened, the saga goes forward instead; nothing of it happens before the saga is resumed | 1 none d?, 1 waive c, 1 undo b, 2 undo a | stays c
        resume => resumed; told resume@14
        d do#1 failed no => d failed no; back failed; c waived; b undo#1 till 5s
        preview => before: amends are being made; what is left is to undo b, then a | 1 undo b, 2 undo a | stays c
        b undo#1 ok => b undone; a undo#1 till 5s
        a undo#1 ok => a undone; compensated failed
        preview => before: amends have been made; a cancel would change nothing |  | stays c
    ");
}

#[test]
fn behind_the_pivot_another_saga_cancels() {
    let run = check(PAID, "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        pay do#1 ok => pay ok pivot; confirm do#1 till 5s
        preview => after: past the point of no return: a cancel would start the saga other once this one is completed |  | stays seat,pay
        confirm do#1 ok => confirm ok; completed
        preview => after: past the point of no return: a cancel would start the saga other |  | stays seat,pay,confirm
    ");
    let CancelPreview::Forward { forward_saga_id, input, now, .. } =
        preview(&run.definition, &run.state, run.now).cancel
    else {
        panic!("not forward");
    };
    assert_eq!((forward_saga_id, now), (saga_id().forward_cancellation(), true));
    assert_eq!(input, json!({"of": saga_id(), "why": ""}));
}

#[test]
fn what_would_be_refused_says_so() {
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        d do#1 ok => d ok pivot; completed
        preview => after: a cancel would be refused: past_pivot: it is past the point of no return, and its definition names no `cancel_with` saga |  | stays a,b,c,d
    ",
    );
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        terminate forced => terminated; told terminate@3
        preview => before: a cancel would be refused: illegal_here: an operator has ended it as it stood |  | stays 
    ",
    );
}

#[test]
fn an_undo_is_shown_with_what_it_is_given() {
    let run = check(
        PAID,
        "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
    ",
    );
    let steps = preview(&run.definition, &run.state, run.now).steps;
    assert_eq!(steps[0].input, json!({"seat": 7}));
    assert_eq!((steps[1].step.as_str(), &steps[1].output), ("seat", &Some(json!({"seat": 7}))));
}

/// A step, then two branches of two and one steps, then one more.
const BRANCHES: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: a, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
  - parallel:
      - steps:
          - {name: b, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
          - {name: c, call: t.last@1, kind: compensable, compensate: {waive: it only looks}, timeout: 5s}
          - {name: d, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
      - {name: e, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}
  - {name: f, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s, retry: {attempts: 2, backoff: 1s, jitter: 0}}
";

#[test]
fn branches_are_undone_at_the_same_time_each_backwards() {
    let under_way = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s; e do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        preview => before: a cancel would wait for the ends of `c` and `e` and then undo b and e (if it happened) at the same time, then a | 1 waive c?, 1 undo b, 1 undo e?, 2 undo a | stays
        e do#1 ok => e ok
        c do#1 ok => c ok; d do#1 till 5s
    ";
    check(
        BRANCHES,
        &format!(
            "{under_way}
        d do#1 ok => d ok; f do#1 till 5s
        1s f do#1 retry busy => f do again at 2s
        preview => before: a cancel would undo d and e at the same time, then b, then a | 1 undo d, 1 undo e, 2 waive c, 2 undo b, 3 undo a | stays c
        1s cancel => cancel requested; f failed busy; back cancelled; d undo#1 till 6s; e undo#1 till 6s; told compensating
        preview => before: amends are being made; what is left is to undo d and e at the same time, then b, then a | 1 undo d, 1 undo e, 2 waive c, 2 undo b, 3 undo a | stays c
        d undo#1 ok => d undone; c waived; b undo#1 till 6s
        b undo#1 ok => b undone
        preview => before: amends are being made; what is left is to undo e, then a | 1 undo e, 2 undo a | stays c
        e undo#1 ok => e undone; a undo#1 till 6s"
        ),
    );
}

#[test]
fn of_children_at_work_it_says_that_they_are_cancelled() {
    let many = crate::for_each::MANY.replace("POLICY", "stop");
    check_given(
        &many,
        json!({"guests": 4}),
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; kids has 4; kids starts 0,1
        preview => before: a cancel would cancel the children of `kids` that are at work, start no more, wait for their ends and then undo kids (what of it has completed), then a | 1 cancel_children kids?, 2 undo a | stays
        1s child kids 0 => kids/0 ok; kids starts 2
        1s cancel => cancel requested; kids halted and cancelled; told compensating
        preview => before: it has been cancelled already; what is left is to wait for the ends of the children of `kids` (they are being cancelled) and then undo kids (what of it has completed), then a | 1 cancel_children kids?, 2 undo a | stays
        2s child kids 1 terminated => kids/1 in doubt child_terminated
        2s child kids 2 compensated => kids/2 failed child_compensated; kids stuck on do in doubt child_terminated
        preview => before: it has been cancelled already; what is left is to first settle whether `kids` happened and then undo kids (if it happened), then a | 1 cancel_children kids?, 2 undo a | stays
    ",
    );
}

#[test]
fn what_somebody_has_cancelled_already_says_so() {
    let paying = "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
    ";
    check(
        PAID,
        &format!(
            "{paying}
        cancel => cancel requested; told undecided by pay
        preview => undecided: it has been cancelled already; what is left is to wait for the end of `pay` and then undo seat; if it turns out to have happened, the saga goes forward instead | 1 none pay?, 1 undo seat | stays
        cancel => told undecided by pay
        pay do#1 ok => pay ok pivot; cancel turned forward; confirm do#1 till 5s
        preview => after: it has been cancelled already: the saga FORWARD cancels it once it is completed |  | stays seat,pay
        confirm do#1 ok => confirm ok; completed; forward#1 till 2s
        preview => after: it has been cancelled already: the saga FORWARD, which cancels it, is being asked for |  | stays seat,pay,confirm
        1s forwarded refused => forward refused invalid_input
        preview => after: past the point of no return: a cancel would start the saga other |  | stays seat,pay,confirm
        1s cancel => cancel requested again by ann; forward#1 till 3s; told forward
        2s forwarded ok => forward started
        preview => after: it has been cancelled already: the saga FORWARD cancels it |  | stays seat,pay,confirm"
        )
        .replace("FORWARD", &saga_id().forward_cancellation().to_string()),
    );
    // Paused, a cancel waits.
    check(
        UNDO,
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        1s b do#1 retry busy => b do again at 2s
        pause => paused; told pause@6
        cancel => cancel requested; told compensating
        preview => before: it has been cancelled already; what is left is to undo a; nothing of it happens before the saga is resumed | 1 undo a | stays
    ",
    );
}

#[test]
fn a_saga_that_completed_without_a_pivot_is_not_said_to_be_past_it() {
    let without = UNDO.split("  - {name: b").next().expect("a part").to_owned();
    let done = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; completed
    ";
    let run = check(
        &without,
        &format!(
            "{done}
        preview => before: a cancel would be refused: past_pivot: it is completed, and its definition names no `cancel_with` saga |  | stays a
        cancel => told past_pivot"
        ),
    );
    let mut state = run.state;
    let cancel = Input::Cancel { by: String::new(), reason: String::new(), parent: None };
    let told = decide(&run.definition, &mut state, cancel, run.now).cancellation.expect("told").expect_err("refused");
    assert_eq!(
        told.message,
        "test@1 is completed, and its definition names no `cancel_with` saga that could cancel it now"
    );
    let with = without.replace("steps:", "cancel_with: {saga: other, input: {of: /saga/id}}\nsteps:");
    check(&with, &format!("{done} preview => before: completed: a cancel would start the saga other |  | stays a"));
}
