//! New versions of a definition over sagas that ran the old one: given what ran, when one thing of the document changes, then where
//! the two part.

use std::collections::BTreeMap;

use amends_core::decide::{Effect, Input, Start, decide, start};
use amends_core::definition::Definition;
use amends_core::event::Event;
use amends_core::rehearse::{Recording, RecordingError, rehearse};
use amends_core::state::{Phase, SagaState};
use amends_core::validate::parse;
use amends_core::view::history_entry;
use amends_schemas::command::{Operation, StepError, StepResult};
use amends_schemas::contract::ContractRegistry;
use amends_schemas::family::{ChildEnded, ParentLink};
use amends_schemas::ids::SagaId;
use amends_schemas::saga::{HistoryEntry, SagaStatus};
use amends_schemas::signal::SignalSaga;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

const OLD: &str = "
saga: test
version: 1
title: Test
input: {type: object, required: [id], properties: {id: {type: string}, people: {type: array}}}
steps:
  - name: reserve
    call: a.reserve@1
    kind: compensable
    input: {id: /input/id}
    compensate: undo
  - name: print
    call: a.work@1
    kind: compensable
    input: {place: /steps/reserve/output/place}
    compensate: {waive: nothing}
  - name: approval
    await: approval
    outcomes: [yes, no]
    timeout: 7d
  - name: cool-off
    sleep: 3d
  - name: badge
    saga: badge
    kind: compensable
    input: {id: /input/id}
    compensate: {waive: nothing}
  - name: tell
    saga: tell
    for_each: /input/people
    kind: compensable
    input: {to: /item/mail}
    compensate: {waive: nothing}
  - name: pay
    when: {step: approval, outcome: yes}
    call: a.pay@1
    kind: pivot
    input: {price: /steps/reserve/output/price}
  - name: receipt
    when: {step: approval, outcome: yes}
    call: a.work@1
    kind: retriable
output: {place: /steps/reserve/output/place, badge: /steps/badge/output/badge}
";

fn contracts() -> ContractRegistry {
    let mut registry = ContractRegistry::empty();
    for name in ["a.reserve@1", "a.reserve@2", "a.work@1", "a.pay@1"] {
        let undo = name.starts_with("a.reserve");
        let document = json!({"contract": name, "title": "t", "undo": undo, "input": {}, "output": {}});
        registry.add("test.json", &document.to_string()).expect("valid");
    }
    registry
}

