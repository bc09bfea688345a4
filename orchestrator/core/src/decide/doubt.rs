//! When nobody knows whether a step happened. Never treated as failed: it is asked again, probed, or put before a person.

use std::time::Duration;

use amends_schemas::command::{OUTPUT_TOO_LARGE, Operation, StepError};

use super::turn::{Turn, later, retry_of};
use crate::backoff::backoff;
use crate::definition::OnUnknown;
use crate::event::{DoubtCause, Fact};

/// Most attempts of a `do`, and most of a probe, that doubts may cost before a person is asked. Clean retries do not count.
/// With the usual timeouts and backoffs, ten to thirty seconds each, this outlasts an outage of some hours.
pub const DOUBT_ATTEMPTS_MAX: u32 = 1_000;

impl Turn<'_> {
    /// An attempt's end is unknown, and with it whether the step happened.
    pub(super) fn doubt(&mut self, index: usize, operation: Operation, cause: DoubtCause, error: StepError) {
        let Some(call) = self.step(index).and_then(|(step, _)| step.call()) else { return };
        self.record(Fact::StepInDoubt { step: index, operation, cause, error: error.clone() });
        match call.on_unknown {
            OnUnknown::Retry => self.ask_again(index, Operation::Do, None, error, Duration::ZERO),
            OnUnknown::Probe => self.ask_again(index, Operation::Probe, None, error, Duration::ZERO),
            OnUnknown::Ask => {
                self.record(Fact::StepStuck { step: index, operation: Operation::Do, error, in_doubt: true });
            }
        }
    }

    /// A probe found no trace: a do may still be on its way, so this alone settles nothing. The do is sent again under the
    /// same key, or barred by the undo when the saga wants to turn back.
    pub(super) fn no_trace(&mut self, index: usize) {
        let Some(call) = self.step(index).and_then(|(step, _)| step.call()) else { return };
        if call.has_undo && self.state.turning_back().is_some() && !self.state.paused {
            return self.dispatch(index, Operation::Undo);
        }
        let spent = StepError::new("not_happened", "The probe finds no trace of it, and it has been tried too often.");
        self.ask_again(index, Operation::Do, None, spent, Duration::ZERO);
    }

    /// The next attempt of a `do` or a probe while in doubt, or `spent` before a person: when there were too many, or when the next could only
    /// answer the same. `after` is the least wait the
    /// worker asked for.
    pub(super) fn ask_again(
        &mut self,
        index: usize,
        operation: Operation,
        error: Option<StepError>,
        spent: StepError,
        after: Duration,
    ) {
        let Some((step, state)) = self.step(index) else { return };
        let clean = if operation == Operation::Do { state.retries } else { 0 };
        let attempt = state.spent(operation).saturating_sub(clean);
        // An answer that cannot be kept would be given again, word for word, under the same key.
        if attempt >= DOUBT_ATTEMPTS_MAX || spent.code == OUTPUT_TOO_LARGE {
            self.record(Fact::StepStuck { step: index, operation, error: spent, in_doubt: true });
            return;
        }
        let Some(policy) = retry_of(step, operation) else { return };
        let wait = backoff(policy, self.state.saga_id, index, attempt.max(1)).max(after);
        let until = later(self.now, wait);
        self.record(Fact::RetryScheduled { step: index, operation, until, error, in_doubt: true });
    }
}
