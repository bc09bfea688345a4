//! Where a saga that goes forward stands in its flow, its next steps, and its end.

use amends_schemas::command::{CompensationReason, Operation, StepError};
use amends_schemas::saga::SagaStatus;

use super::turn::Turn;
use crate::definition::{Action, Condition, Node, OnUnknown, StepKind};
use crate::event::Fact;
use crate::state::{Phase, SagaState};

/// Code of a step that was not begun or not tried again because the saga turned back.
pub(super) const DROPPED: &str = "dropped";

impl Turn<'_> {
    /// Goes on until something has to be waited for, or the saga is at its end. A paused saga goes on when it is resumed.
    pub(super) fn advance(&mut self) {
        // Each round skips, settles or begins steps that are not touched again, so the rounds are bounded by the steps.
        while !self.state.paused && self.advance_once() {}
    }

    /// One round; whether there may be more to do.
    fn advance_once(&mut self) -> bool {
        match self.state.status {
            SagaStatus::Completed | SagaStatus::Compensated | SagaStatus::Terminated => return false,
            SagaStatus::Compensating | SagaStatus::Stuck if self.state.reason.is_some() => return self.compensate(),
            SagaStatus::Running | SagaStatus::Compensating | SagaStatus::Stuck => {}
        }
        if let Some(reason) = self.state.turning_back() {
            return self.turn_back(reason);
        }
        if self.state.rewind.is_some() {
            return self.rewind();
        }
        if self.state.start_at.is_some() {
            return false;
        }
        let front = front(&self.definition.flow, self.state);
        if front.is_empty() {
            self.complete();
            return false;
        }
        let mut moved = false;
        for index in front {
            // One that fails as soon as it is begun: those beside it are not begun any more.
            if self.state.turning_back().is_some() {
                return true;
            }
            if self.state.steps.get(index).is_some_and(|step| step.phase == Phase::Pending) {
                moved |= self.begin(index);
            }
        }
        moved
    }

    /// A step's turn has come. Whether that settles it at once.
    fn begin(&mut self, index: usize) -> bool {
        let Some((step, _)) = self.step(index) else { return false };
        if !step.when.iter().all(|condition| condition.holds(self.state)) {
            self.record(Fact::StepSkipped { step: index });
            return true;
        }
        match &step.action {
            Action::Call(_) => {
                self.dispatch(index, Operation::Do);
                false
            }
            Action::Await(awaited) => self.begin_await(index, awaited),
            Action::Sleep(sleep) => self.begin_sleep(index, sleep),
            Action::Children(children) => self.begin_children(index, children),
        }
    }

    /// The next attempt of a step, whatever it does.
    pub(super) fn again(&mut self, index: usize, operation: Operation) {
        let Some((step, state)) = self.step(index) else { return };
        let settled = match &step.action {
            Action::Call(_) => {
                self.dispatch(index, operation);
                false
            }
            Action::Children(_) if state.children.is_some() => {
                self.children_go_on(index);
                false
            }
            // What could not be begun behind the pivot, for want of a time or of items, is looked up again.
            Action::Await(awaited) => self.begin_await(index, awaited),
            Action::Sleep(sleep) => self.begin_sleep(index, sleep),
            Action::Children(children) => self.begin_children(index, children),
        };
        if settled {
            self.advance();
        }
    }

    /// What is under way is let come to its end, dropped or barred; when nothing is any more, amends are made.
    fn turn_back(&mut self, reason: CompensationReason) -> bool {
        let mut unsettled = false;
        for index in self.state.open_steps().collect::<Vec<_>>() {
            unsettled |= !self.settle(index);
        }
        if !unsettled {
            self.record(Fact::CompensationStarted { reason });
        }
        !unsettled
    }

    /// Brings a step to its end in a saga that wants to turn back; whether it is there.
    fn settle(&mut self, index: usize) -> bool {
        let Some((step, state)) = self.step(index) else { return true };
        match &state.phase {
            Phase::Pending
            | Phase::Skipped
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Interrupted
            | Phase::Undone
            | Phase::Waived => true,
            // It merely backs off after a clean retry, waits for its turn, or waits: it did not happen.
            Phase::BackingOff { operation: Operation::Do, in_doubt: false, .. }
            | Phase::Queued { operation: Operation::Do, in_doubt: false }
            | Phase::Waiting { .. } => {
                let error = self.last_error(index);
                self.record(Fact::StepFailed { step: index, error });
                true
            }
            // Under `probe` a doubt is asked about, so a do that waits in doubt is one of which the probe found no trace.
            Phase::BackingOff { operation: Operation::Do, in_doubt: true, .. }
            | Phase::Queued { operation: Operation::Do, in_doubt: true }
                if step.call().is_some_and(|call| call.has_undo && call.on_unknown == OnUnknown::Probe) =>
            {
                self.dispatch(index, Operation::Undo);
                false
            }
            Phase::Children { operation: Operation::Do | Operation::Probe } => {
                self.halt_children(index, true);
                // Without any at work that is its end.
                self.step(index).is_none_or(|(_, state)| !state.phase.is_open())
            }
            Phase::Children { operation: Operation::Undo }
            | Phase::Queued { .. }
            | Phase::InFlight { .. }
            | Phase::BackingOff { .. }
            | Phase::Stuck { .. } => false,
        }
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
        self.failed(index, error);
        self.advance();
    }

    /// The same, where whoever calls goes on by itself.
    pub(super) fn failed(&mut self, index: usize, error: StepError) {
        if self.state.pivot_passed {
            self.record(Fact::StepStuck { step: index, operation: Operation::Do, error, in_doubt: false });
        } else {
            self.record(Fact::StepFailed { step: index, error });
        }
    }

    fn last_error(&self, index: usize) -> StepError {
        let known = self.state.steps.get(index).and_then(|step| step.error.as_deref().cloned());
        known.unwrap_or_else(|| StepError::new(DROPPED, "The saga turned back before the next attempt."))
    }
}

/// The steps whose turn it is: of a sequence the first that is not done, of branches each one's. Empty when all is done.
pub(super) fn front(nodes: &[Node], state: &SagaState) -> Vec<usize> {
    let mut front = Vec::new();
    gather(nodes, state, &mut front);
    front
}

/// Whether all of them are done.
fn gather(nodes: &[Node], state: &SagaState, front: &mut Vec<usize>) -> bool {
    for node in nodes {
        let done = match node {
            Node::Step(index) => {
                let done =
                    state.steps.get(*index).is_none_or(|step| matches!(step.phase, Phase::Succeeded | Phase::Skipped));
                if !done {
                    front.push(*index);
                }
                done
            }
            Node::Parallel(branches) => {
                let mut done = true;
                for branch in branches {
                    done &= gather(branch, state, front);
                }
                done
            }
        };
        if !done {
            return false;
        }
    }
    true
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
