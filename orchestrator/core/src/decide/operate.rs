//! What operators do by hand. Each act is a fact with who, why and an id; a repeat under the same id changes nothing.
//!
//! An act that the state does not allow is refused with `illegal_here`, and the sentence names the verb and the state. Two operators at
//! once are two acts, one after the other: the second finds the state that the first has left.

mod again;
mod resolve;

use amends_schemas::limits::REASON_BYTES_MAX;
use amends_schemas::operate::{OperateSaga, Operated, OperatorAct, OperatorVerb};
use amends_schemas::problem::Problem;

use super::turn::Turn;
use super::types::Effect;
use crate::definition::Definition;
use crate::event::{Act, Fact};
use crate::state::{DoneByHand, Phase, SagaState};
use crate::validate::content_hash;

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
