//! What goes into a decision and what comes out.

use amends_schemas::command::{Operation, StepResult};
use amends_schemas::operate::{OperateSaga, Operated};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Cancellation, StartSaga};
use chrono::{DateTime, Utc};

use crate::event::Event;

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
    /// An operator does something by hand.
    Operate(OperateSaga),
    /// The forward cancellation's partition answered.
    ForwardCancellationAnswered {
        /// Accepted, or why not.
        result: Result<(), Problem>,
    },
}

/// What is to be done once the facts are committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Hand an attempt to the workers. The command itself is built by [`command_of`](super::command_of) from the state, so that recovery
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
    /// Wake this saga at that time with [`Input::TimeReached`]. Only the earliest matters; see [`next_wakeup`](super::next_wakeup).
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
    /// For [`Input::Operate`]: what to tell whoever asked.
    pub operated: Option<Result<Operated, Problem>>,
}