fn read(yaml: &str) -> Definition {
    parse("test/v1.yaml", yaml, &contracts()).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn saga_id() -> SagaId {
    "0193a1de-7d41-7cc1-9b5e-0242ac120002".parse().expect("an id")
}

fn now() -> DateTime<Utc> {
    "2026-11-21T10:00:00Z".parse().expect("a time")
}

/// How far a saga ran.
#[derive(Clone, Copy, PartialEq)]
enum Run {
    /// To its end.
    Through,
    /// This step failed.
    FailsAt(&'static str),
    /// Nobody answered this step.
    StopsAt(&'static str),
    /// To its end, but the answer was no.
    Rejected,
}

/// Runs a saga as its owner would, and tells what people read of it.
fn run(definition: &Definition, how: Run) -> Vec<HistoryEntry> {
    let input = json!({"id": "x", "people": [{"mail": "ada@x"}, {"mail": "ben@x"}]});
    let (mut state, decision) = start(definition, saga_id(), Start { input, ..Start::default() }, now());
    let (mut events, mut effects) = (decision.events, decision.effects);
    while let Some(input) = next_input(definition, &state, &effects, how) {
        let later = now() + chrono::TimeDelta::days(i64::try_from(events.len()).expect("few"));
        let decision = decide(definition, &mut state, input, later);
        assert!(!decision.events.is_empty(), "nothing moves any more: {state:#?}");
        events.extend(decision.events);
        effects = decision.effects;
    }
    entries(definition, &events)
}

fn entries(definition: &Definition, events: &[Event]) -> Vec<HistoryEntry> {
    events.iter().zip(1..).map(|(event, sequence)| history_entry(definition, sequence, event)).collect()
}

fn next_input(definition: &Definition, state: &SagaState, effects: &[Effect], how: Run) -> Option<Input> {
    if state.status.is_final() {
        return None;
    }
    let outputs = BTreeMap::from([("reserve", json!({"place": 7, "price": "120"}))]);
    for (index, step) in definition.steps.iter().enumerate() {
        let name = step.name.to_string();
        if matches!(how, Run::StopsAt(at) if at == name) {
            continue;
        }
        match &state.steps[index].phase {
            Phase::InFlight { operation, .. } => {
                let failed = *operation == Operation::Do && matches!(how, Run::FailsAt(at) if at == name);
                let result = match failed {
                    true => StepResult::Failed { error: StepError::new("no", "No.") },
                    false => StepResult::Succeeded {
                        outcome: None,
                        output: outputs.get(name.as_str()).cloned().unwrap_or(json!({})),
                    },
                };
                let attempt = state.steps[index].attempts.of(*operation);
                return Some(Input::Reply { step: name, operation: *operation, attempt, result });
            }
            Phase::Waiting { until: Some(_) } if name == "cool-off" => return Some(Input::TimeReached),
            Phase::Waiting { .. } => {
                let outcome = if how == Run::Rejected { "no" } else { "yes" };
                return Some(Input::Signal(SignalSaga {
                    saga_id: saga_id(),
                    signal: "approval".to_owned(),
                    signal_id: Uuid::from_u128(1),
                    outcome: Some(outcome.to_owned()),
                    data: json!({"by": "boss"}),
                    by: "boss".to_owned(),
                }));
            }
            Phase::Children { .. } => {
                let child = state.steps[index].children.as_ref()?.running.iter().copied().next()?;
                let started = effects.iter().any(|effect| matches!(effect, Effect::StartChildren { .. }));
                assert!(started || child > 0, "children are started");
                let request = amends_core::decide::child_request(definition, state, index, child).expect("a child");
                return Some(Input::ChildEnded(ChildEnded {
                    parent: ParentLink { saga_id: saga_id(), step: name, child, operation: Operation::Do },
                    saga_id: request.saga_id,
                    status: SagaStatus::Completed,
                    output: json!({"badge": "b-1"}),
                    error: None,
                }));
            }
            _ => {}
        }
    }
    None
}

/// Replaces each `from`, which must be there, in the old document, and expects these sentences.
#[track_caller]
fn check(how: Run, changes: &[(&str, &str)], want: &[&str]) {
    let mut yaml = OLD.to_owned();
    for (from, to) in changes {
        assert!(yaml.contains(from), "nothing to replace: {from}");
        yaml = yaml.replacen(from, to, 1);
    }
    check_documents(how, OLD, &yaml, want);
}

#[track_caller]
fn check_documents(how: Run, old: &str, new: &str, want: &[&str]) {
    let old = read(old);
    let recording = Recording::read(&old, saga_id(), &run(&old, how)).expect("a recording");
    let divergences = rehearse(&old, &read(new), &recording).expect("as it ran");
    let said: Vec<String> = divergences.iter().map(ToString::to_string).collect();
    assert_eq!(said, want);
}

#[test]
fn the_same_document_goes_the_same_way_however_far_the_saga_came() {
    let steps = ["reserve", "print", "approval", "badge", "tell", "pay", "receipt"];
    let last = |how: Run| run(&read(OLD), how).pop().expect("facts").event;
    for how in [Run::Through, Run::Rejected] {
        assert_eq!(last(how), "saga_completed");
        check(how, &[], &[]);
    }
    for step in steps {
        assert_ne!(last(Run::StopsAt(step)), "saga_completed");
        check(Run::StopsAt(step), &[], &[]);
    }
    for step in ["reserve", "print", "pay"] {
        assert_eq!(last(Run::FailsAt(step)), "saga_compensated");
        check(Run::FailsAt(step), &[], &[]);
    }
    // Nor does what changes nothing for this saga.
    check(
        Run::Through,
        &[("version: 1", "version: 2"), ("title: Test", "title: Other"), ("sleep: 3d", "sleep: 4d")],
        &[],
    );
}

#[test]
fn a_step_that_was_added_has_no_record() {
    let step =
        "  - {name: check, call: a.work@1, kind: compensable, compensate: {waive: nothing}}\n  - name: approval\n";
    let added = [("  - name: approval\n", step)];
    check(Run::Through, &added, &["`check` would be taken; nothing is recorded of it"]);
    check(Run::StopsAt("badge"), &added, &["`check` would be taken; nothing is recorded of it"]);
    // Where the old one had not come so far, both stop before it.
    check(Run::StopsAt("print"), &added, &[]);
}

#[test]
fn a_step_that_was_taken_away() {
    let without = [
        (
            "  - name: badge\n    saga: badge\n    kind: compensable\n    input: {id: /input/id}\n    compensate: {waive: nothing}\n",
            "",
        ),
        (", badge: /steps/badge/output/badge", ""),
    ];
    check(
        Run::Through,
        &without,
        &["`badge` would not be taken", "would answer something else: /badge was \"b-1\", would be absent"],
    );
}

#[test]
fn a_mapping_that_was_changed() {
    check(
        Run::Through,
        &[("{price: /steps/reserve/output/price}", "{price: /steps/reserve/output/place}")],
        &["`pay` would be given another input: /price was \"120\", would be 7"],
    );
    check(
        Run::Through,
        &[("input: {to: /item/mail}", "input: {to: /item/mail, place: /index}")],
        &["`tell` would be given another input: /inputs/0/place was absent, would be 0"],
    );
    check(
        Run::Through,
        &[("output: {place: /steps/reserve/output/place", "output: {place: /steps/reserve/output/price")],
        &["would answer something else: /place was 7, would be \"120\""],
    );
    // A saga that did not come so far is none the wiser.
    check(Run::Rejected, &[("{price: /steps/reserve/output/price}", "{price: free}")], &[]);
}

#[test]
fn an_input_that_was_edited_before_the_saga_went_back_counts_no_more() {
    let old = read(OLD);
    let new = read(&OLD.replacen("{place: /steps/reserve/output/place}", "{place: /steps/reserve/output/price}", 1));
    let entry = |event: &str, step: Option<&str>, data: Value| HistoryEntry {
        sequence: 2,
        at: now(),
        event: event.to_owned(),
        step: step.map(str::to_owned),
        data,
    };
    let edited = entry("input_edited", Some("print"), json!({"input": {"place": 8}}));
    let rewound = entry("rewound", None, json!({"steps": ["print"]}));
    let rehearsed = |before: Vec<HistoryEntry>| -> Vec<String> {
        let mut history = run(&old, Run::Through);
        history.splice(1..1, before);
        let recording = Recording::read(&old, saga_id(), &history).expect("a recording");
        rehearse(&old, &new, &recording).expect("as it ran").iter().map(ToString::to_string).collect()
    };
    let parts = ["`print` would be given another input: /place was 7, would be \"120\""];
    assert_eq!(rehearsed(vec![]), parts);
    assert!(rehearsed(vec![edited.clone()]).is_empty(), "what an operator gave it does not depend on the definition");
    assert_eq!(rehearsed(vec![edited, rewound]), parts);
}

#[test]
fn steps_that_changed_places() {
    let (print, approval) = (
        "  - name: print\n    call: a.work@1\n    kind: compensable\n    input: {place: /steps/reserve/output/place}\n    compensate: {waive: nothing}\n",
        "  - name: approval\n    await: approval\n    outcomes: [yes, no]\n    timeout: 7d\n",
    );
    check(
        Run::Through,
        &[(&format!("{print}{approval}"), &format!("{approval}{print}"))],
        &["`approval` came after `print`, would come before it"],
    );
    let indented = |step: &str| step.replace("\n  ", "\n      ").replacen("  - ", "      - ", 1);
    check(
        Run::Through,
        &[(&format!("{print}{approval}"), &format!("  - parallel:\n{}{}", indented(print), indented(approval)))],
        &["`approval` came after `print`, would come at the same time as it"],
    );
}

#[test]
fn a_condition_that_was_changed() {
    let skipped = [
        ("  - name: print\n", "  - name: print\n    when: {input: /mode, equals: full}\n"),
        ("properties: {id: {type: string}", "properties: {mode: {enum: [full, none]}, id: {type: string}"),
    ];
    check(Run::Through, &skipped, &["`print` would not be taken"]);
    // Sagas that were rejected would now be paid for: of that nothing is known.
    let both = ("{step: approval, outcome: yes}", "{step: approval, outcome: [yes, no]}");
    check(Run::Rejected, &[both, both], &["`pay` would be taken; nothing is recorded of it"]);
    check(Run::Through, &[both, both], &[]);
}

#[test]
fn another_contract_another_outcome_another_end() {
    check(Run::Through, &[("a.reserve@1", "a.reserve@2")], &["`reserve` was a.reserve@1, would be a.reserve@2"]);
    check(
        Run::Rejected,
        &[("outcomes: [yes, no]", "outcomes: [yes, never]")],
        &["`approval` was `no`, which it cannot be any more"],
    );
    check(
        Run::FailsAt("print"),
        &[("    compensate: undo", "    compensate: {waive: nothing}")],
        &[
            "was compensated after `print` failed, undoing reserve, would be compensated after `print` failed, with nothing to undo",
        ],
    );
    check(
        Run::Through,
        &[("required: [id]", "required: [id, people, policy]")],
        &["would not be started with this input: /input \"policy\" is a required property"],
    );
}

#[test]
fn a_point_of_no_return_that_was_moved() {
    let old = "
saga: test
version: 1
title: Test
input: {}
steps:
  - {name: reserve, call: a.reserve@1, kind: compensable, compensate: undo}
  - {name: print, call: a.work@1, kind: compensable, compensate: {waive: nothing}}
";
    let new = old
        .replace("kind: compensable, compensate: undo", "kind: pivot")
        .replace("kind: compensable, compensate: {waive: nothing}", "kind: retriable");
    let stuck = "was compensated after `print` failed, undoing reserve, would be stuck at `print`";
    check_documents(Run::FailsAt("print"), old, &new, &[stuck]);
    check_documents(Run::Through, old, &new, &[]);
}

#[test]
fn what_cannot_be_played_says_why() {
    let (old, other) = (read(OLD), read(&OLD.replace("version: 1", "version: 2")));
    let history = run(&old, Run::Through);
    let trimmed = Recording::read(&old, saga_id(), &history[1..]);
    assert_eq!(trimmed, Err(RecordingError::NoStart));
    let error = Recording::read(&other, saga_id(), &history).expect_err("another document");
    assert!(error.to_string().starts_with("it ran test@1 with the hash"), "{error}");
    let mut broken = history;
    let entry = broken.iter_mut().find(|entry| entry.event == "step_succeeded").expect("one");
    entry.data = Value::Null;
    let error = Recording::read(&old, saga_id(), &broken).expect_err("no data");
    assert!(error.to_string().contains("`step_succeeded`, cannot be read"), "{error}");
}
