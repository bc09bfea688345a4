//! What is refused in branches, waits and child sagas, where, and under which code: each case changes one thing in a sound
//! document.

use std::time::Duration;

use amends_core::definition::{Action, Children, Compensate, ForEach, Node, OnChildFailure, Sleep, StepKind};
use amends_core::mapping::{Mapping, Pointer};
use amends_core::validate::parse;
use amends_schemas::contract::ContractRegistry;
use serde_json::json;

const SOUND: &str = "saga: test
version: 1
title: Test
input:
  type: object
  properties:
    starts_at: {type: string}
    seats: {type: integer}
    guests: {type: array, items: {type: object, properties: {name: {type: string}}}}
steps:
  - name: reserve
    call: seats.hold@1
    kind: compensable
    compensate: undo
  - parallel:
      - name: hotel
        call: seats.hold@1
        kind: compensable
        compensate: undo
      - steps:
          - name: flight
            call: seats.hold@1
            kind: compensable
            compensate: undo
          - parallel:
              - {name: meal, call: seats.hold@1, kind: compensable, compensate: undo}
              - {name: bag, call: seats.hold@1, kind: compensable, compensate: undo}
  - name: approval
    await: approved-by-boss
    outcomes: [approved, rejected]
    schema: {type: object, properties: {note: {type: string}}}
    timeout: 7d
    on_timeout: expired
  - name: cool-off
    sleep: 3d
    when: {step: approval, outcome: approved}
  - name: day-before
    sleep: {until: /input/starts_at, time_zone: Europe/Paris, before: 1d}
  - name: badge
    saga: badge-printing@2
    kind: compensable
    input: {place: /steps/reserve/output/place, note: /steps/approval/output/note}
    compensate: cancel
  - name: invite
    saga: invitation
    for_each: /input/guests
    input: {name: /item/name, place: /index}
    concurrency: 20
    on_failure: continue
    kind: compensable
    compensate: {waive: an invitation needs no undoing}
  - name: pay
    when: {step: invite, outcome: [all, some]}
    call: money.take@1
    kind: pivot
  - name: receipt
    when: {step: invite, outcome: [all, some]}
    await: receipt
    timeout: 1h
    on_timeout: none-came
  - name: tell
    when: {step: receipt, outcome: none-came}
    saga: invitation
    kind: retriable
output: {failed: /steps/invite/output/failed, first: /steps/invite/output/failures/0/error/code, card: /steps/badge/output/any/thing}
";

fn contracts() -> ContractRegistry {
    let mut registry = ContractRegistry::empty();
    for document in [
        r#"{"contract":"seats.hold@1","title":"t","outcomes":["paid","free"],"undo":true,"input":{},
            "output":{"type":"object","properties":{"place":{"type":"integer"},"at":{"type":"string"}}}}"#,
        r#"{"contract":"money.take@1","title":"t","input":{},"output":{}}"#,
    ] {
        registry.add("test.json", document).expect("valid");
    }
    registry
}

/// Replaces `from`, which must be there, and expects exactly these findings: `line code`, and the first one's message to hold
/// `says`.
#[track_caller]
fn check(from: &str, to: &str, want: &[(usize, &str)], says: &str) {
    assert!(SOUND.contains(from), "nothing to replace: {from}");
    check_document(&SOUND.replacen(from, to, 1), want, says);
}

#[track_caller]
fn check_document(yaml: &str, want: &[(usize, &str)], says: &str) {
    let findings = parse("test/v1.yaml", yaml, &contracts()).map(|_| ()).expect_err("refused");
    let have: Vec<(usize, &str)> = findings.iter().map(|finding| (finding.line, finding.code)).collect();
    let all = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(have, want, "\n{all}");
    assert!(findings[0].message.contains(says), "`{says}` is not said in\n{all}");
}

#[track_caller]
fn sound(from: &str, to: &str) {
    assert!(SOUND.contains(from), "nothing to replace: {from}");
    let read = parse("test/v1.yaml", &SOUND.replacen(from, to, 1), &contracts()).map(|_| ());
    assert_eq!(read, Ok(()), "{to}");
}

