//! Going back to a step, another input for a step, and steps done anew.

use amends_core::decide::{Input, decide};
use amends_schemas::operate::{OperateSaga, OperatorAct};
use serde_json::json;
use uuid::Uuid;

use crate::check::{Run, check, check_given, saga_id};

/// Three steps that can be undone, the middle one waived, before a pivot; then two that succeed in the end.
const LONG: &str = "
saga: test
version: 1
title: Test
input: {type: object}
deadline: 100s
cancel_with: {saga: other, input: {of: /saga/id}}
steps:
  - {name: a, call: t.strict@1, input: {seat: /input/seat}, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s, retry: {attempts: 3, backoff: 1s, jitter: 0}}
  - {name: b, call: t.last@1, kind: compensable, compensate: {waive: it only looks}, timeout: 5s}
  - {name: c, call: t.plain@1, input: {seat: /steps/a/output/seat}, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s, retry: {attempts: 3, backoff: 1s, jitter: 0}}
  - {name: d, call: t.plain@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s, retry: {attempts: 3, backoff: 1s, jitter: 0}}
  - {name: p, call: t.read@1, kind: pivot, timeout: 5s}
  - {name: e, call: t.strict@1, input: {seat: /input/seat}, kind: retriable, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
  - {name: f, call: t.last@1, kind: retriable, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
";

/// The first three are done, the fourth backs off.
const BACKING_OFF: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        1s d do#1 retry busy => d do again at 2s
";

/// The first behind the pivot is done, the second is stuck.
const STUCK: &str = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        d do#1 ok => d ok; p do#1 till 5s
        p do#1 ok => p ok pivot; e do#1 till 5s
        e do#1 ok => e ok; f do#1 till 5s
        1s f do#1 failed no => f stuck on do no
";

#[track_caller]
fn long(given: &str, script: &str) -> Run {
    check_given(LONG, json!({"seat": 1}), &format!("{given}{script}"))
}

#[test]
fn what_happened_after_all_while_the_saga_goes_back_is_undone_too() {
    long(
        BACKING_OFF,
        "
        1s retry-from a => a ordered back; c undo#1 till 5s; told retry-from@10
        2s c undo#1 retry busy => c undo again at 3s
        2s d do#1 ok => d ok; d undo#1 till 6s
        2s d undo#1 ok => d undone
        3s tick => c undo#2 till 7s
        3s c undo#2 ok => c undone; a undo#1 till 7s
    ",
    );
}

#[test]
fn a_pivot_that_answers_late_while_the_saga_goes_back_is_asked_again_under_its_key() {
    long(
        BACKING_OFF,
        "
        2s tick => d do#2 till 7s
        2s d do#2 ok => d ok; p do#1 till 7s
        3s p do#1 retry busy => p do again at 3.185s
        3s retry-from c => c ordered back; d undo#1 till 7s; told retry-from@14
        3s p do#1 ok => -
        4s d undo#1 ok => d undone; c undo#1 till 8s
        5s c undo#1 ok => c undone; rewound c,d,p; c do#2 till 10s
        5s p do#1 ok => -
        5s c do#2 ok => c ok; d do#3 till 10s
        5s d do#3 ok => d ok; p do#2 till 10s
        command p => do#2 t.read@1 {}
        5s p do#1 ok => p ok pivot; e do#1 till 10s
    ",
    );
}

#[test]
fn what_has_succeeded_from_there_on_is_undone_backwards_and_done_anew_under_new_keys() {
    long(
        BACKING_OFF,
        r#"
        1s retry-from a => a ordered back; c undo#1 till 5s; told retry-from@10
        waiting => going back to step `a`: undoing step `c`: sent to its workers at 2026-01-02T10:00:01Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:05Z; and step `d`: backing off until 2026-01-02T10:00:02Z after busy: a test's (attempt 2 of 3)
        command c => undo#1 t.plain@1 {"seat":7} of {"seat":7}
        2s tick => -
        3s c undo#1 ok => c undone; a undo#1 till 7s
        4s a undo#1 ok => a undone; rewound a,b,c,d; a do#2 till 9s
        command a => do#2 t.strict@1 {"seat":1} ~1
        4s a do#1 ok => -
        4s a undo#1 ok => -
        5s a do#2 ok => a ok; b do#2 till 10s
        5s b do#2 ok => b ok; c do#2 till 10s
        5s c do#2 ok => c ok; d do#2 till 10s
        command d => do#2 t.plain@1 {}
        6s d do#2 failed no => d failed no; back failed; c undo#2 till 10s
        command c => undo#2 t.plain@1 {"seat":7} ~1 of {"seat":7} because failed
        6s c undo#1 ok => -
        6s c undo#2 ok => c undone; b waived; a undo#2 till 10s
        7s a undo#2 ok => a undone; compensated failed
    "#,
    );
}

#[test]
fn back_to_the_step_that_backs_off_nothing_is_undone_and_its_key_stays() {
    long(
        BACKING_OFF,
        r#"
        1s retry-from d => d ordered back; rewound d; d do#2 till 6s; told retry-from@10
        command d => do#2 t.plain@1 {}
        2s d do#2 retry busy => d do again at 3s
        2s next => 3s
        2s d do#1 ok => d ok; p do#1 till 7s
    "#,
    );
}

#[test]
fn behind_the_pivot_what_cannot_be_undone_is_done_again() {
    long(
        STUCK,
        r#"
        2s retry-from e => e ordered back; rewound e,f; e do#2 till 7s; told retry-from@16
        command e => do#2 t.strict@1 {"seat":1} ~1
        2s e do#2 ok => e ok; f do#2 till 7s
        2s f do#2 ok => f ok; completed
    "#,
    );
    long(STUCK, "2s retry-from f => f ordered back; rewound f; f do#2 till 7s; told retry-from@16");
}

#[test]
fn going_back_is_refused_where_it_cannot_be() {
    let flight = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
    ";
    long(
        flight,
        "
        1s retry-from a => told illegal_here
        1s retry-from b => told illegal_here
        1s retry-from c => told illegal_here
        1s retry-from nobody => told step_not_found
        1s retry-from a mute => told reason_required
        5s tick => b in doubt, do timed out; b do again at 5.172s in doubt
        5s retry-from a => told illegal_here
        5s cancel => cancel requested; told compensating
        5s retry-from a => told illegal_here
    "
        .replace("5.172s", &doubt_again())
        .as_str(),
    );
    long(
        BACKING_OFF,
        "
        1s retry-from p => told illegal_here
        1s retry-from a => a ordered back; c undo#1 till 5s; told retry-from@10
        1s retry-from b => told illegal_here
        1s retry d => told illegal_here
        1s edit-input d {\"seat\":2} => told illegal_here
    ",
    );
    long(
        STUCK,
        "
        2s retry-from p => told illegal_here
        2s retry-from a => told illegal_here
        2s skip => f do passed over; completed; told skip@16
        2s retry-from e => told illegal_here
    ",
    );
    long(
        BACKING_OFF,
        "
        1s cancel => cancel requested; d failed busy; back cancelled; c undo#1 till 5s; told compensating
        1s retry-from a => told illegal_here
    ",
    );
    check(
        crate::parallel::FORK,
        "
        start => started; a1 do#1 till 5s; b1 do#1 till 5s
        1s a1 do#1 retry busy => a1 do again at 2s
        1s retry-from a1 => told illegal_here
    ",
    );
}

/// When the second attempt of `b` is made: its backoff has the usual jitter.
fn doubt_again() -> String {
    let mut run = check_given(
        LONG,
        json!({"seat": 1}),
        "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
    ",
    );
    run.give("5s tick");
    run.give("next")
}

#[test]
fn back_over_branches_each_is_undone_and_done_anew() {
    let yaml = crate::parallel::FORK.replace(
        "steps:\n  - parallel:",
        "steps:\n  - {name: s, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s}\n  - parallel:",
    );
    let yaml =
        yaml.replace("timeout: 5s, retry: {attempts: 1, backoff: 1s", "timeout: 5s, retry: {attempts: 3, backoff: 1s");
    check(
        &yaml,
        "
        start => started; s do#1 till 5s
        s do#1 ok => s ok; a1 do#1 till 5s; b1 do#1 till 5s
        1s a1 do#1 ok => a1 ok; a2 do#1 till 6s
        1s a2 do#1 ok => a2 ok
        1s b1 do#1 ok => b1 ok; c do#1 till 6s
        1s retry-from s => told illegal_here
        1s c do#1 retry busy => c do again at 2s
        1s retry-from s => s ordered back; a2 undo#1 till 5s; b1 undo#1 till 5s; told retry-from@12
        2s a2 undo#1 ok => a2 undone; a1 undo#1 till 6s
        2s a1 undo#1 ok => a1 undone
        2s b1 undo#1 ok => b1 undone; s undo#1 till 7s
        3s s undo#1 ok => s undone; rewound s,a1,a2,b1,c; s do#2 till 8s
        3s s do#2 ok => s ok; a1 do#2 till 8s; b1 do#2 till 8s
    ",
    );
}

#[test]
fn on_the_way_back_an_undo_that_is_stuck_needs_a_person_first() {
    let stuck = format!(
        "{BACKING_OFF}
        1s retry-from c => c ordered back; c undo#1 till 5s; told retry-from@10
        1s c undo#1 failed gone => c stuck on undo gone
        waiting => going back to step `c`: stuck: step `c` needs a person, its undo cannot be carried out: gone: a test's; and step `d`: backing off until 2026-01-02T10:00:02Z after busy: a test's (attempt 2 of 3)
        next => 100s
        "
    );
    long(&stuck, "2s skip c => c undo passed over; rewound c,d; c do#2 till 7s; told skip@13");
    long(&stuck, "2s retry c => c undo ordered; c undo#2 till 6s; told retry@13");
    long(
        &stuck,
        "2s resolve c as succeeded => c undo resolved as succeeded; c undone; rewound c,d; c do#2 till 7s; told resolve@13",
    );
}

#[test]
fn a_cancel_or_a_deadline_on_the_way_back_goes_all_the_way() {
    let going = format!("{BACKING_OFF} 1s retry-from a => a ordered back; c undo#1 till 5s; told retry-from@10\n");
    long(
        &going,
        "
        2s cancel => cancel requested; d failed busy; told compensating
        3s c undo#1 ok => c undone; back cancelled; b waived; a undo#1 till 7s
        waiting => undoing step `a`: sent to its workers at 2026-01-02T10:00:03Z and not answered yet, attempt 1, times out at 2026-01-02T10:00:07Z
        4s a undo#1 ok => a undone; compensated cancelled
    ",
    );
    long(
        &going,
        "
        100s tick => deadline passed; d failed busy; c undo again at 101s
        101s tick => c undo#2 till 105s
        101s c undo#2 ok => c undone; back deadline; b waived; a undo#1 till 105s
    ",
    );
}

#[test]
fn paused_the_way_back_begins_when_it_is_resumed() {
    long(
        BACKING_OFF,
        "
        1s pause => paused; told pause@10
        1s retry-from c => c ordered back; told retry-from@11
        2s resume => resumed; c undo#1 till 6s; told resume@12
        2s pause => paused; told pause@14
        3s c undo#1 ok => c undone
        4s resume => resumed; rewound c,d; c do#2 till 9s; told resume@16
    ",
    );
}

#[test]
fn children_are_done_anew_as_other_sagas() {
    check_given(
        "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: kids, saga: badge, for_each: /input/guests, kind: compensable, input: {place: /index}, compensate: cancel}
  - {name: z, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s, retry: {attempts: 2, backoff: 1s, jitter: 0}}
",
        json!({"guests": 2}),
        "
        start => started; kids has 2; kids starts 0,1
        child kids 0 => kids/0 ok
        1s retry-from kids => told illegal_here
        child kids 1 => kids/1 ok; kids ok; z do#1 till 6s
        z do#1 retry busy => z do again at 2s
        retry-from kids => kids ordered back; kids cancels 1,0; told retry-from@9
        undone kids 1 => kids/1 undone
        undone kids 0 => kids/0 undone; kids undone; rewound kids,z; kids has 2; kids starts 0,1
        undone kids 0~0 => -
        child kids 0~0 => -
        child kids 0 => kids/0 ok
    ",
    );
}

#[test]
fn waits_are_waited_for_anew_but_a_signal_counts_once() {
    check(
        "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: nap, sleep: 10s}
  - {name: go, await: go}
  - {name: z, call: t.plain@1, kind: compensable, compensate: undo, timeout: 5s, retry: {attempts: 2, backoff: 1s, jitter: 0}}
",
        "
        start => started; nap waits till 10s
        10s tick => nap ok; go waits
        11s signal go => signal go taken; go ok; z do#1 till 16s; told taken@5
        12s z do#1 retry busy => z do again at 13s
        12s retry-from nap => nap ordered back; rewound nap,go,z; nap waits till 22s; told retry-from@9
        22s tick => nap ok; go ok; z do#2 till 27s
    ",
    );
}

#[test]
fn another_input_is_taken_by_the_next_attempt_under_another_key() {
    let first = "
        start => started; a do#1 till 5s
        1s a do#1 retry busy => a do again at 2s
    ";
    long(
        first,
        r#"
        1s edit-input {"seat":"window"} => told invalid_input
        1s edit-input {} => told invalid_input
        1s edit-input a {"seat":9} mute => told reason_required
        1s edit-input {"seat":9} => a input edited; told edit-input@4
        preview => before: a cancel would undo nothing |  | stays
        1s a do#1 ok => -
        2s tick => a do#2 till 7s
        command a => do#2 t.strict@1 {"seat":9} ~1
        3s a do#2 ok => a ok; b do#1 till 8s
        3s cancel => cancel requested; told compensating
        4s b do#1 failed no => b failed no; back cancelled; a undo#1 till 8s
        command a => undo#1 t.strict@1 {"seat":9} ~1 of {"seat":7} because cancelled
    "#,
    );
    // Edited twice before it was tried, it has still but one new key.
    long(
        first,
        r#"
        1s edit-input {"seat":9} => a input edited; told edit-input@4
        1s edit-input {"seat":8} => a input edited; told edit-input@5
        1s retry => a do ordered; a do#2 till 6s; told retry@6
        command a => do#2 t.strict@1 {"seat":8} ~1
    "#,
    );
}

#[test]
fn behind_the_pivot_a_stuck_step_takes_another_input() {
    let given = "
        start => started; a do#1 till 5s
        a do#1 ok => a ok; b do#1 till 5s
        b do#1 ok => b ok; c do#1 till 5s
        c do#1 ok => c ok; d do#1 till 5s
        d do#1 ok => d ok; p do#1 till 5s
        p do#1 ok => p ok pivot; e do#1 till 5s
        e do#1 failed no => e stuck on do no
    ";
    let run = long(
        given,
        r#"
        edit-input e {"seat":9} => e input edited; told edit-input@14
        next => -
        retry => e do ordered anew; e do#2 till 5s; told retry@15
        command e => do#2 t.strict@1 {"seat":9} ~1
        e do#1 ok => -
        e do#2 failed no => e stuck on do no
        retry => e do ordered anew; e do#3 till 5s; told retry@18
        command e => do#3 t.strict@1 {"seat":9} ~2
    "#,
    );
    assert_eq!(run.state.steps[5].input, Some(json!({"seat": 9})));
}

#[test]
fn another_input_is_refused_where_the_old_one_may_have_been_taken() {
    long(
        "start => started; a do#1 till 5s\n",
        r#"
        edit-input {"seat":9} => told illegal_here
        edit-input b {"seat":9} => told illegal_here
        5s tick => a in doubt, do timed out; a do again at 6s in doubt
        edit-input {"seat":9} => told illegal_here
        5s terminate forced => terminated; told terminate@5
        edit-input {"seat":9} => told illegal_here
    "#,
    );
    long(
        BACKING_OFF,
        r#"
        1s edit-input a {"seat":9} => told illegal_here
        1s edit-input p {"seat":9} => told illegal_here
    "#,
    );
}

#[test]
fn no_input_is_none() {
    let mut run = long("start => started; a do#1 till 5s\n", "1s a do#1 retry busy => a do again at 2s");
    let act = OperatorAct::EditInput { step: None, input: serde_json::Value::Null };
    let request = OperateSaga {
        saga_id: saga_id(),
        operation_id: Uuid::from_u128(5),
        by: "ann".to_owned(),
        reason: "a test".to_owned(),
        act,
    };
    let decision = decide(&run.definition, &mut run.state, Input::Operate(request), run.now);
    assert_eq!(decision.operated.and_then(Result::err).map(|problem| problem.code), Some("invalid_input".to_owned()));
}
