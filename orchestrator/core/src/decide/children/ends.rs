//! What the ends of children mean for their step.

use amends_schemas::command::StepError;
use amends_schemas::family::ChildEnded;
use amends_schemas::ids::SagaId;
use amends_schemas::saga::SagaStatus;
use serde_json::{Value, json};

use super::told::child_id;
use crate::children::ChildrenState;
use crate::definition::{Definition, OUTCOME_ALL, OUTCOME_SOME, OnChildFailure, Step};
use crate::state::SagaState;

/// Code of a child that an operator has ended as it stood.
const CHILD_TERMINATED: &str = "child_terminated";
/// Why a child did not happen, or why nobody knows whether it did; `None` when it did.
pub(super) fn failure_of(told: &ChildEnded) -> Option<StepError> {
    match told.status {
        SagaStatus::Completed => None,
        SagaStatus::Terminated => Some(ended_by_hand(told.saga_id)),
        status @ (SagaStatus::Running | SagaStatus::Compensating | SagaStatus::Compensated | SagaStatus::Stuck) => {
            Some(told.error.clone().unwrap_or_else(|| {
                StepError::new(
                    format!("child_{}", status.as_str()),
                    format!("The saga {} did not complete.", told.saga_id),
                )
            }))
        }
    }
}

/// What is said of a child that an operator has ended as it stood.
pub(crate) fn ended_by_hand(saga_id: SagaId) -> StepError {
    StepError::new(
        CHILD_TERMINATED,
        format!(
            "An operator has ended the saga {saga_id} as it stood, so what it has done stands; see which of its steps have happened, \
             put right what has to be, and resolve this step."
        ),
    )
}

/// Why a step is in doubt of which children were ended by hand.
pub(super) fn doubt_of(
    children: &ChildrenState,
    state: &SagaState,
    definition: &Definition,
    index: usize,
) -> StepError {
    let first = children.in_doubt.iter().next().and_then(|child| child_id(state, definition, index, child));
    let mut error = ended_by_hand(first.unwrap_or(state.saga_id));
    let others = children.in_doubt.count().saturating_sub(1);
    if others > 0 {
        error.message = format!("{} {others} more were ended so, and are resolved with it.", error.message);
    }
    error
}

/// Why a step whose children have not all completed has not happened.
pub(super) fn interruption(children: &ChildrenState, many: bool) -> StepError {
    match children.failures.iter().next() {
        Some((_, error)) if !many => error.clone(),
        Some((child, error)) => StepError::new(
            "children_failed",
            format!(
                "{} of {} children failed; child {}: {}: {}",
                children.failed.count(),
                children.total,
                // People count from one.
                child.saturating_add(1),
                error.code,
                error.message
            ),
        ),
        None => StepError::new(
            "children_cancelled",
            format!("{} of {} children had completed.", children.completed.count(), children.total),
        ),
    }
}

pub(super) fn outcome_of(
    step: &Step,
    children: &ChildrenState,
    state: &SagaState,
    definition: &Definition,
    index: usize,
) -> (Option<String>, Value) {
    let Some(each) = step.children().and_then(|declared| declared.each.as_ref()) else {
        return (None, children.output.clone().unwrap_or_default());
    };
    let outcome = (each.on_failure == OnChildFailure::Continue)
        .then(|| if children.failed.is_empty() { OUTCOME_ALL } else { OUTCOME_SOME }.to_owned());
    let failures: Vec<Value> = children
        .failures
        .iter()
        .map(|(child, error)| {
            json!({"child": child, "saga_id": child_id(state, definition, index, *child), "error": error})
        })
        .collect();
    let output = json!({
        "total": children.total,
        "completed": children.completed.count(),
        "failed": children.failed.count(),
        "failures": failures,
    });
    (outcome, output)
}
