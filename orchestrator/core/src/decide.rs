//! What happens next: `decide` takes a saga, an input and the time, and answers with facts and effects.

use std::collections::BTreeSet;

use amends_schemas::command::{Command, Operation, StepResult};
use amends_schemas::ids::SagaId;
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Cancellation, StartSaga};
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::definition::Definition;
use crate::event::Event;
use crate::state::SagaState;

/// What reaches a running saga.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A worker answered.
    Reply {
        /// The step's name.
        step: String,
        /// What had been asked.
        operation: Operation,
        /// Of which attempt.
        attempt: u32,
        /// How it ended.
        result: StepResult,
    },
    /// A time this saga waited for has come; what is due is read off the state, so a late or repeated tick is harmless.
    TimeReached,
    /// Somebody asks to cancel.
    Cancel {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The forward cancellation's partition answered.
    ForwardCancellationAnswered {
        /// Accepted, or why not.
        result: Result<(), Problem>,
    },
}

/// What is to be done once the facts are committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Hand an attempt to the workers. The command itself is built by [`command_of`] from the state, so that recovery
    /// builds the same one.
    Dispatch {
        /// The step's index.
        step: usize,
    },
    /// Ask another partition to start the forward cancellation.
    StartForward {
        /// The request, the same for every try.
        request: StartSaga,
    },
    /// Wake this saga at that time with [`Input::TimeReached`]. Only the earliest matters; see [`next_wakeup`].
    WakeAt {
        /// When.
        at: DateTime<Utc>,
    },
}

/// The outcome of a decision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// New facts, already applied to the state that `decide` was given. Empty when the input changes nothing.
    pub events: Vec<Event>,
    /// What to do after they are committed.
    pub effects: Vec<Effect>,
    /// For [`Input::Cancel`]: what to tell whoever asked.
    pub cancellation: Option<Result<Cancellation, Problem>>,
}

/// Accepts a new saga and decides its first move.
pub fn start(
    _definition: &Definition,
    _saga_id: SagaId,
    _input: Value,
    _tags: BTreeSet<String>,
    _now: DateTime<Utc>,
) -> (SagaState, Decision) {
    unimplemented!()
}

/// Decides what an input changes, applies it to `state` and says what to do. Total: an input that does not fit the state
/// (late, repeated, of a step that has moved on) changes nothing.
pub fn decide(_definition: &Definition, _state: &mut SagaState, _input: Input, _now: DateTime<Utc>) -> Decision {
    unimplemented!()
}

/// What a recovered saga needs done again: dispatches under way, its forward cancellation, its wake-up.
pub fn resume(_definition: &Definition, _state: &SagaState) -> Vec<Effect> {
    unimplemented!()
}

/// The earliest time at which this saga wants [`Input::TimeReached`].
pub fn next_wakeup(_state: &SagaState) -> Option<DateTime<Utc>> {
    unimplemented!()
}

/// The command of a step that is in flight, `None` when it is not. `reply_to` is where its answer goes.
pub fn command_of(_definition: &Definition, _state: &SagaState, _step: usize, _reply_to: &str) -> Option<Command> {
    unimplemented!()
}