#[test]
fn a_document_that_says_everything_is_read_as_it_is_meant() {
    let definition = parse("test/v1.yaml", SOUND, &contracts()).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let step = |name: &str| &definition.steps[definition.step_index(name).expect(name)];
    let does: Vec<String> =
        definition.steps.iter().map(|step| format!("{} {}", step.name, step.action.as_str())).collect();
    assert_eq!(
        does,
        [
            "reserve call",
            "hotel call",
            "flight call",
            "meal call",
            "bag call",
            "approval await",
            "cool-off sleep",
            "day-before sleep",
            "badge saga",
            "invite for_each",
            "pay call",
            "receipt await",
            "tell saga"
        ]
    );
    let inner = Node::Parallel(vec![vec![Node::Step(3)], vec![Node::Step(4)]]);
    let outer = Node::Parallel(vec![vec![Node::Step(1)], vec![Node::Step(2), inner]]);
    assert_eq!(definition.flow[..3], [Node::Step(0), outer, Node::Step(5)]);
    let Action::Await(approval) = &step("approval").action else { panic!("waits") };
    assert_eq!((&*approval.signal, approval.timeout), ("approved-by-boss", Some(Duration::from_secs(7 * 86_400))));
    assert_eq!(approval.all_outcomes(), ["approved", "rejected", "expired"]);
    assert_eq!(step("approval").kind, StepKind::Wait);
    assert_eq!(step("cool-off").action, Action::Sleep(Sleep::For(Duration::from_secs(3 * 86_400))));
    let at = Mapping::Pointer(Pointer::Input { rest: "/starts_at".to_owned() });
    let until = Sleep::Until {
        at,
        time_zone: Some(Mapping::Literal(json!("Europe/Paris"))),
        before: Duration::from_secs(86_400),
    };
    assert_eq!(step("day-before").action, Action::Sleep(until));
    let badge = step("badge");
    let children = badge.children().expect("a child");
    assert_eq!((&*children.saga, children.version, &children.each), ("badge-printing", Some(2), &None));
    assert_eq!((badge.kind, &badge.compensate), (StepKind::Compensable, &Compensate::Cancel));
    let items = Mapping::Pointer(Pointer::Input { rest: "/guests".to_owned() });
    let Children { each, input, version, .. } = step("invite").children().expect("children");
    assert_eq!(*each, Some(ForEach { items, concurrency: 20, on_failure: OnChildFailure::Continue }));
    let item = Mapping::Pointer(Pointer::Item { rest: "/name".to_owned() });
    let members = [("name".to_owned(), item), ("place".to_owned(), Mapping::Pointer(Pointer::Index))];
    assert_eq!((input, version), (&Mapping::Object(members.into()), &None));
}

#[test]
fn a_step_does_one_thing_and_takes_what_belongs_to_it() {
    check(
        "    await: approved-by-boss",
        "    await: approved-by-boss\n    call: a.b@1",
        &[(30, "two_actions")],
        "`await` and `call`",
    );
    check("    sleep: 3d\n", "", &[(34, "missing_key")], "`call`, `await`, `sleep` or `saga`");
    check(
        "    timeout: 7d",
        "    timeout: 7d\n    kind: retriable",
        &[(33, "unknown_key")],
        "an `await` has no `kind`",
    );
    check("    timeout: 7d", "    timeout: 7d\n    retry: {attempts: 3}", &[(33, "unknown_key")], "no `retry`");
    check("    timeout: 7d", "    timeout: 7d\n    compensate: undo", &[(33, "unknown_key")], "no `compensate`");
    check("    sleep: 3d", "    sleep: 3d\n    timeout: 5s", &[(36, "unknown_key")], "a `sleep` has no `timeout`");
    check(
        "    saga: badge-printing@2",
        "    saga: badge-printing@2\n    timeout: 5s",
        &[(41, "unknown_key")],
        "no `timeout`",
    );
    check(
        "    saga: badge-printing@2",
        "    saga: badge-printing@2\n    on_unknown: ask",
        &[(41, "unknown_key")],
        "no `on_unknown`",
    );
    check("    kind: pivot", "    kind: pivot\n    for_each: 3", &[(56, "unknown_key")], "no `for_each`");
}

