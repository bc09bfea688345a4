//! What parents and children say to each other, the same each time they are asked.

use amends_schemas::command::{CompensationReason, Operation, StepError};
use amends_schemas::family::{ChildEnded, ParentLink};
use amends_schemas::ids::SagaId;
use amends_schemas::saga::{CancelSaga, SagaStatus, StartSaga};

use super::super::forward::DROPPED;
use super::super::turn::fits;
use super::super::types::Effect;
use super::ends::ended_by_hand;
use crate::definition::Definition;
use crate::mapping::Each;
use crate::state::{Phase, SagaState, StepState};

/// Who cancels children, for the record.
const CANCELLED_BY: &str = "parent";
/// What starts a child; the same each time it is asked for. `None` when the step has no such child.
pub fn child_request(definition: &Definition, state: &SagaState, step: usize, child: u32) -> Option<StartSaga> {
    if !fits(definition, state) {
        return None;
    }
    let children = definition.steps.get(step)?.children()?;
    let item =
        children.each.as_ref().and_then(|each| each.items.look(state)).and_then(|items| items.get(child as usize));
    let each = children.each.as_ref().map(|_| Each { index: child, item });
    Some(StartSaga {
        saga_id: child_id(state, definition, step, child)?,
        definition: children.saga.to_string(),
        version: children.version,
        input: children.input.resolve_for(state, each).unwrap_or_default(),
        tags: state.tags.clone(),
        start_at: None,
        priority: state.priority,
        parent: Some(link(definition, state, step, child, Operation::Do)?),
    })
}

/// What cancels a child; the same each time it is asked for.
pub fn child_cancel(definition: &Definition, state: &SagaState, step: usize, child: u32) -> Option<CancelSaga> {
    let why = match state.turning_back() {
        Some(CompensationReason::Cancelled) => "its parent was cancelled",
        Some(CompensationReason::Failed) => "its parent failed",
        Some(CompensationReason::Deadline) => "its parent was not done in time",
        None => "its parent goes back",
    };
    Some(CancelSaga {
        saga_id: child_id(state, definition, step, child)?,
        by: CANCELLED_BY.to_owned(),
        reason: why.to_owned(),
        parent: Some(link(definition, state, step, child, Operation::Undo)?),
    })
}

/// What the saga that waits for this one's end is told; `None` while there is nothing to tell.
pub fn child_ended(definition: &Definition, state: &SagaState) -> Option<ChildEnded> {
    let parent = state.parent.as_ref().filter(|parent| !parent.told && state.status.is_final())?;
    let error = match state.status {
        SagaStatus::Completed => None,
        _ => Some(last_error(definition, state)),
    };
    Some(ChildEnded {
        parent: parent.link.clone(),
        saga_id: state.saga_id,
        status: state.status,
        output: state.output.clone().unwrap_or_default(),
        error,
    })
}

/// A child's id: the same whoever computes it.
pub(crate) fn child_id(state: &SagaState, definition: &Definition, step: usize, child: u32) -> Option<SagaId> {
    let (declared, now) = (definition.steps.get(step)?, state.steps.get(step)?);
    let round = now.children.as_ref().map_or(0, |children| children.round(child));
    Some(state.saga_id.child(&declared.name, now.round, child, round))
}

/// Children that are to be started or cancelled again after a restart.
pub(in crate::decide) fn children_under_way(index: usize, state: &StepState) -> Vec<Effect> {
    let Some(children) = &state.children else { return Vec::new() };
    let (running, undoing) = (children.running.iter().copied().collect(), children.undoing.iter().copied().collect());
    let effects: [(bool, Effect); 2] = match (children.cancelled, state.phase.is_open()) {
        (_, false) => return Vec::new(),
        (false, true) => [
            (!children.running.is_empty(), Effect::StartChildren { step: index, children: running }),
            (!children.undoing.is_empty(), Effect::CancelChildren { step: index, children: undoing }),
        ],
        (true, true) => [
            (!children.running.is_empty(), Effect::CancelChildren { step: index, children: running }),
            (!children.undoing.is_empty(), Effect::CancelChildren { step: index, children: undoing }),
        ],
    };
    effects.into_iter().filter(|(any, _)| *any).map(|(_, effect)| effect).collect()
}

fn link(
    definition: &Definition,
    state: &SagaState,
    step: usize,
    child: u32,
    operation: Operation,
) -> Option<ParentLink> {
    let step = definition.steps.get(step)?.name.to_string();
    Some(ParentLink { saga_id: state.saga_id, step, child, operation })
}

/// What a parent is told of a saga that did not complete: its own step's error, if that is why.
fn last_error(definition: &Definition, state: &SagaState) -> StepError {
    let failed = definition
        .steps
        .iter()
        .zip(&state.steps)
        .filter(|(_, now)| matches!(now.phase, Phase::Failed | Phase::Interrupted | Phase::Stuck { .. }))
        // The first that failed is why; of branches that were dropped at that moment the one that was not.
        .min_by_key(|(_, now)| (now.ended_at, now.error.as_ref().is_none_or(|error| error.code == DROPPED)));
    let why = failed.and_then(|(step, now)| now.error.as_ref().map(|error| (step, error)));
    if state.status == SagaStatus::Terminated {
        return ended_by_hand(state.saga_id);
    }
    let code = format!("child_{}", state.status.as_str());
    match (state.status, state.reason, why) {
        (SagaStatus::Compensated, Some(CompensationReason::Failed), Some((step, error))) => StepError::new(
            code,
            format!("The saga {} made amends: step `{}`: {}: {}", state.saga_id, step.name, error.code, error.message),
        ),
        (status, reason, _) => {
            let reason = reason.map(|reason| format!(" ({})", reason.as_str())).unwrap_or_default();
            StepError::new(code, format!("The saga {} is {}{reason}.", state.saga_id, status.as_str()))
        }
    }
}
