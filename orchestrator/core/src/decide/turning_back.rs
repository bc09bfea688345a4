//! Compensation: what has succeeded is undone backwards along the flow, the steps of a sequence one at a time, branches in
//! parallel. And going back to a step, which undoes in the same way only what comes from it on.

use amends_schemas::command::{CompensationReason, Operation, StepError};

use super::turn::{Turn, later, retry_of};
use crate::backoff::backoff;
use crate::definition::{Compensate, Definition, Node};
use crate::event::Fact;
use crate::state::{Phase, SagaState};
use crate::uncertain::is_uncertain;

impl Turn<'_> {
    /// Undoes what is next to be undone, or ends the saga; whether there may be more to do at once.
    pub(super) fn compensate(&mut self) -> bool {
        let back = back(&self.definition.flow, self.definition, self.state, &mut |_| true);
        if back.is_empty() {
            let reason = self.state.reason.unwrap_or(CompensationReason::Failed);
            self.record(Fact::SagaCompensated { reason });
            return false;
        }
        self.undo_all(&back)
    }

    /// Goes back to the step that an operator has named; whether there may be more to do at once.
    pub(super) fn rewind(&mut self) -> bool {
        let Some(place) = self.state.rewind.and_then(|step| self.definition.place_of(step)) else { return false };
        let (place, _) = place;
        let nodes = &self.definition.flow[place..];
        // What cannot be undone is simply done again: the operator has been told so.
        let undoable = &mut |index: usize| {
            let step = self.definition.steps.get(index);
            step.is_some_and(|step| matches!(step.compensate, Compensate::Undo { .. } | Compensate::Cancel))
        };
        let back = back(nodes, self.definition, self.state, undoable);
        if back.is_empty() {
            let begun = |step: &usize| self.state.steps.get(*step).is_some_and(|step| step.phase != Phase::Pending);
            let steps = (0..self.definition.steps.len()).filter(|step| nodes.iter().any(|node| node.holds(*step)));
            let steps = steps.filter(begun);
            self.record(Fact::Rewound { steps: steps.collect() });
            return true;
        }
        self.undo_all(&back)
    }

    /// Begins to undo those of these steps that have succeeded; whether that settles one at once.
    fn undo_all(&mut self, back: &[usize]) -> bool {
        let mut moved = false;
        for &index in back {
            let Some((step, state)) = self.step(index) else { continue };
            if !matches!(state.phase, Phase::Succeeded | Phase::Interrupted) {
                continue;
            }
            match &step.compensate {
                Compensate::Undo { .. } => self.dispatch(index, Operation::Undo),
                Compensate::Cancel => moved |= self.undo_children(index),
                Compensate::Waived { .. } | Compensate::None => {
                    self.record(Fact::CompensationWaived { step: index });
                    moved = true;
                }
            }
        }
        moved
    }

    /// An undo has not worked, or has not answered: it is idempotent, so it is sent again until its budget is spent.
    pub(super) fn undo_again(&mut self, index: usize, error: StepError, after: std::time::Duration) {
        let Some((step, state)) = self.step(index) else { return };
        let in_doubt = state.phase.in_doubt();
        let Some(policy) = retry_of(step, Operation::Undo) else { return };
        let attempt = state.spent(Operation::Undo);
        if attempt >= policy.attempts {
            return self.undo_stuck(index, error);
        }
        let wait = backoff(policy, self.state.saga_id, index, attempt).max(after);
        let until = later(self.now, wait);
        self.record(Fact::RetryScheduled {
            step: index,
            operation: Operation::Undo,
            until,
            error: Some(error),
            in_doubt,
        });
    }

    /// An undo cannot be carried out: a person is needed.
    pub(super) fn undo_stuck(&mut self, index: usize, error: StepError) {
        let in_doubt = self.state.steps.get(index).is_some_and(|step| step.phase.in_doubt());
        self.record(Fact::StepStuck { step: index, operation: Operation::Undo, error, in_doubt });
    }
}

