//! What a cancel would do, said before it is done.

use amends_core::preview::preview;
use amends_schemas::operate::CancelPreview;
use serde_json::json;

use crate::check::{PAID, UNDO, check, saga_id};

#[test]
fn before_the_pivot_it_undoes_backwards_what_has_succeeded() {
    check(UNDO, "
        start => started; a do#1 till 5s
        preview => before: a cancel would wait for the end of `a` and then undo a (if it happened) | undo a? | stays 
        a do#1 retry busy => a do again at 1s
        preview => before: a cancel would undo nothing |  | stays 
        1s tick => a do#2 till 6s
        a do#2 ok => a ok; b do#1 till 6s
        b do#1 ok => b ok; c do#1 till 6s
        c do#1 unknown => c in doubt, do reported; c stuck on do in doubt lost
        preview => before: a cancel would first settle whether `c` happened and then undo b, then a | waive c?, undo b, undo a | stays 
        c do#1 ok => c ok; d do#1 till 6s
        preview => undecided: a cancel would wait for the end of `d` and then undo b, then a; if it turns out to have happened, the saga goes forward instead | none d?, waive c, undo b, undo a | stays c
        pause => paused; told pause@13
        preview => undecided: a cancel would wait for the end of `d` and then undo b, then a; if it turns out to have happened, the saga goes forward instead; nothing of it happens before the saga is resumed | none d?, waive c, undo b, undo a | stays c
        resume => resumed; told resume@14
        d do#1 failed no => d failed no; back failed; c waived; b undo#1 till 5s
        preview => before: amends are being made; what is left is to undo b, then a | undo b, undo a | stays c
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
        preview => after: a cancel would be refused: past_pivot |  | stays a,b,c,d
    ",
    );
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        terminate forced => terminated; told terminate@3
        preview => before: a cancel would be refused: illegal_here |  | stays 
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
