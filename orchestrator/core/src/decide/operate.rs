//! What operators do by hand. Each act is a fact with who, why and an id; a repeat under the same id changes nothing.
//!
//! An act that the state does not allow is refused with `illegal_here`, and the sentence names the verb and the state. Two operators at
//! once are two acts, one after the other: the second finds the state that the first has left.

use amends_schemas::command::{Operation, StepError};
use amends_schemas::limits::REASON_BYTES_MAX;
use amends_schemas::operate::{OperateSaga, Operated, OperatorAct, OperatorVerb, Resolution};
use amends_schemas::problem::Problem;

use serde_json::Value;

use super::turn::Turn;
use super::types::Effect;
use crate::accept::{check_call_input, check_outcome, check_result, check_signal};
use crate::definition::{Action, Definition, Step, StepKind};
use crate::event::{Act, Fact};
use crate::state::{DoneByHand, Phase, SagaState};
use crate::validate::content_hash;

/// Why a step is not tried again while the saga goes back to one before it.
const GOING_BACK: &str = "the saga is going back, and then does it anew";

/// Why children are not started anew while nobody knows what those did that were ended by hand.
const CHILD_IN_DOUBT: &str =
    "a child was ended by hand and would not be done again; see what it has done and resolve the step";

impl Turn<'_> {
    /// Does what an operator asks and answers it, or says why not.
    pub(super) fn operate(&mut self, request: OperateSaga) {
        self.decision.operated = Some(self.operated(request));
    }

    fn operated(&mut self, request: OperateSaga) -> Result<Operated, Problem> {
        if request.by.len() > REASON_BYTES_MAX || request.reason.len() > REASON_BYTES_MAX {
            return Err(Problem::invalid(
                "reason_too_long",
                format!("`reason` and `by` have at most {REASON_BYTES_MAX} bytes each"),
            ));
        }
        let fingerprint = fingerprint(&request)?;
        let operation_id = request.operation_id;
        if let Some(done) = self.state.by_hand.find(operation_id) {
            return if done.fingerprint == fingerprint {
                Ok(told(self.definition, self.state, done))
            } else {
                Err(Problem::conflict(
                    "operation_id_reused",
                    "this operation id was used before for something else; choose another for another operation",
                ))
            };
        }
        let verb = request.act.verb();
        if needs_reason(verb) && request.reason.trim().is_empty() {
            return Err(Problem::invalid("reason_required", format!("`{}` needs a reason", verb.as_str())));
        }
        let act = Act { operation_id, by: request.by, reason: request.reason, fingerprint };
        match request.act {
            OperatorAct::Pause => self.pause(act)?,
            OperatorAct::Resume => self.resume(act)?,
            OperatorAct::Retry { step } => self.retry_now(step.as_deref(), act)?,
            OperatorAct::RetryFrom { step } => self.retry_from(&step, act)?,
            OperatorAct::EditInput { step, input } => self.edit_input(step.as_deref(), input, act)?,
            OperatorAct::Skip { step } => self.skip(step.as_deref(), act)?,
            OperatorAct::Resolve { step, resolution } => self.resolve(step.as_deref(), resolution, act)?,
            OperatorAct::Terminate { force } => self.terminate(force, act)?,
        }
        self.state
            .by_hand
            .find(operation_id)
            .map(|done| told(self.definition, self.state, done))
            .ok_or_else(|| Problem::internal("operation_undecided", "the act left no fact"))
    }

    fn pause(&mut self, act: Act) -> Result<(), Problem> {
        if self.state.status.is_final() {
            return Err(self.illegal(OperatorVerb::Pause, None, "it is at its end"));
        }
        if self.state.paused {
            return Err(self.illegal(OperatorVerb::Pause, None, "it is paused already"));
        }
        self.record(Fact::SagaPaused { act });
        Ok(())
    }

    /// Goes on where it was: what came due meanwhile, the deadline first, is done now.
    fn resume(&mut self, act: Act) -> Result<(), Problem> {
        if !self.state.paused {
            return Err(self.illegal(OperatorVerb::Resume, None, "it is not paused"));
        }
        let queued: Vec<usize> = (0..self.state.steps.len()).filter(|step| self.queued(*step)).collect();
        self.record(Fact::SagaResumed { act });
        self.start_reached();
        self.deadline_reached();
        self.advance();
        self.steps_time_reached();
        for index in 0..self.state.steps.len() {
            self.children_resumed(index);
        }
        // Whose turn came while it was paused has given it back.
        for step in queued {
            if self.queued(step) {
                self.decision.effects.push(Effect::Queue { step });
            }
        }
        Ok(())
    }

    fn queued(&self, step: usize) -> bool {
        matches!(self.phase(step), Phase::Queued { .. })
    }

    fn retry_now(&mut self, name: Option<&str>, act: Act) -> Result<(), Problem> {
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
    fn retry_from(&mut self, name: &str, act: Act) -> Result<(), Problem> {
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
    fn edit_input(&mut self, name: Option<&str>, input: Value, act: Act) -> Result<(), Problem> {
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

    fn skip(&mut self, name: Option<&str>, act: Act) -> Result<(), Problem> {
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

    fn resolve(&mut self, name: Option<&str>, resolution: Resolution, act: Act) -> Result<(), Problem> {
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

    fn terminate(&mut self, force: bool, act: Act) -> Result<(), Problem> {
        if !force {
            return Err(Problem::invalid(
                "force_required",
                "to terminate a saga leaves what it has done as it is, without amends; say `force` if that is what you want",
            ));
        }
        if self.state.status.is_final() {
            return Err(self.illegal(OperatorVerb::Terminate, None, "it is at its end"));
        }
        self.record(Fact::SagaTerminated { act });
        Ok(())
    }

    /// The step that is named, or the one the saga waits at.
    fn step_at_hand(&self, verb: OperatorVerb, name: Option<&str>) -> Result<usize, Problem> {
        if self.state.status.is_final() {
            return Err(self.illegal(verb, None, "it is at its end"));
        }
        match name {
            Some(name) => self.definition.step_index(name).ok_or_else(|| {
                Problem::not_found("step_not_found", format!("{} has no step of this name", self.definition.reference))
            }),
            None => self.open_step(verb),
        }
    }

    /// The one step that is stuck, or else the one that is under way.
    fn open_step(&self, verb: OperatorVerb) -> Result<usize, Problem> {
        let open: Vec<usize> = self.state.open_steps().collect();
        let stuck: Vec<usize> =
            open.iter().copied().filter(|step| matches!(self.phase(*step), Phase::Stuck { .. })).collect();
        match (&stuck[..], &open[..]) {
            ([step], _) | ([], [step]) => Ok(*step),
            ([], []) => Err(self.illegal(verb, None, "no step is under way or stuck")),
            (several, _) => {
                let several = if several.is_empty() { &open } else { &stuck };
                let names: Vec<String> = several
                    .iter()
                    .filter_map(|step| self.definition.steps.get(*step))
                    .map(|step| format!("`{}`", step.name))
                    .collect();
                Err(Problem::invalid(
                    "step_required",
                    format!("several steps are under way or stuck; name one: {}", names.join(", ")),
                ))
            }
        }
    }

    fn phase(&self, step: usize) -> Phase {
        self.state.steps.get(step).map_or(Phase::Pending, |step| step.phase.clone())
    }

    fn illegal(&self, verb: OperatorVerb, step: Option<usize>, why: &str) -> Problem {
        illegal_here(self.definition, self.state, verb.as_str(), step, why)
    }
}

/// The one refusal of what the state does not allow.
pub(super) fn illegal_here(
    definition: &Definition,
    state: &SagaState,
    verb: &str,
    step: Option<usize>,
    why: &str,
) -> Problem {
    let paused = if state.paused { " and paused" } else { "" };
    let step = step
        .and_then(|step| definition.steps.get(step).zip(state.steps.get(step)))
        .map(|(declared, now)| format!(", its step `{}` is {}", declared.name, now.phase.as_str()))
        .unwrap_or_default();
    Problem::conflict(
        "illegal_here",
        format!("`{verb}` is illegal here: the saga is {}{paused}{step}: {why}", state.status.as_str()),
    )
}

fn resolved_as_failed(given: Option<StepError>) -> StepError {
    given.map_or_else(
        || StepError::new("resolved_as_failed", "An operator says that it did not happen."),
        |error| StepError::new(error.code, error.message),
    )
}

const fn needs_reason(verb: OperatorVerb) -> bool {
    match verb {
        OperatorVerb::RetryFrom
        | OperatorVerb::EditInput
        | OperatorVerb::Skip
        | OperatorVerb::Resolve
        | OperatorVerb::Terminate => true,
        OperatorVerb::Pause | OperatorVerb::Resume | OperatorVerb::Retry => false,
    }
}

/// Tells a repeat from another request under the same id.
fn fingerprint(request: &OperateSaga) -> Result<String, Problem> {
    let content = serde_json::to_value((&request.by, &request.reason, &request.act))
        .map_err(|error| Problem::internal("operation_not_encodable", error.to_string()))?;
    Ok(content_hash(&content))
}

fn told(definition: &Definition, state: &SagaState, done: &DoneByHand) -> Operated {
    Operated {
        saga_id: state.saga_id,
        operation_id: done.operation_id,
        verb: done.verb,
        step: done.step.and_then(|step| definition.steps.get(step)).map(|step| step.name.to_string()),
        at: done.at,
        sequence: done.sequence,
        children_left: if done.verb == OperatorVerb::Terminate { children_left(state) } else { 0 },
    }
}

/// Children at work or being cancelled: nobody looks after them once their parent was ended by hand.
fn children_left(state: &SagaState) -> u32 {
    let children = state.steps.iter().filter(|step| step.phase.is_open()).filter_map(|step| step.children.as_ref());
    let left = children.map(|children| children.running.len().saturating_add(children.undoing.len())).sum::<usize>();
    u32::try_from(left).unwrap_or(u32::MAX)
}
