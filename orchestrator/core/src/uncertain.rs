//! What nobody can say the end of yet: steps that are with the workers or in doubt, or whose children are at work.

use amends_schemas::command::Operation;

use crate::definition::{Definition, Step, StepKind};
use crate::state::{Phase, SagaState};

/// The steps whose ends are not known yet; those in doubt first.
pub(crate) fn uncertain<'a>(definition: &'a Definition, state: &'a SagaState) -> Vec<(usize, &'a Step, &'a Phase)> {
    let mut open: Vec<_> = state
        .open_steps()
        .filter_map(|index| Some((index, definition.steps.get(index)?, &state.steps.get(index)?.phase)))
        .filter(|(_, _, phase)| is_uncertain(phase))
        .collect();
    open.sort_by_key(|(_, _, phase)| !phase.in_doubt());
    open
}

/// The point of no return, while nobody knows whether it has happened: it is with the workers or in doubt, and how it ends decides whether the
/// saga can turn back. `None` of a saga that turns back or is at its end.
pub(crate) fn undecided_pivot<'a>(definition: &'a Definition, state: &'a SagaState) -> Option<&'a Step> {
    if state.pivot_passed || state.reason.is_some() || state.status.is_final() {
        return None;
    }
    let pivot = uncertain(definition, state).into_iter().find(|(_, step, _)| step.kind == StepKind::Pivot);
    pivot.map(|(_, step, _)| step)
}

/// Whether nobody can say the end of a step in this phase yet.
pub(crate) const fn is_uncertain(phase: &Phase) -> bool {
    match phase {
        Phase::InFlight { operation: Operation::Undo, in_doubt, .. } => *in_doubt,
        Phase::InFlight { operation: Operation::Do | Operation::Probe, .. }
        | Phase::Children { operation: Operation::Do | Operation::Probe } => true,
        Phase::BackingOff { in_doubt, .. } | Phase::Queued { in_doubt, .. } | Phase::Stuck { in_doubt, .. } => {
            *in_doubt
        }
        Phase::Waiting { .. }
        | Phase::Children { operation: Operation::Undo }
        | Phase::Interrupted
        | Phase::Pending
        | Phase::Skipped
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Undone
        | Phase::Waived => false,
    }
}
