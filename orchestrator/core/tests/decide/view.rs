//! A saga as people read it.

use amends_core::surroundings::Surroundings;
use amends_core::view::{contracts_asked, history_entry, summary, view, waiting_for};
use amends_schemas::contract::ContractName;
use amends_schemas::saga::{SagaStatus, StepStatus, StepView};
use chrono::TimeDelta;
use serde_json::json;

use crate::check::{PAID, Run, check, epoch};

fn statuses(script: &str) -> Vec<StepStatus> {
    let run = check(PAID, script);
    view(&run.definition, &run.state, &Surroundings::default()).steps.into_iter().map(|step| step.status).collect()
}

const PAYING: &str = "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
";

#[test]
fn steps_say_where_they_stand() {
    use StepStatus::{BackingOff, Failed, Pending, Running, Skipped, Stuck, Succeeded, Undoing, Undone, Unknown};
    let check = |more: &str, want: [StepStatus; 3]| assert_eq!(statuses(&format!("{PAYING}{more}")), want, "{more}");
    check("", [Succeeded, Running, Pending]);
    check("pay do#1 retry busy => pay do again at 1s", [Succeeded, BackingOff, Pending]);
    let doubt = "pay do#1 unknown => pay in doubt, do reported; pay probe again at 1s in doubt";
    check(doubt, [Succeeded, Unknown, Pending]);
    let failed = "pay do#1 failed no => pay failed no; back failed; seat undo#1 till 4s";
    check(failed, [Undoing, Failed, Skipped]);
    check(&format!("{failed}\nseat undo#1 ok => seat undone; compensated failed"), [Undone, Failed, Skipped]);
    check(&format!("{failed}\nseat undo#1 failed x => seat stuck on undo x"), [Stuck, Failed, Skipped]);
    let waitlisted = "
        start => started; seat do#1 till 10s
        seat do#1 ok waitlisted => seat ok:waitlisted; pay skipped; confirm skipped; completed
    ";
    assert_eq!(statuses(waitlisted), [Succeeded, Skipped, Skipped]);
}

#[test]
fn the_whole_saga_reads_as_it_stands() {
    let run = check(
        PAID,
        &format!(
            "{PAYING}
        1s pay do#1 retry busy => pay do again at 2s
    "
        ),
    );
    let whole = view(&run.definition, &run.state, &Surroundings::default());
    assert_eq!((whole.definition.as_str(), whole.version, whole.status), ("test", 1, SagaStatus::Running));
    assert_eq!(whole.hash, *run.definition.reference.hash);
    assert_eq!((whole.steps[1].attempt, whole.steps[1].error.as_ref().map(|e| e.code.as_str())), (1, Some("busy")));
    assert_eq!(whole.steps[0].output, Some(json!({"seat": 7})));
    assert_eq!(whole.event_count, run.events.len() as u64);
    assert_eq!(summary(&run.definition, &run.state, &Surroundings::default()).waiting_for, whole.waiting_for);
}

#[test]
fn history_is_past_tense_with_names() {
    let run = check(PAID, PAYING);
    let entries: Vec<_> =
        run.events.iter().zip(1..).map(|(event, sequence)| history_entry(&run.definition, sequence, event)).collect();
    let told: Vec<_> =
        entries.iter().map(|entry| (entry.sequence, entry.event.as_str(), entry.step.as_deref())).collect();
    assert_eq!(
        told,
        [
            (1, "saga_started", None),
            (2, "step_dispatched", Some("seat")),
            (3, "step_succeeded", Some("seat")),
            (4, "step_dispatched", Some("pay")),
        ]
    );
    assert_eq!(entries[2].data, json!({"outcome": "paid", "output": {"seat": 7}, "pivot": false}));
}

#[test]
fn who_waits_for_a_contract_that_nobody_serves_says_so() {
    let run = check(PAID, PAYING);
    let pay: ContractName = "t.pay@1".parse().expect("a name");
    let sentence = |around: &Surroundings| waiting_for(&run.definition, &run.state, around).expect("it waits");
    assert_eq!(contracts_asked(&run.definition, &run.state).collect::<Vec<_>>(), [&pay]);
    let unknown = sentence(&Surroundings::default());
    assert!(unknown.starts_with("step `pay`: sent to its workers at "), "{unknown}");

    let mut around = Surroundings { watched_since: Some(epoch()), ..Surroundings::default() };
    let sent = "sent at 2026-01-02T10:00:00Z, attempt 1, times out at 2026-01-02T10:00:05Z";
    assert_eq!(
        sentence(&around),
        format!("step `pay`: no worker has served {pay} since 2026-01-02T10:00:00Z at least; {sent}")
    );
    around.contracts.insert(pay.clone(), Some(epoch() - TimeDelta::seconds(60)));
    assert_eq!(sentence(&around), format!("step `pay`: no worker has served {pay} since 2026-01-02T09:59:00Z; {sent}"));
    around.contracts.insert(pay, None);
    assert_eq!(sentence(&around), unknown);

    around.contracts.clear();
    let doubt = format!("{PAYING}\npay do#1 unknown => pay in doubt, do reported; pay probe again at 1s in doubt");
    for (script, part) in [
        (doubt.clone(), ": probing at 2026-01-02T10:00:01Z (attempt 1)"),
        (format!("{doubt}\n1s tick => pay probe#1 till 6s"), ": probing (attempt 1)"),
        (format!("{PAYING}\npay do#1 retry busy => pay do again at 1s"), "backing off until 2026-01-02T10:00:01Z"),
    ] {
        let run = check(PAID, &script);
        assert_eq!(contracts_asked(&run.definition, &run.state).count(), 1);
        let said = waiting_for(&run.definition, &run.state, &around).expect("it waits");
        let nobody = "; no worker has served t.pay@1 since 2026-01-02T10:00:00Z at least";
        assert!(said.contains(part) && said.ends_with(nobody), "{said}");
    }
}

