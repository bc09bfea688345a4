//! A step with as many children as it may have.

use std::time::{Duration, Instant};

use amends_core::decide::{Effect, Input, Start, decide, start};
use amends_core::state::SagaState;
use amends_schemas::command::{Operation, StepError, StepResult};
use amends_schemas::family::{CHILDREN_SHOWN_MAX, ChildEnded, ParentLink};
use amends_schemas::saga::SagaStatus;
use serde_json::{Value, json};

use crate::check::{definition, epoch, saga_id};
use crate::for_each::MANY;

/// A hundred thousand children come and go, every thousandth fails, and all that completed are undone.
#[test]
fn a_hundred_thousand_children_take_seconds_and_little_room() {
    const TOTAL: u32 = 100_000;
    let began = Instant::now();
    let yaml = MANY.replace("POLICY", "continue").replace("concurrency: 2", "concurrency: 100");
    let definition = definition(&yaml);
    let given = Start { input: json!({"guests": TOTAL}), ..Start::default() };
    let (mut state, _) = start(&definition, saga_id(), given, epoch());
    let mut give = |input: Input| {
        let decision = decide(&definition, &mut state, input, epoch());
        let children: Vec<u32> = decision
            .effects
            .iter()
            .flat_map(|effect| match effect {
                Effect::StartChildren { children, .. } | Effect::CancelChildren { children, .. } => children.clone(),
                _ => Vec::new(),
            })
            .collect();
        let stands = state.steps[1].children.as_ref();
        assert!(stands.is_none_or(|children| children.running.len() <= 100 && children.undoing.len() <= 100));
        let size = rmp_size(&state, &children);
        (children, size)
    };
    let reply =
        |step: &str, result| Input::Reply { step: step.to_owned(), operation: Operation::Do, attempt: 1, result };
    let ok = || StepResult::Succeeded { outcome: None, output: json!({}) };
    let no = || StepResult::Failed { error: StepError::new("no", "No.") };
    let mut largest = 0;
    for operation in [Operation::Do, Operation::Undo] {
        let (step, result) = if operation == Operation::Do { ("a", ok()) } else { ("b", no()) };
        let (mut at_work, _) = give(reply(step, result));
        let mut ended = 0;
        // Of those at work the newest ends first, so that they are not in order.
        while let Some(child) = at_work.pop() {
            ended += 1;
            let id = saga_id().child("kids", 0, child, 0);
            let undo = operation == Operation::Undo;
            let (more, size) = give(Input::ChildEnded(ChildEnded {
                parent: ParentLink { saga_id: saga_id(), step: "kids".to_owned(), child, operation },
                saga_id: if undo { id.forward_cancellation() } else { id },
                status: if !undo && child % 1_000 == 7 { SagaStatus::Compensated } else { SagaStatus::Completed },
                output: Value::Null,
                error: None,
            }));
            largest = largest.max(size);
            at_work.splice(0..0, more);
        }
        assert_eq!(ended, if operation == Operation::Do { TOTAL } else { TOTAL - TOTAL / 1_000 });
    }
    let children = state.steps[1].children.as_ref().expect("children");
    assert_eq!((children.failed.count(), children.undone.count()), (100, TOTAL - 100));
    assert_eq!(children.failures.len(), CHILDREN_SHOWN_MAX);
    assert!(largest < 32 * 1024, "the state takes {largest} bytes");
    // On a slow machine, without optimisation.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

/// How large a checkpoint would be; looked at now and then, for writing it takes longer than deciding.
fn rmp_size(state: &SagaState, children: &[u32]) -> usize {
    if children.iter().any(|child| child % 500 == 0) {
        rmp_serde::to_vec_named(state).expect("writes").len()
    } else {
        0
    }
}
