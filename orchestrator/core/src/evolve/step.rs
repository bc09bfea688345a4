//! Applies a fact that is about one step.

use amends_schemas::command::Operation;
use chrono::{DateTime, Utc};

use super::{moving_status, something};
use crate::children::ChildrenState;
use crate::event::{Event, Fact};
use crate::state::{Attempts, Phase, SagaState, StepState};

pub(super) fn evolve_step(state: &mut SagaState, index: usize, event: &Event) {
    let Some(step) = state.steps.get_mut(index) else { return };
    match &event.fact {
        Fact::StepQueued { operation, .. } => {
            step.phase = Phase::Queued { operation: *operation, in_doubt: step.phase.in_doubt() };
        }
        Fact::WaitStarted { until, .. } => {
            step.started_at.get_or_insert(event.at);
            step.phase = Phase::Waiting { until: *until };
        }
        Fact::ChildrenStarted { total, .. } => {
            step.started_at.get_or_insert(event.at);
            step.children = Some(Box::new(ChildrenState::new(*total)));
            step.phase = Phase::Children { operation: Operation::Do };
        }
        Fact::ChildrenDispatched { operation, children, .. } => {
            if let Some(state) = &mut step.children {
                match operation {
                    Operation::Do | Operation::Probe => state.dispatched(children),
                    Operation::Undo => state.undoing.extend(children),
                }
            }
            step.phase = Phase::Children { operation: *operation };
        }
        Fact::ChildEnded { child, operation, output, error, refused, in_doubt, .. } => {
            if let Some(state) = &mut step.children {
                match operation {
                    Operation::Do | Operation::Probe => {
                        state.ended(*child, error.as_ref(), *in_doubt);
                        state.output.clone_from(output);
                        // An operator has said of the last of them how it ended: the step goes on.
                        if step.phase.in_doubt() && state.in_doubt.is_empty() {
                            step.phase = Phase::Children { operation: Operation::Do };
                        }
                    }
                    Operation::Undo => state.undo_ended(*child, error.as_ref(), *refused),
                }
            }
        }
        Fact::ChildrenHalted { cancelled, .. } => {
            if let Some(state) = &mut step.children {
                state.halted = true;
                state.cancelled |= *cancelled;
            }
        }
        Fact::StepInterrupted { error, .. } => {
            step.error = Some(Box::new(error.clone()));
            end(step, Phase::Interrupted, event.at);
            if !state.succeeded.contains(&index) {
                state.succeeded.push(index);
            }
        }
        Fact::StepSkipped { .. } => step.phase = Phase::Skipped,
        Fact::StepDispatched { operation, attempt, timeout_at, .. } => {
            let in_doubt = step.phase.in_doubt();
            step.attempts.set(*operation, *attempt);
            step.started_at.get_or_insert(event.at);
            step.phase = Phase::InFlight { operation: *operation, timeout_at: *timeout_at, in_doubt };
        }
        Fact::StepSucceeded { outcome, output, pivot, .. } => {
            step.outcome = outcome.clone();
            step.output = something(output);
            step.error = None;
            end(step, Phase::Succeeded, event.at);
            if !state.succeeded.contains(&index) {
                state.succeeded.push(index);
            }
            state.pivot_passed |= *pivot;
        }
        Fact::StepFailed { error, .. } => {
            step.error = Some(Box::new(error.clone()));
            end(step, Phase::Failed, event.at);
        }
        Fact::StepInDoubt { operation, error, .. } => {
            step.error = Some(Box::new(error.clone()));
            step.phase = Phase::BackingOff { operation: *operation, until: event.at, in_doubt: true };
        }
        Fact::RetryScheduled { operation, until, error, in_doubt, .. } => {
            if error.is_some() {
                step.error = error.clone().map(Box::new);
            }
            if *operation == Operation::Do && !in_doubt {
                step.retries = step.retries.saturating_add(1);
            }
            step.phase = Phase::BackingOff { operation: *operation, until: *until, in_doubt: *in_doubt };
        }
        Fact::StepUndone { .. } => {
            step.error = None;
            end(step, Phase::Undone, event.at);
        }
        Fact::CompensationWaived { .. } => step.phase = Phase::Waived,
        Fact::StepStuck { operation, error, in_doubt, .. } => {
            step.error = Some(Box::new(error.clone()));
            step.phase = Phase::Stuck { operation: *operation, in_doubt: *in_doubt };
        }
        Fact::RetryOrdered { operation, in_doubt, anew, .. } => {
            step.retries = 0;
            step.renewed = step.attempts;
            if *anew {
                other_key(step);
            }
            match (&mut step.children, operation) {
                (None, _) => {
                    step.phase = Phase::BackingOff { operation: *operation, until: event.at, in_doubt: *in_doubt };
                }
                (Some(children), Operation::Do | Operation::Probe) => {
                    children.renew_failed();
                    step.phase = Phase::Children { operation: Operation::Do };
                }
                (Some(children), Operation::Undo) => {
                    children.renew_unable();
                    step.phase = Phase::Children { operation: Operation::Undo };
                }
            }
        }
        Fact::InputEdited { input, .. } => {
            step.input = Some(input.clone());
            // A worker that has seen the key has seen it with the other input.
            other_key(step);
        }
        Fact::StepPassedOver { operation, .. } => {
            let phase = match operation {
                Operation::Do | Operation::Probe => Phase::Skipped,
                Operation::Undo => Phase::Waived,
            };
            end(step, phase, event.at);
        }
        Fact::SagaStarted { .. }
        | Fact::SagaPaused { .. }
        | Fact::SagaResumed { .. }
        | Fact::StepResolved { .. }
        | Fact::SagaTerminated { .. }
        | Fact::CancelRequested { .. }
        | Fact::CancelRequestedAgain { .. }
        | Fact::CancellationTurnedForward { .. }
        | Fact::DeadlinePassed {}
        | Fact::CompensationStarted { .. }
        | Fact::ForwardCancellationDispatched { .. }
        | Fact::ForwardCancellationStarted { .. }
        | Fact::ForwardCancellationRefused { .. }
        | Fact::SagaCompleted { .. }
        | Fact::SagaCompensated { .. }
        | Fact::StartTimeReached {}
        | Fact::SignalReceived { .. }
        | Fact::CancellationAdopted { .. }
        | Fact::ParentTold {}
        | Fact::RewindOrdered { .. }
        | Fact::Rewound { .. } => {}
    }
    state.status = moving_status(state);
}

/// The next attempt has another idempotency key than the last; what is answered to earlier ones says nothing about it.
fn other_key(step: &mut StepState) {
    if step.attempts != step.earlier {
        step.round = step.round.saturating_add(1);
        step.earlier = step.attempts;
    }
}

fn end(step: &mut StepState, phase: Phase, at: DateTime<Utc>) {
    step.phase = phase;
    step.ended_at = Some(at);
}

impl Attempts {
    const fn set(&mut self, operation: Operation, attempt: u32) {
        match operation {
            Operation::Do => self.r#do = attempt,
            Operation::Undo => self.undo = attempt,
            Operation::Probe => self.probe = attempt,
        }
    }
}

impl Phase {
    /// Whether it is unknown whether the `do` happened. A step that was never tried, or whose end is known, is not.
    pub const fn in_doubt(&self) -> bool {
        match self {
            Phase::InFlight { in_doubt, .. }
            | Phase::BackingOff { in_doubt, .. }
            | Phase::Queued { in_doubt, .. }
            | Phase::Stuck { in_doubt, .. } => *in_doubt,
            Phase::Pending
            | Phase::Skipped
            | Phase::Waiting { .. }
            | Phase::Children { .. }
            | Phase::Interrupted
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived => false,
        }
    }
}
