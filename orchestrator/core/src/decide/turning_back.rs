//! Compensation: succeeded steps are undone in reverse order of success, one at a time.

use amends_schemas::command::{CompensationReason, Operation, StepError};

use super::turn::{Turn, later, retry_of};
use crate::backoff::backoff;
use crate::definition::Compensate;
use crate::event::Fact;
use crate::state::Phase;

impl Turn<'_> {
    /// Undoes what is next to be undone, or ends the saga.
    pub(super) fn compensate(&mut self) {
        for place in (0..self.state.succeeded.len()).rev() {
            let index = self.state.succeeded[place];
            let Some((step, state)) = self.step(index) else { continue };
            match &state.phase {
                Phase::Undone | Phase::Waived => {}
                Phase::Succeeded => match &step.compensate {
                    Compensate::Undo { .. } => return self.dispatch(index, Operation::Undo),
                    Compensate::Waived { .. } | Compensate::None => {
                        self.record(Fact::CompensationWaived { step: index });
                    }
                },
                Phase::InFlight { .. } | Phase::BackingOff { .. } | Phase::Stuck { .. } => return,
                // None of these follows a success.
                Phase::Pending | Phase::Skipped | Phase::Failed => {}
            }
        }
        let reason = self.state.reason.unwrap_or(CompensationReason::Failed);
        self.record(Fact::SagaCompensated { reason });
    }

    /// An undo has not worked, or has not answered: it is idempotent, so it is sent again until its budget is spent.
    pub(super) fn undo_again(&mut self, index: usize, error: StepError, after: std::time::Duration) {
        let Some((step, state)) = self.step(index) else { return };
        let in_doubt = state.phase.in_doubt();
        let policy = retry_of(step, Operation::Undo);
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
