//! Doing again: the next attempt now, with another input, or all from a step on.

use amends_schemas::command::Operation;
use amends_schemas::operate::OperatorVerb;
use amends_schemas::problem::Problem;
use serde_json::Value;

use super::super::turn::Turn;
use crate::accept::check_call_input;
use crate::definition::{Step, StepKind};
use crate::event::{Act, Fact};
use crate::state::Phase;

/// Why a step is not tried again while the saga goes back to one before it.
const GOING_BACK: &str = "the saga is going back, and then does it anew";

/// Why children are not started anew while nobody knows what those did that were ended by hand.
const CHILD_IN_DOUBT: &str =
    "a child was ended by hand and would not be done again; see what it has done and resolve the step";

impl Turn<'_> {
    pub(super) fn retry_now(&mut self, name: Option<&str>, act: Act) -> Result<(), Problem> {
        const VERB: OperatorVerb = OperatorVerb::Retry;
        let step = self.step_at_hand(VERB, name)?;
        match self.phase(step) {
            Phase::BackingOff { operation, in_doubt, .. } | Phase::Stuck { operation, in_doubt } => {
                // A `do` that is stuck without a doubt has cleanly failed under its key: under the same one it would be told so again.
                let calls = self.definition.steps.get(step).is_some_and(|step| step.call().is_some());
                let stuck = matches!(self.phase(step), Phase::Stuck { .. });
                if self.state.rewind.is_some() && operation == Operation::Do && !in_doubt {
                    return Err(self.illegal(VERB, Some(step), GOING_BACK));
                }
                if !calls && operation == Operation::Do && in_doubt {
                    return Err(self.illegal(VERB, Some(step), CHILD_IN_DOUBT));
                }
                let anew = calls && operation == Operation::Do && !in_doubt && stuck;
                self.record(Fact::RetryOrdered { step, operation, in_doubt, anew, act });
                // While it is paused, what was ordered waits for the resume.
                if !self.state.paused {
                    self.again(step, operation);
                }
                Ok(())
            }
            Phase::Queued { .. } => {
                Err(self.illegal(VERB, Some(step), "it waits for its turn, which a retry does not bring nearer"))
            }
            Phase::Children { .. } => Err(self.illegal(VERB, Some(step), "its children are at work")),
            Phase::InFlight { .. } => Err(self.illegal(VERB, Some(step), "its attempt is with the workers")),
            Phase::Waiting { .. }
            | Phase::Interrupted
            | Phase::Pending
            | Phase::Skipped
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived => {
                Err(self.illegal(VERB, Some(step), "only a step that backs off or is stuck has a next attempt"))
            }
        }
    }

    /// Goes back to a step: what has succeeded from it on is undone where it can be, then done again under new keys.
    pub(super) fn retry_from(&mut self, name: &str, act: Act) -> Result<(), Problem> {
        const VERB: OperatorVerb = OperatorVerb::RetryFrom;
        let step = self.step_at_hand(VERB, Some(name))?;
        let alone = self.definition.place_of(step).filter(|(_, alone)| *alone);
        let Some((place, _)) = alone else {
            return Err(self.illegal(VERB, Some(step), "it is one of several branches; go back to a step before them"));
        };
        if self.state.turning_back().is_some() {
            return Err(self.illegal(VERB, Some(step), "the saga makes amends; there is no way forward any more"));
        }
        if self.state.rewind.is_some() {
            return Err(self.illegal(VERB, Some(step), "the saga is going back to a step already"));
        }
        let from = &self.definition.flow[place..];
        for (index, declared) in self.definition.steps.iter().enumerate() {
            if !from.iter().any(|node| node.holds(index)) {
                continue;
            }
            match self.phase(index) {
                Phase::InFlight { .. } | Phase::Children { .. } | Phase::Queued { .. } | Phase::Waiting { .. } => {
                    return Err(self.illegal(VERB, Some(index), "what is under way has to come to its end first"));
                }
                phase if phase.in_doubt() => {
                    return Err(self.illegal(
                        VERB,
                        Some(index),
                        "nobody knows whether it happened; find out and resolve it first",
                    ));
                }
                Phase::Succeeded if declared.kind == StepKind::Pivot => {
                    return Err(self.illegal(VERB, Some(index), "the point of no return is not done twice"));
                }
                _ => {}
            }
        }
        if self.phase(step) == Phase::Pending {
            return Err(self.illegal(VERB, Some(step), "its turn has not come yet"));
        }
        self.record(Fact::RewindOrdered { step, act });
        self.advance();
        Ok(())
    }

    /// Gives a step that cleanly failed, or is tried again, another input.
    pub(super) fn edit_input(&mut self, name: Option<&str>, input: Value, act: Act) -> Result<(), Problem> {
        const VERB: OperatorVerb = OperatorVerb::EditInput;
        let step = self.step_at_hand(VERB, name)?;
        let Some(call) = self.definition.steps.get(step).and_then(Step::call) else {
            return Err(self.illegal(VERB, Some(step), "it calls no contract and takes no input"));
        };
        match self.phase(step) {
            _ if self.state.rewind.is_some() => Err(self.illegal(VERB, Some(step), GOING_BACK)),
            Phase::BackingOff { operation: Operation::Do, in_doubt: false, .. }
            | Phase::Stuck { operation: Operation::Do, in_doubt: false } => {
                check_call_input(&call.contract, &input)?;
                self.record(Fact::InputEdited { step, input, act });
                Ok(())
            }
            phase if phase.in_doubt() => Err(self.illegal(
                VERB,
                Some(step),
                "nobody knows whether it happened with the input it had; resolve it first",
            )),
            _ => {
                Err(self.illegal(VERB, Some(step), "only a step whose `do` backs off or is stuck takes another input"))
            }
        }
    }
}