#[test]
fn branches() {
    check("  - parallel:\n", "  - name: both\n    parallel:\n", &[(15, "not_alone")], "no `name` beside it");
    check(
        "      - steps:\n",
        "      - when: {step: reserve, outcome: paid}\n        steps:\n",
        &[(20, "not_alone")],
        "give `when` to the steps",
    );
    check(
        "kind: compensable, compensate: undo}\n              - {name: bag",
        "kind: pivot}\n              - {name: bag",
        &[(26, "pivot_in_parallel")],
        "behind the `parallel`",
    );
    check(
        "              - {name: bag, call: seats.hold@1, kind: compensable, compensate: undo}\n",
        "",
        &[(26, "too_few_branches")],
        "but one branch",
    );
    check("{name: bag,", "{name: hotel,", &[(27, "duplicate_step")], "already a step `hotel`");
    check(
        "{name: bag, call: seats.hold@1, kind: compensable, compensate: undo}",
        "{steps: []}",
        &[(27, "no_steps")],
        "take the branch away",
    );
    check(
        "              - {name: meal",
        "              - 5\n              - {name: meal",
        &[(26, "wrong_type")],
        "is a number",
    );
    let bag = "{name: bag, call: seats.hold@1, kind: compensable, compensate: undo}";
    let deep = |depth: usize| {
        (0..depth).fold(bag.to_owned(), |inner, depth| {
            let other = bag.replace("bag", &format!("other{depth}"));
            format!("{{parallel: [{inner}, {other}]}}")
        })
    };
    sound(bag, &deep(2));
    check(bag, &deep(3), &[(27, "too_deep")], "at most 4 deep");
    check(
        "  - parallel:\n",
        "  - parallel: {a: 1}\n  - x:\n",
        &[(15, "wrong_type"), (16, "missing_key"), (16, "missing_key"), (16, "unknown_key")],
        "a list of branches",
    );
}

#[test]
fn in_a_branch_only_what_is_surely_done_is_known() {
    let bag = "{name: bag, call: seats.hold@1, kind: compensable, compensate: undo";
    let with = |more: &str| format!("{bag}, {more}");
    sound(bag, &with("input: {a: /steps/flight/output/place, b: /steps/reserve/output/place}"));
    sound(bag, &with("when: {step: flight, outcome: paid}"));
    check(
        bag,
        &with("input: {a: /steps/hotel/output/place}"),
        &[(27, "sibling_branch")],
        "`hotel` runs in another branch",
    );
    check(bag, &with("input: {a: /steps/meal/output/place}"), &[(27, "sibling_branch")], "at the same time");
    check(bag, &with("when: {step: hotel, outcome: paid}"), &[(27, "sibling_branch")], "at the same time");
    check(bag, &with("when: {step: approval, outcome: approved}"), &[(27, "later_step")], "further up");
    check(
        bag,
        &with("input: {a: /steps/nobody/output}"),
        &[(27, "unknown_step")],
        "before it come `reserve` and `flight`",
    );
    check(
        "      - name: hotel\n",
        "      - name: hotel\n        when: {step: flight, outcome: paid}\n",
        &[(17, "sibling_branch")],
        "`flight`",
    );
    sound(
        "    sleep: 3d\n    when: {step: approval, outcome: approved}",
        "    sleep: 3d\n    when: [{step: hotel, outcome: paid}, {step: bag, outcome: free}]",
    );
}

#[test]
fn waits_for_signals() {
    check("await: approved-by-boss", "await: Boss!", &[(29, "bad_name")], "cannot name a signal");
    check(
        "await: receipt",
        "await: approved-by-boss",
        &[(58, "duplicate_signal")],
        "already waits for `approved-by-boss`",
    );
    check("[approved, rejected]", "approved", &[(30, "wrong_type")], "a list of words");
    check("[approved, rejected]", "[]", &[(30, "bad_number")], "1 to 20");
    check("[approved, rejected]", "[approved, approved]", &[(30, "duplicate_outcome")], "twice");
    check("[approved, rejected]", "[approved, No!]", &[(30, "bad_name")], "cannot name an outcome");
    check(
        "outcome: approved}",
        "outcome: aproved}",
        &[(36, "unknown_outcome")],
        "it has `approved`, `rejected` and `expired`",
    );
    sound("outcome: approved}", "outcome: expired}");
}