/// How each step stands, with the operation and when its wait ends.
fn seen(run: &Run) -> Vec<String> {
    let steps = view(&run.definition, &run.state, &Surroundings::default()).steps;
    let text = |step: &StepView| {
        let status = serde_json::to_value(step.status).expect("json");
        let until = step.until.map(|until| format!(" till {}", (until - epoch()).num_seconds())).unwrap_or_default();
        format!("{} {} {}{until}", step.name, step.action, status.as_str().expect("text"))
    };
    steps.iter().map(text).collect()
}

#[test]
fn every_new_way_to_stand_is_seen() {
    let yaml = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - parallel:
      - {name: few, call: t.few@1, kind: compensable, compensate: undo, timeout: 5s}
      - {name: wait, await: go, timeout: 9s}
      - {name: nap, sleep: 3s}
      - {name: kids, saga: badge, for_each: 3, concurrency: 2, kind: compensable, compensate: cancel}
";
    let mut run = check(yaml, "
        start => started; few do queued; wait waits till 9s; nap waits till 3s; kids has 3; kids starts 0,1
        waiting => step `few`: limited by t.few@1, waiting for its turn; and step `wait`: waiting for the signal `go` until 2026-01-02T10:00:09Z; and step `nap`: sleeping until 2026-01-02T10:00:03Z; and 1 more
        child kids 0 => kids/0 ok; kids starts 2
    ");
    assert_eq!(
        seen(&run),
        ["few call queued", "wait await waiting till 9", "nap sleep waiting till 3", "kids for_each running"]
    );
    let steps = view(&run.definition, &run.state, &Surroundings::default()).steps;
    assert_eq!(steps[1].signal.as_deref(), Some("go"));
    let children = steps[3].children.as_ref().expect("children");
    assert_eq!((children.total, children.waiting, children.running, children.completed), (3, 0, 2, 1));
    assert_eq!(children.at_work.iter().map(|child| child.child).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(run.give("child kids 1 compensated"), "kids/1 failed child_compensated; kids halted");
    assert_eq!(
        run.give("child kids 2"),
        "kids/2 ok; kids interrupted children_failed; few failed dropped; wait failed dropped; nap failed dropped; back failed; kids cancels 2,0"
    );
    assert_eq!(seen(&run), ["few call failed", "wait await failed", "nap sleep failed", "kids for_each undoing"]);
    let children =
        view(&run.definition, &run.state, &Surroundings::default()).steps.remove(3).children.expect("children");
    assert_eq!((children.running, children.failed, children.failures[0].child), (2, 1, 1));
    // Ended by hand, nobody knows what becomes of those at work.
    let ended = check(
        yaml,
        "
        start => started; few do queued; wait waits till 9s; nap waits till 3s; kids has 3; kids starts 0,1
        terminate forced => terminated; told terminate@7
    ",
    );
    assert_eq!(seen(&ended), ["few call skipped", "wait await skipped", "nap sleep skipped", "kids for_each unknown"]);
}

#[test]
fn the_history_names_what_is_new_and_the_steps_it_is_about() {
    let run = check(
        "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: wait, await: go}
  - {name: kid, saga: badge, kind: compensable, compensate: cancel}
  - {name: a, call: t.few@1, kind: compensable, compensate: undo, timeout: 5s, retry: {attempts: 3, backoff: 1s, jitter: 0}}
",
        r#"
        start => started; wait waits
        signal go data {"sum":5} => signal go taken; wait ok; kid has 1; kid starts 0; told taken@3
        child kid 0 => kid/0 ok; kid ok; a do queued
        admitted a => a do#1 till 5s
        a do#1 retry busy => a do again at 1s
        edit-input {"x":1} => a input edited; told edit-input@12
        retry-from kid => kid ordered back; kid cancels 0; told retry-from@13
        undone kid 0 => kid/0 undone; kid undone; rewound kid,a; kid has 1; kid starts 0
    "#,
    );
    let told: Vec<String> = run
        .events
        .iter()
        .zip(1..)
        .map(|(event, sequence)| {
            let entry = history_entry(&run.definition, sequence, event);
            assert!(entry.data.get("fingerprint").is_none() && entry.data.is_object());
            format!("{} {}", entry.event, entry.step.unwrap_or_default()).trim_end().to_owned()
        })
        .collect();
    assert_eq!(
        told,
        [
            "saga_started",
            "wait_started wait",
            "signal_received",
            "step_succeeded wait",
            "children_started kid",
            "children_dispatched kid",
            "child_ended kid",
            "step_succeeded kid",
            "step_queued a",
            "step_dispatched a",
            "retry_scheduled a",
            "input_edited a",
            "rewind_ordered kid",
            "children_dispatched kid",
            "child_ended kid",
            "step_undone kid",
            "rewound",
            "children_started kid",
            "children_dispatched kid",
        ]
    );
    let data = |at: usize| history_entry(&run.definition, 1, &run.events[at]).data;
    assert_eq!(
        data(2),
        json!({"signal": "go", "signal_id": uuid::Uuid::from_u128(1), "outcome": null, "data": {"sum": 5}, "by": "ann", "taken": true})
    );
    assert_eq!(
        (&data(11)["input"], &data(11)["by"], &data(11)["reason"]),
        (&json!({"x": 1}), &json!("ann"), &json!("a test"))
    );
    assert_eq!(data(16), json!({"steps": ["kid", "a"]}));
}
