//! What a worker's answer means.
//!
//! All attempts of an operation share one idempotency key, so `succeeded` and `failed` of an older attempt are as true as
//! those of the latest. `retry`, `unknown` and `not_happened` only speak of their own attempt and count only while that is
//! the one in flight.

use std::time::Duration;

use amends_schemas::command::{Operation, StepError, StepResult};

use super::timers::held_back;
use super::turn::{Turn, later, retry_of};
use crate::backoff::backoff;
use crate::definition::StepKind;
use crate::event::{DoubtCause, Fact};
use crate::state::Phase;

/// The longest wait a worker may ask for: it should not be able to put a saga off for ever.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Turn<'_> {
    /// Takes a worker's answer, or ignores it when it does not fit.
    pub(super) fn reply(&mut self, name: &str, operation: Operation, attempt: u32, result: StepResult) {
        if self.state.status.is_final() {
            return;
        }
        let Some(index) = self.definition.step_index(name) else { return };
        let Some((step, state)) = self.step(index) else { return };
        // The saga goes back, and has dropped the pivot that by its worker's last word did not happen: it is asked for again, under the same
        // key, and answers then. Nothing could be undone any more behind one that counted now.
        if step.kind == StepKind::Pivot && held_back(self.state, &state.phase) {
            return;
        }
        // An answer to something that was never asked is not ours.
        // Nor is one of an earlier round: that had another idempotency key.
        if attempt <= state.earlier.of(operation) || attempt > state.attempts.of(operation) {
            return;
        }
        let asked = match state.phase {
            Phase::InFlight { operation, .. }
            | Phase::BackingOff { operation, .. }
            | Phase::Queued { operation, .. }
            | Phase::Stuck { operation, .. } => operation,
            Phase::Waiting { .. }
            | Phase::Children { .. }
            | Phase::Interrupted
            | Phase::Pending
            | Phase::Skipped
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived => {
                return;
            }
        };
        let in_flight = matches!(state.phase, Phase::InFlight { .. });
        let current = in_flight && asked == operation && attempt == state.attempts.of(operation);
        match (asked, operation) {
            (Operation::Do | Operation::Probe, Operation::Do) => self.do_answered(index, current, result),
            (Operation::Do | Operation::Probe, Operation::Probe) => self.probe_answered(index, current, result),
            (Operation::Undo, Operation::Undo) => self.undo_answered(index, current, result),
            // Once the undo is out, only its own answer says where the step ends; and a step that is done or
            // asked about again waits for no undo.
            (Operation::Undo, Operation::Do | Operation::Probe)
            | (Operation::Do | Operation::Probe, Operation::Undo) => {}
        }
    }

    fn do_answered(&mut self, index: usize, current: bool, result: StepResult) {
        match result {
            StepResult::Succeeded { outcome, output } => self.succeed(index, outcome, output),
            StepResult::Failed { error } => self.fail_unless_stuck_so(index, error),
            StepResult::Retry { error, after_ms } if current => self.do_again(index, error, after_ms),
            StepResult::Unknown { error } if current => {
                self.doubt(index, Operation::Do, DoubtCause::Reported, error);
            }
            // `not_happened` is a probe's word.
            StepResult::Retry { .. } | StepResult::Unknown { .. } | StepResult::NotHappened => {}
        }
    }

    fn probe_answered(&mut self, index: usize, current: bool, result: StepResult) {
        match result {
            StepResult::Succeeded { outcome, output } => self.succeed(index, outcome, output),
            StepResult::Failed { error } => self.fail_unless_stuck_so(index, error),
            // A probe that wants to be tried again could not look: that says nothing about the step.
            StepResult::Retry { error, after_ms } if current => {
                self.ask_again(index, Operation::Probe, Some(error.clone()), error, after(after_ms));
            }
            StepResult::Unknown { error } if current => {
                self.ask_again(index, Operation::Probe, Some(error.clone()), error, Duration::ZERO);
            }
            StepResult::NotHappened if current => self.no_trace(index),
            StepResult::Unknown { .. } | StepResult::Retry { .. } | StepResult::NotHappened => {}
        }
    }

    fn undo_answered(&mut self, index: usize, current: bool, result: StepResult) {
        let Some((_, state)) = self.step(index) else { return };
        let barring = state.phase.in_doubt();
        match result {
            StepResult::Succeeded { .. } => {
                self.record(Fact::StepUndone { step: index });
                self.advance();
            }
            // It found the step done after all.
            StepResult::Failed { error } if barring => {
                self.doubt(index, Operation::Undo, DoubtCause::Reported, error);
            }
            StepResult::Failed { error } => {
                if !matches!(state.phase, Phase::Stuck { .. }) {
                    self.undo_stuck(index, error);
                }
            }
            StepResult::Retry { error, after_ms } if current => self.undo_again(index, error, after(after_ms)),
            StepResult::Unknown { error } if current => self.undo_again(index, error, Duration::ZERO),
            StepResult::Retry { .. } | StepResult::Unknown { .. } | StepResult::NotHappened => {}
        }
    }

    /// A clean failure. A step that is stuck on one already has nothing to learn from it.
    fn fail_unless_stuck_so(&mut self, index: usize, error: StepError) {
        let stuck =
            self.step(index).is_some_and(|(_, state)| matches!(state.phase, Phase::Stuck { in_doubt: false, .. }));
        if !stuck {
            self.fail(index, error);
        }
    }

    /// It did not happen and is worth another try, which also ends any doubt.
    fn do_again(&mut self, index: usize, error: StepError, after_ms: Option<u64>) {
        let Some((step, state)) = self.step(index) else { return };
        let Some(policy) = retry_of(step, Operation::Do) else { return };
        let spent = state.retries.saturating_add(1);
        let worth_it = policy.only.is_empty() || policy.only.contains(&error.code);
        if !worth_it || spent >= policy.attempts {
            return self.fail(index, error);
        }
        let wait = backoff(policy, self.state.saga_id, index, spent).max(after(after_ms));
        let until = later(self.now, wait);
        self.record(Fact::RetryScheduled {
            step: index,
            operation: Operation::Do,
            until,
            error: Some(error),
            in_doubt: false,
        });
        // A saga that wants to turn back does so now: nothing is in flight any more.
        self.advance();
    }
}

fn after(after_ms: Option<u64>) -> Duration {
    Duration::from_millis(after_ms.unwrap_or(0)).min(RETRY_AFTER_MAX)
}
