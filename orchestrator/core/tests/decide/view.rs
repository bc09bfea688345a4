//! A saga as people read it.

use amends_core::surroundings::Surroundings;
use amends_core::view::{contracts_asked, history_entry, summary, view, waiting_for};
use amends_schemas::contract::ContractName;
use amends_schemas::saga::{SagaStatus, StepStatus};
use chrono::TimeDelta;
use serde_json::json;

use crate::check::{PAID, check, epoch};

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
