//! What goes into a decision and what comes out.

use amends_schemas::command::{Operation, StepResult};
use amends_schemas::family::{ChildEnded, ParentLink};
use amends_schemas::operate::{OperateSaga, Operated};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Cancellation, StartSaga};
use amends_schemas::signal::{SignalReceipt, SignalSaga};
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
        /// The saga that makes amends by this.
        parent: Option<ParentLink>,
    },
    /// An operator does something by hand.
    Operate(OperateSaga),
    /// Somebody gives a signal.
    Signal(SignalSaga),
    /// A queued attempt's turn has come.
    Admitted {
        /// The step's index.
        step: usize,
    },
    /// A child came to its end, or the saga that cancels one forward did.
    ChildEnded(ChildEnded),
    /// A child cannot be started or cancelled as it was asked for.
    ChildRefused {
        /// The step's index.
        step: usize,
        /// Which child.
        child: u32,
        /// Started or cancelled.
        operation: Operation,
        /// Why not.
        problem: Problem,
    },
    /// The saga that waits for this one's end knows of it.
    ParentTold,
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
    /// Have an attempt wait for its turn; answered with [`Input::Admitted`].
    Queue {
        /// The step's index.
        step: usize,
    },
    /// Ask other partitions to start children; [`child_request`](super::child_request) builds each request. Again until they are there.
    StartChildren {
        /// The step's index.
        step: usize,
        /// These.
        children: Vec<u32>,
    },
    /// Ask other partitions to cancel children; [`child_cancel`](super::child_cancel) builds each request. Each is started first, for a child that
    /// does not exist cannot be cancelled. Again until they have answered.
    CancelChildren {
        /// The step's index.
        step: usize,
        /// These.
        children: Vec<u32>,
    },
    /// Tell the saga that waits for this one's end; [`child_ended`](super::child_ended) builds what it is told. Again until it has
    /// answered, then [`Input::ParentTold`].
    TellParent,
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
    /// For [`Input::Signal`]: what to tell whoever gave it.
    pub signalled: Option<Result<SignalReceipt, Problem>>,
    /// For [`Input::Operate`]: what to tell whoever asked.
    pub operated: Option<Result<Operated, Problem>>,
}
