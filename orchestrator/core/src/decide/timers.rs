//! What is due, and when to wake.

use std::time::Duration;

use amends_schemas::command::{Operation, StepError};
use amends_schemas::saga::SagaStatus;
use chrono::{DateTime, Utc};

use super::turn::Turn;
use crate::event::{DoubtCause, Fact};
use crate::state::{ForwardStage, Phase, SagaState};

/// The earliest time at which this saga wants [`Input::TimeReached`](super::Input::TimeReached): an attempt's timeout, the
/// end of a backoff, of a sleep or of the wait for a signal, the time of its first step, the deadline while it still matters, or the
/// next try of its forward cancellation. None while it is paused.
pub fn next_wakeup(state: &SagaState) -> Option<DateTime<Utc>> {
    if state.status.is_final() {
        return forward_timeout(state);
    }
    if state.paused {
        return None;
    }
    let steps = state.steps.iter().filter_map(|step| match step.phase {
        _ if held_back(state, &step.phase) => None,
        Phase::InFlight { timeout_at: at, .. } | Phase::BackingOff { until: at, .. } => Some(at),
        Phase::Waiting { until } => until,
        Phase::Pending
        | Phase::Queued { .. }
        | Phase::Children { .. }
        | Phase::Interrupted
        | Phase::Skipped
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Undone
        | Phase::Waived
        | Phase::Stuck { .. } => None,
    });
    steps.chain(pending_deadline(state)).chain(pending_start(state)).min()
}

/// The deadline, while passing it would still change anything.
fn pending_deadline(state: &SagaState) -> Option<DateTime<Utc>> {
    let matters = match state.status {
        SagaStatus::Running | SagaStatus::Stuck => {
            state.reason.is_none() && !state.pivot_passed && !state.deadline_passed
        }
        SagaStatus::Compensating | SagaStatus::Completed | SagaStatus::Compensated | SagaStatus::Terminated => false,
    };
    state.deadline_at.filter(|_| matters)
}

/// When its first step begins, while it waits for that.
fn pending_start(state: &SagaState) -> Option<DateTime<Utc>> {
    state.start_at.filter(|_| state.status == SagaStatus::Running)
}

/// Whether this attempt is not made because the saga is going back to a step before it: it is done anew then.
pub(super) const fn held_back(state: &SagaState, phase: &Phase) -> bool {
    state.rewind.is_some() && matches!(phase, Phase::BackingOff { operation: Operation::Do, in_doubt: false, .. })
}

fn forward_timeout(state: &SagaState) -> Option<DateTime<Utc>> {
    match state.cancel.as_ref()?.forward.as_ref()?.stage {
        ForwardStage::Dispatched { timeout_at, .. } => Some(timeout_at),
        ForwardStage::Waiting | ForwardStage::Started | ForwardStage::Refused { .. } => None,
    }
}

impl Turn<'_> {
    /// Does what is due. A late or repeated tick finds nothing due and changes nothing.
    pub(super) fn time_reached(&mut self) {
        if self.state.status.is_final() {
            if forward_timeout(self.state).is_some_and(|at| at <= self.now) {
                self.start_forward();
            }
            return;
        }
        if self.state.paused {
            return;
        }
        let started = self.start_reached();
        if self.deadline_reached() || started {
            self.advance();
        }
        self.steps_time_reached();
    }

    /// Notes that the deadline has passed, if it has and that matters.
    pub(super) fn deadline_reached(&mut self) -> bool {
        let passed = pending_deadline(self.state).is_some_and(|at| at <= self.now);
        if passed {
            self.record(Fact::DeadlinePassed {});
        }
        passed
    }

    /// Notes that the time of the first step has come, if it has.
    pub(super) fn start_reached(&mut self) -> bool {
        let reached = pending_start(self.state).is_some_and(|at| at <= self.now);
        if reached {
            self.record(Fact::StartTimeReached {});
        }
        reached
    }

    /// Ends what has waited long enough.
    pub(super) fn steps_time_reached(&mut self) {
        for index in 0..self.state.steps.len() {
            self.step_time_reached(index);
        }
    }

    fn step_time_reached(&mut self, index: usize) {
        let Some((step, state)) = self.step(index) else { return };
        match state.phase {
            _ if held_back(self.state, &state.phase) => {}
            Phase::InFlight { operation, timeout_at, .. } if timeout_at <= self.now => {
                let error = StepError::new(
                    "timed_out",
                    format!(
                        "No answer to {operation} of `{}`, attempt {}, in time.",
                        step.name,
                        state.attempts.of(operation)
                    ),
                );
                match operation {
                    Operation::Do => self.doubt(index, operation, DoubtCause::TimedOut, error),
                    Operation::Probe => self.ask_again(index, operation, Some(error.clone()), error, Duration::ZERO),
                    Operation::Undo => self.undo_again(index, error, Duration::ZERO),
                }
            }
            Phase::BackingOff { operation, until, .. } if until <= self.now => self.again(index, operation),
            Phase::Waiting { until: Some(until) } if until <= self.now => self.wait_over(index),
            Phase::InFlight { .. }
            | Phase::BackingOff { .. }
            | Phase::Waiting { .. }
            | Phase::Queued { .. }
            | Phase::Children { .. }
            | Phase::Interrupted
            | Phase::Pending
            | Phase::Skipped
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived
            | Phase::Stuck { .. } => {}
        }
    }
}
