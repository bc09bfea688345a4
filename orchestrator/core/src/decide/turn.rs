//! One decision: the entry points, and the one place where a fact is made and applied.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_schemas::command::Operation;
use amends_schemas::family::ParentLink;
use amends_schemas::ids::SagaId;
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Priority, StartSaga};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::cancel::forward_request;
use super::children::children_under_way;
use super::next_wakeup;
use super::types::{Decision, Effect, Input};
use crate::definition::{Compensate, DEFAULT_TIMEOUT, Definition, RetryPolicy, Step};
use crate::event::{Event, Fact};
use crate::evolve::{begin, evolve};
use crate::state::{ForwardStage, Phase, SagaState, StepState};

/// What a saga is started with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Start {
    /// As its definition's schema says.
    pub input: Value,
    /// Labels.
    pub tags: BTreeSet<String>,
    /// When its first step begins; at once when absent or past.
    pub start_at: Option<DateTime<Utc>>,
    /// Who comes first where commands are limited.
    pub priority: Priority,
    /// The saga that waits for this one's end.
    pub parent: Option<ParentLink>,
}

impl From<StartSaga> for Start {
    fn from(request: StartSaga) -> Self {
        Self {
            input: request.input,
            tags: request.tags,
            start_at: request.start_at,
            priority: request.priority,
            parent: request.parent,
        }
    }
}

/// Accepts a new saga and decides its first move. The input is taken as it is: check it with
/// [`accept`](crate::accept::accept) first.
pub fn start(definition: &Definition, saga_id: SagaId, start: Start, now: DateTime<Utc>) -> (SagaState, Decision) {
    let start_at = start.start_at.filter(|at| *at > now);
    let deadline_at = definition.deadline.map(|deadline| later(start_at.unwrap_or(now), deadline));
    let started = Event {
        at: now,
        fact: Fact::SagaStarted {
            definition: definition.reference.clone(),
            input: start.input,
            tags: start.tags,
            deadline_at,
            start_at,
            priority: start.priority,
            parent: start.parent,
        },
    };
    let mut state = begin(definition, saga_id, &started).expect("the event is a SagaStarted");
    let mut turn = Turn { definition, state: &mut state, now, decision: Decision::default() };
    turn.decision.events.push(started);
    turn.advance();
    let decision = turn.finish(None);
    (state, decision)
}

/// Decides what an input changes, applies it to `state` and says what to do. Total: an input that does not fit the state
/// (late, repeated, of a step that has moved on) changes nothing, and neither does any input when `definition` is not the
/// one the saga runs.
pub fn decide(definition: &Definition, state: &mut SagaState, input: Input, now: DateTime<Utc>) -> Decision {
    let wake_before = next_wakeup(state);
    let mut turn = Turn { definition, state, now, decision: Decision::default() };
    if !fits(definition, turn.state) {
        let mismatch = || {
            Problem::internal(
                "definition_mismatch",
                "this saga runs another definition than the one it was decided with",
            )
        };
        match input {
            Input::Cancel { .. } => turn.decision.cancellation = Some(Err(mismatch())),
            Input::Operate(_) => turn.decision.operated = Some(Err(mismatch())),
            Input::Signal(_) => turn.decision.signalled = Some(Err(mismatch())),
            Input::Reply { .. }
            | Input::TimeReached
            | Input::Admitted { .. }
            | Input::ChildEnded(_)
            | Input::ChildRefused { .. }
            | Input::ParentTold
            | Input::ForwardCancellationAnswered { .. } => {}
        }
        return turn.decision;
    }
    match input {
        Input::Reply { step, operation, attempt, result } => turn.reply(&step, operation, attempt, result),
        Input::TimeReached => turn.time_reached(),
        Input::Cancel { by, reason, parent } => turn.cancel(by, reason, parent),
        Input::Operate(request) => turn.operate(request),
        Input::Signal(request) => turn.signal(request),
        Input::Admitted { step } => turn.admitted(step),
        Input::ChildEnded(told) => turn.child_ended(told),
        Input::ChildRefused { step, child, operation, problem } => turn.child_refused(step, child, operation, problem),
        Input::ParentTold => turn.parent_told(),
        Input::ForwardCancellationAnswered { result } => turn.forward_answered(result),
    }
    turn.finish(wake_before)
}

/// What a recovered saga needs done again: dispatches under way, its forward cancellation, its wake-up.
pub fn resume(definition: &Definition, state: &SagaState) -> Vec<Effect> {
    if !fits(definition, state) {
        return Vec::new();
    }
    let mut effects: Vec<Effect> = Vec::new();
    for (index, step) in state.steps.iter().enumerate() {
        // What a terminated saga had in flight is nobody's any more.
        if state.status.is_final() {
            break;
        }
        match step.phase {
            Phase::InFlight { .. } => effects.push(Effect::Dispatch { step: index }),
            Phase::Queued { .. } => effects.push(Effect::Queue { step: index }),
            _ => effects.extend(children_under_way(index, step)),
        }
    }
    if state.status.is_final() && state.parent.as_ref().is_some_and(|parent| !parent.told) {
        effects.push(Effect::TellParent);
    }
    let forward = state.cancel.as_ref().and_then(|cancel| cancel.forward.as_ref());
    if forward.is_some_and(|forward| matches!(forward.stage, ForwardStage::Dispatched { .. }))
        && let Some(request) = forward_request(definition, state)
    {
        effects.push(Effect::StartForward { request });
    }
    if let Some(at) = next_wakeup(state) {
        effects.push(Effect::WakeAt { at });
    }
    effects
}

