//! The next step of a saga that goes forward, and its end.

use amends_schemas::command::{CompensationReason, Operation, StepError};
use amends_schemas::saga::SagaStatus;

use super::turn::Turn;
use crate::definition::{Condition, OnUnknown, StepKind};
use crate::event::Fact;
use crate::state::{Phase, SagaState};

/// What the step that is not done yet means for a saga that goes forward.
enum Next {
    /// All steps are taken or skipped.
    Complete,
    /// This step's turn has come.
    Begin(usize),
    /// This step ended without having happened: make amends for the others.
    TurnBack,
    /// This step merely backs off after a clean retry, and the saga wants to turn back: it is dropped.
    Drop(usize),
    /// A probe found no trace of this step, and the saga wants to turn back: bar the door to a late `do`.
    Bar(usize),
    /// Something is in flight, backing off, in doubt or stuck.
    Wait,
}

impl Turn<'_> {
    /// Goes on until something has to be waited for, or the saga is at its end. A paused saga goes on when it is resumed.
    pub(super) fn advance(&mut self) {
        if self.state.paused {
            return;
        }
        // Each round skips or settles one step, so the rounds are bounded by the steps.
        loop {
            match self.state.status {
                SagaStatus::Completed | SagaStatus::Compensated | SagaStatus::Terminated => return,
                SagaStatus::Compensating => return self.compensate(),
                SagaStatus::Stuck if self.state.reason.is_some() => return,
                SagaStatus::Running | SagaStatus::Stuck => {}
            }
            match self.next() {
                Next::Wait => return,
                Next::Complete => return self.complete(),
                Next::Bar(index) => return self.dispatch(index, Operation::Undo),
                Next::Drop(index) => {
                    let error = self.last_error(index);
                    self.record(Fact::StepFailed { step: index, error });
                }
                Next::TurnBack => {
                    let reason = self.state.turning_back().unwrap_or(CompensationReason::Failed);
                    self.record(Fact::CompensationStarted { reason });
                }
                Next::Begin(index) if self.holds(index) => return self.dispatch(index, Operation::Do),
                Next::Begin(index) => self.record(Fact::StepSkipped { step: index }),
            }
        }
    }

    fn next(&self) -> Next {
        let turning_back = self.state.turning_back().is_some();
        let current = self.state.steps.iter().position(|step| !matches!(step.phase, Phase::Succeeded | Phase::Skipped));
        let Some((index, step, phase)) =
            current.and_then(|index| self.step(index).map(|(step, state)| (index, step, &state.phase)))
        else {
            return if turning_back { Next::TurnBack } else { Next::Complete };
        };
        match phase {
            Phase::Pending if turning_back => Next::TurnBack,
            Phase::Pending => Next::Begin(index),
            Phase::Failed | Phase::Undone | Phase::Waived => Next::TurnBack,
            Phase::BackingOff { operation: Operation::Do, in_doubt: false, .. } if turning_back => Next::Drop(index),
            // Under `probe` a doubt is asked about, so a do that waits in doubt is one of which the probe found no trace.
            Phase::BackingOff { operation: Operation::Do, in_doubt: true, .. }
                if turning_back && step.has_undo && step.on_unknown == OnUnknown::Probe =>
            {
                Next::Bar(index)
            }
            Phase::InFlight { .. } | Phase::BackingOff { .. } | Phase::Stuck { .. } => Next::Wait,
            // `position` looked for neither of these.
            Phase::Succeeded | Phase::Skipped => Next::Wait,
        }
    }

    /// Whether the conditions of a step hold.
    fn holds(&self, index: usize) -> bool {
        self.definition
            .steps
            .get(index)
            .is_some_and(|step| step.when.iter().all(|condition| condition.holds(self.state)))
    }

    fn complete(&mut self) {
        let output = self.definition.output.resolve(self.state).unwrap_or_default();
        self.record(Fact::SagaCompleted { output });
        self.start_forward();
    }

    /// It happened.
    pub(super) fn succeed(&mut self, index: usize, outcome: Option<String>, output: serde_json::Value) {
        let pivot = self.definition.steps.get(index).is_some_and(|step| step.kind == StepKind::Pivot);
        self.record(Fact::StepSucceeded { step: index, outcome, output, pivot });
        if pivot {
            self.turn_cancel_forward();
        }
        self.advance();
    }

    /// It cleanly did not happen and will not: before the pivot's success the saga turns back, after it a person is needed.
    pub(super) fn fail(&mut self, index: usize, error: StepError) {
        if self.state.pivot_passed {
            self.record(Fact::StepStuck { step: index, operation: Operation::Do, error, in_doubt: false });
        } else {
            self.record(Fact::StepFailed { step: index, error });
            self.advance();
        }
    }

    fn last_error(&self, index: usize) -> StepError {
        let known = self.state.steps.get(index).and_then(|step| step.error.clone());
        known.unwrap_or_else(|| StepError::new("dropped", "The saga turned back before the next attempt."))
    }
}

impl Condition {
    /// Whether it holds in this saga. A condition on a step that was skipped is false.
    pub fn holds(&self, state: &SagaState) -> bool {
        match self {
            Condition::Outcome { step, any_of } => state
                .steps
                .get(*step)
                .and_then(|step| step.outcome.as_ref())
                .is_some_and(|outcome| any_of.contains(outcome)),
            Condition::Input { pointer, any_of } => {
                state.input.pointer(pointer).is_some_and(|value| any_of.contains(value))
            }
        }
    }
}
