//! The facts a saga is made of. They are journaled: a variant or a field, once released, keeps its meaning for ever.

use std::collections::BTreeSet;

use amends_schemas::command::{CompensationReason, Operation, StepError};
use amends_schemas::ids::SagaId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::definition::DefinitionRef;

/// A fact, with the time it was decided. Steps are named by their index in the pinned definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What happened.
    pub fact: Fact,
}

/// Why nobody knows how an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtCause {
    /// No answer within the step's timeout.
    TimedOut,
    /// The worker said so.
    Reported,
}

/// By whom something was done by hand, why, and under which id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Chosen by whoever asked.
    pub operation_id: Uuid,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Of the request, to tell a repeat from another one under the same id.
    pub fingerprint: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The saga was accepted.
    SagaStarted {
        /// What it runs.
        definition: DefinitionRef,
        /// With what.
        input: Value,
        /// Labelled so.
        tags: BTreeSet<String>,
        /// When it must be done.
        deadline_at: Option<DateTime<Utc>>,
    },
    /// A step's condition did not hold.
    StepSkipped {
        /// Which.
        step: usize,
    },
    /// An attempt was handed to the workers.
    StepDispatched {
        /// Which.
        step: usize,
        /// What was asked.
        operation: Operation,
        /// Which try, from one per operation.
        attempt: u32,
        /// When it counts as unknown.
        timeout_at: DateTime<Utc>,
    },
    /// It happened: its `do` answered, or a probe found it done.
    StepSucceeded {
        /// Which.
        step: usize,
        /// One of the contract's outcomes.
        outcome: Option<String>,
        /// What it returned.
        output: Value,
        /// Whether it was the point of no return: from here on the saga only goes forward.
        pivot: bool,
    },
    /// It cleanly did not and will not happen.
    StepFailed {
        /// Which.
        step: usize,
        /// Why.
        error: StepError,
    },
    /// It is not known whether it happened.
    StepInDoubt {
        /// Which.
        step: usize,
        /// What was being tried.
        operation: Operation,
        /// How we came to not know.
        cause: DoubtCause,
        /// What is known.
        error: StepError,
    },
    /// It will be tried again later.
    RetryScheduled {
        /// Which.
        step: usize,
        /// What will be tried.
        operation: Operation,
        /// Not before.
        until: DateTime<Utc>,
        /// What went wrong last; none when the fact before says it, or when a probe merely found no trace.
        error: Option<StepError>,
        /// Whether it is unknown whether the `do` happened.
        in_doubt: bool,
    },
    /// Amends are made for it.
    StepUndone {
        /// Which.
        step: usize,
    },
    /// It is left as it is, as its definition says.
    CompensationWaived {
        /// Which.
        step: usize,
    },
    /// A step needs a person: its retries are spent, or its definition says to ask.
    StepStuck {
        /// Which.
        step: usize,
        /// What was being tried.
        operation: Operation,
        /// Why.
        error: StepError,
        /// Whether it is unknown whether the `do` happened.
        in_doubt: bool,
    },
    /// Somebody asked to cancel.
    CancelRequested {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// The forward saga to start, when the pivot is passed.
        forward: Option<SagaId>,
    },
    /// A request to cancel found the pivot in flight, and the pivot succeeded: it is carried out forward.
    CancellationTurnedForward {
        /// The forward saga to start.
        saga_id: SagaId,
    },
    /// The deadline passed before the pivot.
    DeadlinePassed {},
    /// The saga turned back.
    CompensationStarted {
        /// Why.
        reason: CompensationReason,
    },
    /// The forward cancellation was asked of its partition.
    ForwardCancellationDispatched {
        /// Its id.
        saga_id: SagaId,
        /// Which try, from one.
        attempt: u32,
        /// When it is asked again.
        timeout_at: DateTime<Utc>,
    },
    /// The forward cancellation was accepted.
    ForwardCancellationStarted {
        /// Its id.
        saga_id: SagaId,
    },
    /// The forward cancellation was refused; a person is needed.
    ForwardCancellationRefused {
        /// Its id.
        saga_id: SagaId,
        /// Why.
        error: StepError,
    },
    /// Everything is done.
    SagaCompleted {
        /// What it came to.
        output: Value,
    },
    /// Everything is made good.
    SagaCompensated {
        /// Why it had to be.
        reason: CompensationReason,
    },
    /// An operator paused it: nothing more is dispatched, timers wait.
    SagaPaused {
        /// By whom and why.
        act: Act,
    },
    /// An operator lets it go on.
    SagaResumed {
        /// By whom and why.
        act: Act,
    },
    /// An operator wants the next attempt of a step now, with a new budget.
    RetryOrdered {
        /// Which.
        step: usize,
        /// What will be tried.
        operation: Operation,
        /// Whether it is unknown whether the `do` happened.
        in_doubt: bool,
        /// By whom and why.
        act: Act,
    },
    /// An operator passed over a step. A `do` did not happen and will not: the step counts as skipped. An `undo` will not be tried
    /// again: the step is left as it is.
    StepPassedOver {
        /// Which.
        step: usize,
        /// What had been tried.
        operation: Operation,
        /// By whom and why.
        act: Act,
    },
    /// An operator said how a step ended; the fact that follows carries it out.
    StepResolved {
        /// Which.
        step: usize,
        /// What had been tried.
        operation: Operation,
        /// Whether it succeeded.
        succeeded: bool,
        /// By whom and why.
        act: Act,
    },
    /// An operator ended it as it stood, without amends.
    SagaTerminated {
        /// By whom and why.
        act: Act,
    },
}
