//! Steps that start other sagas: which are started next, what their ends mean, how they are cancelled.
//!
//! A child that has completed is undone by cancelling it: that starts the saga that its definition names, whose end is told as the
//! end of the undo. A child at work that is cancelled makes amends itself, and tells of its own end.

mod ends;
mod told;

use amends_schemas::command::{Operation, StepError};
use amends_schemas::family::ChildEnded;
use amends_schemas::ids::SagaId;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::SagaStatus;
use serde_json::Value;

pub(crate) use self::ends::ended_by_hand;
use self::ends::{doubt_of, failure_of, interruption, outcome_of};
pub(crate) use self::told::child_id;
pub(super) use self::told::children_under_way;
pub use self::told::{child_cancel, child_ended, child_request};
use super::turn::Turn;
use crate::children::ChildrenState;
use crate::definition::{CHILDREN_MAX, Children, OnChildFailure};
use crate::event::Fact;
use crate::state::{Phase, SagaState};

impl Turn<'_> {
    /// Counts its children and starts the first of them. Whether that settles the step at once.
    pub(super) fn begin_children(&mut self, index: usize, children: &Children) -> bool {
        match total_of(children, self.state) {
            Err(message) => {
                self.failed(index, StepError::new("bad_items", message));
                true
            }
            Ok(total) => {
                self.record(Fact::ChildrenStarted { step: index, total });
                self.children_moved(index)
            }
        }
    }

    /// A child's owner tells of its end. What nobody waits for any more changes nothing.
    pub(super) fn child_ended(&mut self, told: ChildEnded) {
        if self.state.status.is_final() {
            return;
        }
        let link = &told.parent;
        let Some(index) = self.definition.step_index(&link.step) else { return };
        let Some(children) = self.children(index) else { return };
        let child_id = child_id(self.state, self.definition, index, link.child);
        let error = match link.operation {
            Operation::Do | Operation::Probe => {
                if child_id != Some(told.saga_id) || !children.running.contains(&link.child) {
                    return;
                }
                failure_of(&told)
            }
            Operation::Undo => {
                let forward = child_id.map(SagaId::forward_cancellation);
                // It may be told before the child's own end.
                if forward != Some(told.saga_id) || !children.undoable(link.child) {
                    return;
                }
                failure_of(&told)
            }
        };
        let only = self.each(index).is_none() && link.operation == Operation::Do && error.is_none();
        let output = only.then_some(told.output).filter(|output| !output.is_null());
        let (child, operation) = (link.child, link.operation);
        // What was ended by hand is not known to have failed: what it has done stands. Of an undo a person is asked in any case.
        let in_doubt = told.status == SagaStatus::Terminated && operation != Operation::Undo;
        self.record(Fact::ChildEnded { step: index, child, operation, output, error, refused: false, in_doubt });
        self.children_go_on(index);
    }

    /// A child could not be started or cancelled: as if it had come to its end so.
    pub(super) fn child_refused(&mut self, index: usize, child: u32, operation: Operation, problem: Problem) {
        let Some(children) = self.children(index) else { return };
        let waits = match operation {
            Operation::Do | Operation::Probe => children.running.contains(&child),
            Operation::Undo => children.undoing.contains(&child),
        };
        let again = matches!(problem.kind, ProblemKind::Unavailable | ProblemKind::Internal);
        // A child at work that cannot be cancelled comes to its end by itself.
        if !waits || again || self.state.status.is_final() {
            return;
        }
        let error = Some(StepError::new(problem.code, problem.message));
        self.record(Fact::ChildEnded {
            step: index,
            child,
            operation,
            output: None,
            error,
            refused: true,
            in_doubt: false,
        });
        self.children_go_on(index);
    }

    /// An operator has said how the children ended that had been ended by hand: the step goes on as if they had told so themselves.
    pub(super) fn children_resolved(&mut self, index: usize, output: Option<Value>, error: Option<&StepError>) {
        let children: Vec<u32> =
            self.children(index).map(|children| children.in_doubt.iter().collect()).unwrap_or_default();
        for child in children {
            self.record(Fact::ChildEnded {
                step: index,
                child,
                operation: Operation::Do,
                output: output.clone(),
                error: error.cloned(),
                refused: false,
                in_doubt: false,
            });
        }
        self.children_go_on(index);
    }

    /// No more children are started; those at work are cancelled or come to their ends.
    pub(super) fn halt_children(&mut self, index: usize, cancel: bool) {
        let Some(children) = self.children(index) else { return };
        let running: Vec<u32> = children.running.iter().copied().collect();
        let cancels = cancel && !children.cancelled;
        if !children.halted || cancels {
            self.record(Fact::ChildrenHalted { step: index, cancelled: cancel });
        }
        if running.is_empty() {
            self.children_end(index);
        } else if cancels {
            self.decision.effects.push(super::Effect::CancelChildren { step: index, children: running });
        }
    }

    /// Begins to cancel the children that have completed, the last first. Whether that settles the step at once.
    pub(super) fn undo_children(&mut self, index: usize) -> bool {
        let Some(children) = self.children(index) else {
            // Without children nothing was done.
            self.record(Fact::StepUndone { step: index });
            return true;
        };
        if children.completed.is_empty() {
            self.record(Fact::StepUndone { step: index });
            return true;
        }
        self.undo_more_children(index);
        false
    }

    /// A child's end, or an operator's word, may free the way for others, or be the end of the step. While the saga is paused that waits.
    pub(super) fn children_go_on(&mut self, index: usize) {
        if self.state.paused {
            return;
        }
        let Some((_, state)) = self.step(index) else { return };
        match state.phase {
            Phase::Children { operation: Operation::Do | Operation::Probe } => {
                if self.state.turning_back().is_some() {
                    // Also when the last has just ended: whatever completed is undone.
                    self.advance();
                } else if self.children_moved(index) {
                    self.advance();
                }
            }
            Phase::Children { operation: Operation::Undo } => {
                self.undo_more_children(index);
                self.advance();
            }
            // An undo that came early is only noted.
            Phase::Pending
            | Phase::Skipped
            | Phase::Queued { .. }
            | Phase::Waiting { .. }
            | Phase::Interrupted
            | Phase::InFlight { .. }
            | Phase::BackingOff { .. }
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived
            | Phase::Stuck { .. } => {}
        }
    }

    /// Starts what may be started, or ends the step; whether it has ended.
    fn children_moved(&mut self, index: usize) -> bool {
        let Some(children) = self.children(index) else { return false };
        let (stop, hold) = match self.each(index).map(|each| each.on_failure) {
            Some(OnChildFailure::Continue) => (false, false),
            // While nobody knows of one whether it failed no more are started, but those at work are left to come to their ends.
            Some(OnChildFailure::Stop | OnChildFailure::Compensate) | None => {
                (!children.failed.is_empty(), !children.in_doubt.is_empty())
            }
        };
        if stop && !children.halted {
            let cancel = matches!(self.each(index).map(|each| each.on_failure), Some(OnChildFailure::Compensate));
            self.halt_children(index, cancel);
            return self.step(index).is_some_and(|(_, state)| !state.phase.is_open());
        }
        if children.all_ended() || (hold && children.running.is_empty()) {
            self.children_end(index);
            return self.step(index).is_some_and(|(_, state)| !state.phase.is_open());
        }
        let next = if hold { Vec::new() } else { children.to_start(self.concurrency(index)) };
        if !next.is_empty() {
            self.record(Fact::ChildrenDispatched { step: index, operation: Operation::Do, children: next.clone() });
            self.decision.effects.push(super::Effect::StartChildren { step: index, children: next });
        }
        false
    }

    /// All its children have come to their ends.
    fn children_end(&mut self, index: usize) {
        let Some((step, state)) = self.step(index) else { return };
        let Some(children) = &state.children else { return };
        if !children.in_doubt.is_empty() {
            let error = doubt_of(children, self.state, self.definition, index);
            self.record(Fact::StepStuck { step: index, operation: Operation::Do, error, in_doubt: true });
            return;
        }
        let complete = children.completed.count() == children.total;
        let goes_on = matches!(self.each(index).map(|each| each.on_failure), Some(OnChildFailure::Continue));
        if complete || (goes_on && !children.halted) {
            let (outcome, output) = outcome_of(step, children, self.state, self.definition, index);
            self.record(Fact::StepSucceeded { step: index, outcome, output, pivot: false });
            return;
        }
        let error = interruption(children, self.each(index).is_some());
        if self.state.pivot_passed || children.completed.is_empty() {
            self.failed(index, error);
        } else {
            self.record(Fact::StepInterrupted { step: index, error });
        }
    }

    fn undo_more_children(&mut self, index: usize) {
        let Some(children) = self.children(index) else { return };
        let next = children.to_undo(self.concurrency(index));
        let (idle, unable) = (children.undoing.is_empty(), children.unable.values().next().cloned());
        if !next.is_empty() {
            self.record(Fact::ChildrenDispatched { step: index, operation: Operation::Undo, children: next.clone() });
            self.decision.effects.push(super::Effect::CancelChildren { step: index, children: next });
        } else if idle {
            match unable {
                None => self.record(Fact::StepUndone { step: index }),
                Some(error) => self.undo_stuck(index, error),
            }
        }
    }

    /// What a saga that was paused has not started meanwhile.
    pub(super) fn children_resumed(&mut self, index: usize) {
        if self.step(index).is_some_and(|(_, state)| matches!(state.phase, Phase::Children { .. })) {
            self.children_go_on(index);
        }
    }

    fn children(&self, index: usize) -> Option<&ChildrenState> {
        self.state.steps.get(index)?.children.as_deref()
    }

    fn each(&self, index: usize) -> Option<&crate::definition::ForEach> {
        self.definition.steps.get(index)?.children()?.each.as_ref()
    }

    fn concurrency(&self, index: usize) -> u32 {
        self.each(index).map_or(1, |each| each.concurrency)
    }
}

/// How many children there are, or why that cannot be said.
fn total_of(children: &Children, state: &SagaState) -> Result<u32, String> {
    let Some(each) = &children.each else { return Ok(1) };
    let total = match each.items.look(state) {
        Some(Value::Array(items)) => u64::try_from(items.len()).unwrap_or(u64::MAX),
        Some(Value::Number(number)) => {
            number.as_u64().ok_or_else(|| format!("{number} is no number of children; it takes a whole number."))?
        }
        Some(_) => return Err("What `for_each` points at is neither a list nor a number.".to_owned()),
        None => return Err("There is nothing where `for_each` points at.".to_owned()),
    };
    u32::try_from(total)
        .ok()
        .filter(|total| *total <= CHILDREN_MAX)
        .ok_or_else(|| format!("{total} children are more than the {CHILDREN_MAX} that one step may have."))
}
