//! A saga as people read it.

mod history;
mod waiting;

pub use history::history_entry;
pub use waiting::waiting_for;

use amends_schemas::command::Operation;
use amends_schemas::contract::ContractName;
use amends_schemas::family::{CHILDREN_SHOWN_MAX, ChildFailure, ChildRef, ChildrenView};
use amends_schemas::saga::{SagaStatus, SagaSummary, SagaView, StepStatus, StepView};

use crate::children::ChildrenState;
use crate::decide::{child_id, ended_by_hand};
use crate::definition::{Action, Definition};
use crate::state::{Phase, SagaState};
use crate::surroundings::Surroundings;

/// The whole saga.
pub fn view(definition: &Definition, state: &SagaState, around: &Surroundings) -> SagaView {
    SagaView {
        saga_id: state.saga_id,
        definition: state.definition.name.to_string(),
        version: state.definition.version,
        hash: state.definition.hash.to_string(),
        status: state.status,
        reason: state.reason,
        paused: state.paused,
        waiting_for: waiting_for(definition, state, around),
        steps: (0..definition.steps.len()).filter_map(|index| step_view(definition, state, index)).collect(),
        input: state.input.clone(),
        output: state.output.clone(),
        tags: state.tags.clone(),
        cancelled_by: state.cancel.as_ref().and_then(|cancel| cancel.forward.as_ref()).map(|forward| forward.saga_id),
        parent: state.parent.as_ref().map(|parent| parent.link.clone()),
        start_at: state.start_at,
        priority: state.priority,
        deadline_at: state.deadline_at,
        created_at: state.created_at,
        updated_at: state.updated_at,
        event_count: state.event_count,
    }
}

/// One line of a list.
pub fn summary(definition: &Definition, state: &SagaState, around: &Surroundings) -> SagaSummary {
    SagaSummary {
        saga_id: state.saga_id,
        definition: state.definition.name.to_string(),
        version: state.definition.version,
        status: state.status,
        paused: state.paused,
        waiting_for: waiting_for(definition, state, around),
        tags: state.tags.clone(),
        created_at: state.created_at,
        updated_at: state.updated_at,
    }
}

fn step_view(definition: &Definition, state: &SagaState, index: usize) -> Option<StepView> {
    let (step, now) = (definition.steps.get(index)?, state.steps.get(index)?);
    let terminated = state.status == SagaStatus::Terminated;
    let (status, operation, until) = match now.phase {
        // A saga that turned back never comes to it.
        Phase::Pending if state.reason.is_some() || terminated => (StepStatus::Skipped, None, None),
        // Nobody waits for an answer any more.
        Phase::BackingOff { operation: Operation::Do, in_doubt: false, .. } if terminated => {
            (StepStatus::Failed, Some(Operation::Do), None)
        }
        Phase::Queued { in_doubt: false, .. } | Phase::Waiting { .. } if terminated => {
            (StepStatus::Skipped, None, None)
        }
        Phase::InFlight { operation, .. }
        | Phase::BackingOff { operation, .. }
        | Phase::Queued { operation, .. }
        | Phase::Children { operation }
            if terminated =>
        {
            (StepStatus::Unknown, Some(operation), None)
        }
        Phase::Queued { operation, in_doubt } => {
            (underway(operation, in_doubt, StepStatus::Queued), Some(operation), None)
        }
        Phase::Waiting { until } => (StepStatus::Waiting, None, until),
        Phase::Children { operation } => (underway(operation, false, StepStatus::Running), Some(operation), None),
        Phase::Interrupted => (StepStatus::Failed, Some(Operation::Do), None),
        Phase::Pending => (StepStatus::Pending, None, None),
        Phase::Skipped => (StepStatus::Skipped, None, None),
        Phase::InFlight { operation, timeout_at, in_doubt } => {
            (underway(operation, in_doubt, StepStatus::Running), Some(operation), Some(timeout_at))
        }
        Phase::BackingOff { operation, until, in_doubt } => {
            (underway(operation, in_doubt, StepStatus::BackingOff), Some(operation), Some(until))
        }
        // What is waived is left as it is: it happened.
        Phase::Succeeded | Phase::Waived => (StepStatus::Succeeded, Some(Operation::Do), None),
        Phase::Failed => (StepStatus::Failed, Some(Operation::Do), None),
        Phase::Undone => (StepStatus::Undone, Some(Operation::Undo), None),
        Phase::Stuck { operation, .. } => (StepStatus::Stuck, Some(operation), None),
    };
    let awaited = match &step.action {
        Action::Await(awaited) => Some(awaited.signal.to_string()),
        Action::Call(_) | Action::Sleep(_) | Action::Children(_) => None,
    };
    Some(StepView {
        name: step.name.to_string(),
        action: step.action.as_str().to_owned(),
        call: step.call().map(|call| call.name.clone()),
        signal: awaited,
        children: now.children.as_ref().map(|children| children_view(definition, state, index, children)),
        status,
        operation,
        attempt: operation.map_or(0, |operation| now.attempts.of(operation)),
        outcome: now.outcome.clone(),
        error: now.error.as_deref().cloned(),
        output: now.output.clone(),
        started_at: now.started_at,
        ended_at: now.ended_at,
        until,
    })
}

fn children_view(definition: &Definition, state: &SagaState, step: usize, children: &ChildrenState) -> ChildrenView {
    let id = |child: u32| child_id(state, definition, step, child);
    let (completed, failed, undone) = (children.completed.count(), children.failed.count(), children.undone.count());
    let at_work = children.running.iter().chain(&children.undoing);
    let running = children.running.len().saturating_add(children.undoing.len());
    let failures = children.failures.iter().chain(&children.unable);
    let in_doubt = children.in_doubt.iter().filter_map(|child| {
        let saga_id = id(child)?;
        Some(ChildFailure { child, saga_id, error: ended_by_hand(saga_id) })
    });
    ChildrenView {
        total: children.total,
        waiting: children.waiting(),
        running: u32::try_from(running).unwrap_or(u32::MAX),
        completed,
        failed,
        in_doubt: children.in_doubt.count(),
        undone,
        at_work: at_work
            .filter_map(|&child| Some(ChildRef { child, saga_id: id(child)? }))
            .take(CHILDREN_SHOWN_MAX)
            .collect(),
        failures: failures
            .filter_map(|(&child, error)| Some(ChildFailure { child, saga_id: id(child)?, error: error.clone() }))
            .chain(in_doubt)
            .take(CHILDREN_SHOWN_MAX)
            .collect(),
    }
}

const fn underway(operation: Operation, in_doubt: bool, certain: StepStatus) -> StepStatus {
    match (operation, in_doubt) {
        (Operation::Undo, _) => StepStatus::Undoing,
        (Operation::Probe, _) | (Operation::Do, true) => StepStatus::Unknown,
        (Operation::Do, false) => certain,
    }
}

/// The contracts that a saga of this definition may call.
pub fn contracts_called(definition: &Definition) -> impl Iterator<Item = &ContractName> {
    definition.steps.iter().filter_map(|step| step.call()).map(|call| &call.name)
}

/// The contracts whose workers this saga waits for: they owe it an answer, or will be asked again.
pub fn contracts_asked<'a>(
    definition: &'a Definition,
    state: &'a SagaState,
) -> impl Iterator<Item = &'a ContractName> + 'a {
    let asked = definition.steps.iter().zip(&state.steps);
    let asked = asked.filter(|(_, now)| {
        matches!(now.phase, Phase::InFlight { .. } | Phase::BackingOff { .. } | Phase::Queued { .. })
    });
    asked.filter_map(|(step, _)| step.call()).map(|call| &call.name)
}
