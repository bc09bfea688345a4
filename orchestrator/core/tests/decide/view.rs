//! A saga as people read it.

use amends_core::view::{history_entry, summary, view};
use amends_schemas::saga::{SagaStatus, StepStatus};
use serde_json::json;

use crate::check::{PAID, check};

fn statuses(script: &str) -> Vec<StepStatus> {
    let run = check(PAID, script);
    view(&run.definition, &run.state).steps.into_iter().map(|step| step.status).collect()
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
    let whole = view(&run.definition, &run.state);
    assert_eq!((whole.definition.as_str(), whole.version, whole.status), ("test", 1, SagaStatus::Running));
    assert_eq!(whole.hash, *run.definition.reference.hash);
    assert_eq!((whole.steps[1].attempt, whole.steps[1].error.as_ref().map(|e| e.code.as_str())), (1, Some("busy")));
    assert_eq!(whole.steps[0].output, Some(json!({"seat": 7})));
    assert_eq!(whole.event_count, run.events.len() as u64);
    assert_eq!(summary(&run.definition, &run.state).waiting_for, whole.waiting_for);
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