/// What a saga that turned back now would come to, as it would: each step with its stage, from one. Those of one stage are undone at the same
/// time; what is merely passed over takes none of its own. A step whose end is not known yet counts as if it happened, and what waits or has cleanly
/// failed as if it did not.
pub(crate) fn stages(definition: &Definition, state: &SagaState) -> Vec<(u32, usize)> {
    let mut state = state.clone();
    for index in state.open_steps().collect::<Vec<_>>() {
        let Some(now) = state.steps.get_mut(index) else { continue };
        if is_uncertain(&now.phase) {
            now.phase = Phase::Succeeded;
        } else if matches!(
            now.phase,
            Phase::Waiting { .. }
                | Phase::Queued { operation: Operation::Do, .. }
                | Phase::BackingOff { operation: Operation::Do, .. }
        ) {
            now.phase = Phase::Failed;
        }
    }
    let mut stages = Vec::new();
    let mut stage = 1;
    loop {
        let back = back(&definition.flow, definition, &state, &mut |_| true);
        let (passed, undone): (Vec<usize>, Vec<usize>) =
            back.into_iter().partition(|index| is_passed_over(definition, &state, *index));
        let next = if passed.is_empty() { &undone } else { &passed };
        if next.is_empty() {
            return stages;
        }
        for &index in next {
            stages.push((stage, index));
            if let Some(now) = state.steps.get_mut(index) {
                now.phase = Phase::Undone;
            }
        }
        if passed.is_empty() {
            stage = stage.saturating_add(1);
        }
    }
}

/// Whether nothing has to be waited for when it is this step's turn to be undone.
fn is_passed_over(definition: &Definition, state: &SagaState, index: usize) -> bool {
    let Some((step, now)) = definition.steps.get(index).zip(state.steps.get(index)) else { return true };
    match &step.compensate {
        _ if now.phase.is_open() => false,
        Compensate::Waived { .. } | Compensate::None => true,
        Compensate::Undo { .. } => false,
        Compensate::Cancel => now.children.as_ref().is_none_or(|children| {
            children.completed.is_empty() && children.running.is_empty() && children.in_doubt.is_empty()
        }),
    }
}

/// The steps that are next to be undone or are being undone: of a sequence the last that has anything to undo, of branches each
/// one's. `wanted` says which of those that have succeeded count. Empty when all is undone.
fn back(
    nodes: &[Node],
    definition: &Definition,
    state: &SagaState,
    wanted: &mut dyn FnMut(usize) -> bool,
) -> Vec<usize> {
    let mut back = Vec::new();
    gather(nodes, definition, state, wanted, &mut back);
    back
}

/// Whether all of them are undone.
fn gather(
    nodes: &[Node],
    definition: &Definition,
    state: &SagaState,
    wanted: &mut dyn FnMut(usize) -> bool,
    back: &mut Vec<usize>,
) -> bool {
    for node in nodes.iter().rev() {
        let undone = match node {
            Node::Step(index) => {
                let undone = match state.steps.get(*index).map(|step| &step.phase) {
                    Some(Phase::Succeeded | Phase::Interrupted) => {
                        // A wait has done nothing, so nothing is to be recorded of it.
                        !wanted(*index)
                            || definition
                                .steps
                                .get(*index)
                                .is_some_and(|step| step.call().is_none() && step.children().is_none())
                    }
                    // It merely waits to be tried again, or a person decides whether it is: it has not happened.
                    Some(
                        Phase::BackingOff { operation: Operation::Do, in_doubt: false, .. }
                        | Phase::Stuck { operation: Operation::Do, in_doubt: false },
                    ) => true,
                    Some(phase) => !phase.is_open(),
                    None => true,
                };
                if !undone {
                    back.push(*index);
                }
                undone
            }
            Node::Parallel(branches) => {
                let mut undone = true;
                for branch in branches {
                    undone &= gather(branch, definition, state, wanted, back);
                }
                undone
            }
        };
        if !undone {
            return false;
        }
    }
    true
}