#[test]
fn what_comes_with_a_signal_has_a_schema() {
    check("{note: {type: string}}", "{note: {type: strin}}", &[(31, "bad_schema")], "`schema/properties/note/type`");
    check(
        "schema: {type: object, properties: {note: {type: string}}}",
        "schema: object",
        &[(31, "wrong_type")],
        "a JSON Schema",
    );
    check(
        "/steps/approval/output/note",
        "/steps/approval/output/notes",
        &[(42, "unknown_pointer")],
        "did you mean `note`?",
    );
    sound("    schema: {type: object, properties: {note: {type: string}}}\n", "");
}

#[test]
fn waits_that_end() {
    check("    timeout: 7d\n", "", &[(32, "missing_timeout")], "write a `timeout`");
    check("    timeout: 7d\n", "    timeout: 1826d\n", &[(32, "bad_duration")], "43800h");
    sound("    timeout: 7d\n    on_timeout: expired\n", "    timeout: 1825d\n");
    sound("    timeout: 7d\n    on_timeout: expired\n", "");
    let late = SOUND
        .replace("    on_timeout: none-came\n", "")
        .replace("step: receipt, outcome: none-came", "step: invite, outcome: all");
    check_document(&late, &[(59, "timeout_after_pivot")], "say what happens then with `on_timeout`");
    // Where no pivot comes before it may fail.
    sound("    timeout: 7d\n    on_timeout: expired\n", "    timeout: 7d\n");
}

#[test]
fn a_signal_that_says_nothing_and_its_absence_are_two_paths() {
    let yaml = |pivot_when: &str| {
        format!(
            "saga: test
version: 1
title: t
input: {{}}
steps:
  - {{name: word, await: word, timeout: 1h, on_timeout: none-came}}
  - {{name: pay, {pivot_when}call: money.take@1, kind: pivot}}
  - {{name: tell, call: money.take@1, kind: retriable}}
"
        )
    };
    assert_eq!(parse("test/v1.yaml", &yaml(""), &contracts()).map(|_| ()), Ok(()));
    let late = yaml("when: {step: word, outcome: none-came}, ");
    check_document(&late, &[(8, "retriable_before_pivot")], "no pivot comes before it");
    let came = yaml("when: {step: word, outcome: came}, ");
    check_document(&came, &[(7, "unknown_outcome")], "it has `none-came`");
}

#[test]
fn sleeps() {
    check("sleep: 3d", "sleep: 3 days", &[(35, "bad_duration")], "`2d`");
    check("sleep: 3d", "sleep: 0s", &[(35, "bad_duration")], "from `1ms`");
    check("sleep: 3d", "sleep: 1826d", &[(35, "bad_duration")], "43800h");
    check("sleep: 3d", "sleep: 3", &[(35, "wrong_type")], "{until:");
    check("sleep: 3d", "sleep: /input/starts_at", &[(35, "wrong_type")], "write `{until: /input/starts_at}`");
    check("until: /input/starts_at, ", "", &[(38, "missing_key")], "needs `until`");
    check("until: /input/starts_at", "until: tomorrow", &[(38, "wrong_type")], "`/input/starts_at`");
    check("until: /input/starts_at", "until: /input/seats", &[(38, "not_a_text")], "must lead to a text");
    check("until: /input/starts_at", "until: /saga/started_at", &[(38, "wrong_type")], "a pointer into");
    check("until: /input/starts_at", "until: /steps/badge/output/at", &[(38, "later_step")], "further up");
    sound("until: /input/starts_at", "until: /steps/reserve/output/at");
    check("Europe/Paris", "Europe/Pari", &[(38, "unknown_time_zone")], "no time zone `Europe/Pari`");
    check("Europe/Paris", "/input/seats", &[(38, "not_a_text")], "`time_zone` must lead to a text");
    check("before: 1d", "before: 0d", &[(38, "bad_duration")], "from `1ms`");
    check("before: 1d", "after: 1d", &[(38, "unknown_key")], "no `after`");
    check("/steps/reserve/output/place", "/steps/cool-off/output/at", &[(42, "unknown_pointer")], "returns nothing");
    check(
        "step: invite, outcome: [all, some]",
        "step: cool-off, outcome: over",
        &[(53, "unknown_outcome")],
        "it has none",
    );
}

