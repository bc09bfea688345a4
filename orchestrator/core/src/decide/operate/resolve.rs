//! Saying how a step ended, or passing over it.

use amends_schemas::command::{Operation, StepError};
use amends_schemas::operate::{OperatorVerb, Resolution};
use amends_schemas::problem::Problem;

use super::super::turn::Turn;
use crate::accept::{check_outcome, check_result, check_signal};
use crate::definition::{Action, Step};
use crate::event::{Act, Fact};
use crate::state::Phase;

impl Turn<'_> {
    pub(super) fn skip(&mut self, name: Option<&str>, act: Act) -> Result<(), Problem> {
        const VERB: OperatorVerb = OperatorVerb::Skip;
        let step = self.step_at_hand(VERB, name)?;
        match self.phase(step) {
            Phase::BackingOff { in_doubt: true, .. } | Phase::Stuck { in_doubt: true, .. } => {
                Err(self.illegal(VERB, Some(step), "nobody knows whether it happened; find out and resolve it"))
            }
            Phase::BackingOff { operation: Operation::Do | Operation::Probe, .. } if !self.state.pivot_passed => {
                Err(self.illegal(VERB, Some(step), "the point of no return is still to come; cancel the saga instead"))
            }
            Phase::BackingOff { operation, .. } | Phase::Stuck { operation, .. } => {
                self.record(Fact::StepPassedOver { step, operation, act });
                self.advance();
                Ok(())
            }
            Phase::InFlight { .. } => Err(self.illegal(VERB, Some(step), "it is with the workers and may yet happen")),
            Phase::Queued { .. } => Err(self.illegal(VERB, Some(step), "it waits for its turn and has not failed")),
            Phase::Children { .. } => Err(self.illegal(VERB, Some(step), "its children are at work")),
            Phase::Waiting { .. }
            | Phase::Interrupted
            | Phase::Pending
            | Phase::Skipped
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived => Err(self.illegal(VERB, Some(step), "only a step that has failed can be skipped")),
        }
    }

    pub(super) fn resolve(&mut self, name: Option<&str>, resolution: Resolution, act: Act) -> Result<(), Problem> {
        const VERB: OperatorVerb = OperatorVerb::Resolve;
        let step = self.step_at_hand(VERB, name)?;
        let phase = self.phase(step);
        match phase {
            Phase::InFlight { operation: Operation::Do, in_doubt: true, .. }
                if matches!(resolution, Resolution::Failed { .. }) =>
            {
                Err(self.illegal(VERB, Some(step), "a do is with the workers and may yet happen; wait for its end"))
            }
            Phase::InFlight { operation, in_doubt: true, .. }
            | Phase::Queued { operation, in_doubt: true }
            | Phase::BackingOff { operation, in_doubt: true, .. }
            | Phase::Stuck { operation, in_doubt: true } => self.resolve_do(step, operation, resolution, act),
            Phase::BackingOff { operation: Operation::Undo, in_doubt: false, .. }
            | Phase::Stuck { operation: Operation::Undo, in_doubt: false } => self.resolve_undo(step, resolution, act),
            Phase::Stuck { operation: operation @ (Operation::Do | Operation::Probe), in_doubt: false } => {
                match resolution {
                    Resolution::Succeeded { .. } => self.resolve_do(step, operation, resolution, act),
                    Resolution::Failed { .. } => Err(self.illegal(
                        VERB,
                        Some(step),
                        "it has failed already; retry it, skip it or say that it succeeded",
                    )),
                }
            }
            Phase::InFlight { in_doubt: false, .. } => Err(self.illegal(
                VERB,
                Some(step),
                "it is with the workers, and nothing says that they will not answer",
            )),
            Phase::Queued { in_doubt: false, .. } => {
                Err(self.illegal(VERB, Some(step), "it waits for its turn; there is nothing to resolve"))
            }
            Phase::BackingOff { in_doubt: false, .. } => {
                Err(self.illegal(VERB, Some(step), "it did not happen and is tried again; there is nothing to resolve"))
            }
            Phase::Waiting { .. }
            | Phase::Children { .. }
            | Phase::Interrupted
            | Phase::Pending
            | Phase::Skipped
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived => {
                Err(self.illegal(VERB, Some(step), "only a step in doubt or a stuck one can be resolved"))
            }
        }
    }

    /// Says whether the `do` happened.
    fn resolve_do(
        &mut self,
        step: usize,
        operation: Operation,
        resolution: Resolution,
        act: Act,
    ) -> Result<(), Problem> {
        if self.phase(step).in_doubt() && self.definition.steps.get(step).is_some_and(|step| step.children().is_some())
        {
            return self.resolve_children(step, resolution, act);
        }
        match resolution {
            Resolution::Succeeded { outcome, output } => {
                match self.definition.steps.get(step).map(|step| &step.action) {
                    Some(Action::Call(call)) => check_result(&call.contract, outcome.as_deref(), &output)?,
                    Some(Action::Await(awaited)) => check_signal(awaited, outcome.as_deref(), &output)?,
                    Some(action @ (Action::Sleep(_) | Action::Children(_))) => {
                        check_outcome(action, outcome.as_deref())?
                    }
                    None => {}
                }
                self.record(Fact::StepResolved { step, operation, succeeded: true, act });
                self.succeed(step, outcome, output);
            }
            Resolution::Failed { error } => {
                self.record(Fact::StepResolved { step, operation, succeeded: false, act });
                self.fail(step, resolved_as_failed(error));
            }
        }
        Ok(())
    }

    /// Says whether the children happened that were ended by hand; the step then goes on with the others.
    fn resolve_children(&mut self, step: usize, resolution: Resolution, act: Act) -> Result<(), Problem> {
        let many =
            self.definition.steps.get(step).and_then(Step::children).is_some_and(|children| children.each.is_some());
        let (succeeded, output, error) = match resolution {
            Resolution::Succeeded { outcome, output } if many && (outcome.is_some() || !output.is_null()) => {
                let code = if outcome.is_some() { "invalid_outcome" } else { "invalid_output" };
                return Err(Problem::invalid(
                    code,
                    "it says of the children that were ended by hand that they happened, and the step counts them; leave outcome and output out",
                ));
            }
            Resolution::Succeeded { outcome, output } => {
                if !many && let Some(step) = self.definition.steps.get(step) {
                    check_outcome(&step.action, outcome.as_deref())?;
                }
                (true, Some(output).filter(|output| !output.is_null()), None)
            }
            Resolution::Failed { error } => (false, None, Some(resolved_as_failed(error))),
        };
        self.record(Fact::StepResolved { step, operation: Operation::Do, succeeded, act });
        self.children_resolved(step, output, error.as_ref());
        Ok(())
    }

    /// Says that amends have been made for a step by other means.
    fn resolve_undo(&mut self, step: usize, resolution: Resolution, act: Act) -> Result<(), Problem> {
        match resolution {
            Resolution::Succeeded { outcome: None, output } if output.is_null() => {
                self.record(Fact::StepResolved { step, operation: Operation::Undo, succeeded: true, act });
                self.record(Fact::StepUndone { step });
                self.advance();
                Ok(())
            }
            Resolution::Succeeded { .. } => {
                Err(Problem::invalid("invalid_output", "an undo has neither outcome nor output; leave them out"))
            }
            Resolution::Failed { .. } => Err(self.illegal(
                OperatorVerb::Resolve,
                Some(step),
                "its undo has not worked; retry it, skip it or say that it is undone",
            )),
        }
    }
}

fn resolved_as_failed(given: Option<StepError>) -> StepError {
    given.map_or_else(
        || StepError::new("resolved_as_failed", "An operator says that it did not happen."),
        |error| StepError::new(error.code, error.message),
    )
}
