//! The facts a saga is made of. They are journaled: a variant or a field, once released, keeps its meaning for ever.

use std::collections::BTreeSet;

use amends_schemas::command::{CompensationReason, Operation, StepError};
use amends_schemas::family::ParentLink;
use amends_schemas::ids::SagaId;
use amends_schemas::saga::Priority;
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

const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Fact {
    /// Whether it is the end of a saga.
    pub const fn is_end(&self) -> bool {
        matches!(self, Fact::SagaCompleted { .. } | Fact::SagaCompensated { .. } | Fact::SagaTerminated { .. })
    }
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
        /// When its first step begins; at once when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_at: Option<DateTime<Utc>>,
        /// Who comes first where commands are limited.
        #[serde(default, skip_serializing_if = "Priority::is_default")]
        priority: Priority,
        /// The saga that waits for this one's end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<ParentLink>,
    },
    /// The time of its first step came.
    StartTimeReached {},
    /// A step's condition did not hold.
    StepSkipped {
        /// Which.
        step: usize,
    },
    /// Its contract's limit may be reached: an attempt waits for its turn.
    StepQueued {
        /// Which.
        step: usize,
        /// What will be asked.
        operation: Operation,
    },
    /// It waits for its signal or its time.
    WaitStarted {
        /// Which.
        step: usize,
        /// When the wait ends; a signal without a timeout has none.
        until: Option<DateTime<Utc>>,
    },
    /// A signal was given.
    SignalReceived {
        /// Its name.
        signal: String,
        /// Chosen by whoever gave it.
        signal_id: Uuid,
        /// What it says.
        outcome: Option<String>,
        /// What came with it.
        data: Value,
        /// Who gave it.
        by: String,
        /// Whether its step was waiting for it.
        taken: bool,
    },
    /// It has so many children.
    ChildrenStarted {
        /// Which.
        step: usize,
        /// How many.
        total: u32,
    },
    /// Children were started (`do`) or cancelled (`undo`).
    ChildrenDispatched {
        /// Which.
        step: usize,
        /// Started or cancelled.
        operation: Operation,
        /// These.
        children: Vec<u32>,
    },
    /// A child came to its end, or the saga that cancels one forward did.
    ChildEnded {
        /// Which.
        step: usize,
        /// Which child.
        child: u32,
        /// The child itself, or its cancellation.
        operation: Operation,
        /// What it came to; kept of an only child.
        output: Option<Value>,
        /// Why it did not happen; none when it did.
        error: Option<StepError>,
        /// Whether it was not even taken on.
        #[serde(default, skip_serializing_if = "is_false")]
        refused: bool,
        /// Whether nobody knows what it has done: an operator ended it as it stood.
        #[serde(default, skip_serializing_if = "is_false")]
        in_doubt: bool,
    },
    /// No more children are started.
    ChildrenHalted {
        /// Which.
        step: usize,
        /// Whether those at work are cancelled.
        cancelled: bool,
    },
    /// Its children ended before all had completed, and some had: what they did is to be undone.
    StepInterrupted {
        /// Which.
        step: usize,
        /// Why.
        error: StepError,
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
        /// The saga that makes amends by this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<ParentLink>,
    },
    /// Somebody asked to cancel again after the forward cancellation had been refused: it is tried once more, with what was asked first.
    CancelRequestedAgain {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A request to cancel that was there already serves another saga's amends, too.
    CancellationAdopted {
        /// The saga that waits for its end.
        parent: ParentLink,
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
    /// The saga that waits for this one's end knows of it.
    ParentTold {},
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
        /// Whether it is done anew under another idempotency key: the last attempt under this one has cleanly failed.
        #[serde(default, skip_serializing_if = "is_false")]
        anew: bool,
        /// By whom and why.
        act: Act,
    },
    /// An operator gave a step another input.
    InputEdited {
        /// Which.
        step: usize,
        /// All of it.
        input: Value,
        /// By whom and why.
        act: Act,
    },
    /// An operator wants the saga to go back to a step: what has succeeded from it on is undone first.
    RewindOrdered {
        /// Which.
        step: usize,
        /// By whom and why.
        act: Act,
    },
    /// What had to be undone is undone: these steps are to be done anew.
    Rewound {
        /// These.
        steps: Vec<usize>,
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