#[test]
fn child_sagas() {
    check("badge-printing@2", "Badge", &[(40, "bad_name")], "names no saga");
    check("badge-printing@2", "badge@zero", &[(40, "bad_name")], "names no saga");
    check("badge-printing@2", "badge@0", &[(40, "bad_name")], "`badge-printing@2`");
    check(
        "    kind: compensable\n    input: {place",
        "    kind: pivot\n    input: {place",
        &[(41, "saga_not_pivot")],
        "no point of no return",
    );
    check("    kind: compensable\n    input: {place", "    input: {place", &[(39, "missing_key")], "needs `kind`");
    check("    compensate: cancel\n", "", &[(39, "missing_compensation")], "`compensate: cancel`");
    check("compensate: cancel", "compensate: undo", &[(43, "wrong_type")], "`cancel` or `{waive:");
    check("compensate: cancel", "compensate: {undo: {timeout: 5s}}", &[(43, "wrong_type")], "must be `cancel`");
    check("compensate: cancel", "compensate: {waive: ''}", &[(43, "missing_reason")], "why");
    check("    compensate: undo\n", "    compensate: cancel\n", &[(14, "wrong_type")], "must be `undo`");
    check(
        "    kind: retriable\n",
        "    kind: retriable\n    compensate: cancel\n",
        &[(65, "compensation_not_applicable")],
        "leave",
    );
    check(
        "    compensate: cancel\n",
        "    compensate: cancel\n    concurrency: 3\n",
        &[(44, "missing_for_each")],
        "add `for_each`",
    );
    check(
        "    compensate: cancel\n",
        "    compensate: cancel\n    on_failure: stop\n",
        &[(44, "missing_for_each")],
        "add `for_each`",
    );
    check(
        "/steps/reserve/output/place, note",
        "/item/place, note",
        &[(42, "unknown_pointer")],
        "a step with `for_each`",
    );
    check(
        "when: {step: receipt, outcome: none-came}",
        "when: {step: badge, outcome: done}",
        &[(62, "unknown_outcome")],
        "it has none",
    );
}

#[test]
fn one_child_for_each() {
    for items in ["3", "[ada, ben]", "[{name: ada}]", "/input/seats", "/steps/badge/output/people"] {
        sound(
            "    for_each: /input/guests\n    input: {name: /item/name, place: /index}",
            &format!("    for_each: {items}\n    input: {{place: /index}}"),
        );
    }
    check("for_each: /input/guests", "for_each: /input/starts_at", &[(46, "not_a_list")], "a list or a whole number");
    check("for_each: /input/guests", "for_each: 0", &[(46, "bad_number")], "from 1 to 100000");
    check("for_each: /input/guests", "for_each: 100001", &[(46, "bad_number")], "from 1 to 100000");
    check("for_each: /input/guests", "for_each: []", &[(46, "bad_number")], "1 to 100000");
    check("for_each: /input/guests", "for_each: guests", &[(46, "wrong_type")], "where a list");
    check("for_each: /input/guests", "for_each: [/input/seats]", &[(46, "bad_literal")], "as it stands");
    check("for_each: /input/guests", "for_each: /saga/id", &[(46, "wrong_type")], "`/input/…`");
    check("/item/name", "/item/nam", &[(47, "unknown_pointer")], "did you mean `name`?");
    check("place: /index}", "place: /index/0}", &[(47, "unknown_pointer")], "a number");
    check("for_each: /input/guests", "for_each: 3", &[(47, "unknown_pointer")], "only have an `/index`");
    check("for_each: /input/guests", "for_each: /input/seats", &[(47, "unknown_pointer")], "only have an `/index`");
    check("concurrency: 20", "concurrency: 1001", &[(48, "bad_number")], "from 1 to 1000");
    check("on_failure: continue", "on_failure: go-on", &[(49, "unknown_word")], "`stop`, `continue` and `compensate`");
    check("outcome: [all, some]", "outcome: [all, none]", &[(53, "unknown_outcome")], "it has `all` and `some`");
    check(
        "on_failure: continue",
        "on_failure: stop",
        &[(53, "unknown_outcome"), (53, "unknown_outcome"), (57, "unknown_outcome"), (57, "unknown_outcome")],
        "`on_failure: continue`",
    );
    check("/steps/invite/output/failed", "/steps/invite/output/fails", &[(65, "unknown_pointer")], "did you mean");
    check("failures/0/error/code", "failures/0/error/kind", &[(65, "unknown_pointer")], "`code` and `message`");
}