/// Whether `state` is a saga of `definition`.
pub(super) fn fits(definition: &Definition, state: &SagaState) -> bool {
    state.steps.len() == definition.steps.len() && state.definition.hash == definition.reference.hash
}

/// A saga in the middle of a decision. Every change goes through [`Turn::record`], so that what is decided and what is
/// replayed cannot differ.
pub(super) struct Turn<'a> {
    pub(super) definition: &'a Definition,
    pub(super) state: &'a mut SagaState,
    pub(super) now: DateTime<Utc>,
    pub(super) decision: Decision,
}

impl<'a> Turn<'a> {
    /// Makes a fact and applies it.
    pub(super) fn record(&mut self, fact: Fact) {
        let event = Event { at: self.now, fact };
        evolve(self.state, &event);
        self.decision.events.push(event);
    }

    /// A step with its state. `fits` has made sure that both have the same number of steps.
    pub(super) fn step(&self, index: usize) -> Option<(&'a Step, &StepState)> {
        Some((self.definition.steps.get(index)?, self.state.steps.get(index)?))
    }

    /// Hands the next attempt of an operation to the workers, or has it wait for its turn when its contract is limited.
    pub(super) fn dispatch(&mut self, index: usize, operation: Operation) {
        let limited =
            self.step(index).and_then(|(step, _)| step.call()).is_some_and(|call| call.contract.limits.is_some());
        if limited {
            self.record(Fact::StepQueued { step: index, operation });
            self.decision.effects.push(Effect::Queue { step: index });
        } else {
            self.send(index, operation);
        }
    }

    /// A queued attempt's turn has come. One that is not queued any more, or whose saga is paused, gives its turn back.
    pub(super) fn admitted(&mut self, index: usize) {
        if self.state.status.is_final() || self.state.paused {
            return;
        }
        if let Some(Phase::Queued { operation, .. }) = self.state.steps.get(index).map(|step| &step.phase) {
            self.send(index, *operation);
        }
    }

    /// The saga that waits for this one's end knows of it.
    pub(super) fn parent_told(&mut self) {
        if self.state.status.is_final() && self.state.parent.as_ref().is_some_and(|parent| !parent.told) {
            self.record(Fact::ParentTold {});
        }
    }

    fn send(&mut self, index: usize, operation: Operation) {
        let Some((step, state)) = self.step(index) else { return };
        let timeout_at = later(self.now, timeout_of(step, operation));
        let attempt = state.attempts.of(operation).saturating_add(1);
        self.record(Fact::StepDispatched { step: index, operation, attempt, timeout_at });
        self.decision.effects.push(Effect::Dispatch { step: index });
    }

    /// Ends the decision: asks to be woken when the next time to wake has changed.
    pub(super) fn finish(mut self, wake_before: Option<DateTime<Utc>>) -> Decision {
        let ended = self.decision.events.iter().any(|event| event.fact.is_end());
        if ended && self.state.parent.as_ref().is_some_and(|parent| !parent.told) {
            self.decision.effects.push(Effect::TellParent);
        }
        // One whose branch was dropped in the same decision wants no place any more.
        let steps = &self.state.steps;
        let queued = |step: usize| steps.get(step).is_some_and(|step| matches!(step.phase, Phase::Queued { .. }));
        self.decision.effects.retain(|effect| !matches!(effect, Effect::Queue { step } if !queued(*step)));
        let wake = next_wakeup(self.state);
        if let Some(at) = wake
            && wake != wake_before
        {
            self.decision.effects.push(Effect::WakeAt { at });
        }
        self.decision
    }
}

/// How long one attempt of an operation may take. An undo that only bars the door has the step's own limits.
pub(crate) fn timeout_of(step: &Step, operation: Operation) -> Duration {
    match (operation, &step.compensate) {
        (Operation::Undo, Compensate::Undo { timeout, .. }) => *timeout,
        (Operation::Undo, Compensate::Waived { .. } | Compensate::Cancel | Compensate::None)
        | (Operation::Do | Operation::Probe, _) => step.call().map_or(DEFAULT_TIMEOUT, |call| call.timeout),
    }
}

/// The budget of an operation; `None` of a step that calls nobody.
pub(super) fn retry_of(step: &Step, operation: Operation) -> Option<&RetryPolicy> {
    match (operation, &step.compensate) {
        (Operation::Undo, Compensate::Undo { retry, .. }) => Some(retry),
        (Operation::Undo, Compensate::Waived { .. } | Compensate::Cancel | Compensate::None)
        | (Operation::Do | Operation::Probe, _) => step.call().map(|call| &call.retry),
    }
}

/// A time some while from now; the end of time when that cannot be written.
pub(super) fn later(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
