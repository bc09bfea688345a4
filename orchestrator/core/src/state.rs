//! One saga as it stands: what its events add up to.

use std::collections::{BTreeSet, VecDeque};

use amends_schemas::command::{CompensationReason, Operation, StepError};
use amends_schemas::ids::SagaId;
use amends_schemas::limits::OPERATIONS_REMEMBERED_MAX;
use amends_schemas::operate::OperatorVerb;
use amends_schemas::saga::SagaStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::definition::DefinitionRef;

/// A saga. Serialisable, so that a checkpoint can hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SagaState {
    /// Its id.
    pub saga_id: SagaId,
    /// What it runs.
    pub definition: DefinitionRef,
    /// With what.
    pub input: Value,
    /// Labels.
    pub tags: BTreeSet<String>,
    /// Where it stands.
    pub status: SagaStatus,
    /// Why it turns or turned back.
    pub reason: Option<CompensationReason>,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// When it must be done.
    pub deadline_at: Option<DateTime<Utc>>,
    /// Whether that has passed before the pivot.
    pub deadline_passed: bool,
    /// Whether its point of no return has succeeded: from then on it only goes forward.
    pub pivot_passed: bool,
    /// The request to cancel, if any.
    pub cancel: Option<CancelRequest>,
    /// In the definition's order, index by index.
    pub steps: Vec<StepState>,
    /// Indices of steps in the order in which they succeeded: amends are made backwards along it.
    pub succeeded: Vec<usize>,
    /// What it came to.
    pub output: Option<Value>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// How many events it has.
    pub event_count: u64,
    /// What operators have done.
    #[serde(default)]
    pub by_hand: ByHand,
}

/// What operators have done to a saga.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ByHand {
    /// Who has paused it and why, while it is paused.
    pub pause: Option<Pause>,
    /// The last acts, oldest first; at most [`OPERATIONS_REMEMBERED_MAX`].
    pub done: VecDeque<DoneByHand>,
}

/// Who has paused a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// An act that was done, so that a repeat is answered as the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneByHand {
    /// Chosen by whoever asked.
    pub operation_id: Uuid,
    /// Of the request.
    pub fingerprint: String,
    /// What was done.
    pub verb: OperatorVerb,
    /// To which step.
    pub step: Option<usize>,
    /// When.
    pub at: DateTime<Utc>,
    /// Its place in the history, from one.
    pub sequence: u64,
}

impl ByHand {
    /// The act of this id, while it is remembered.
    pub fn find(&self, operation_id: Uuid) -> Option<&DoneByHand> {
        self.done.iter().find(|done| done.operation_id == operation_id)
    }

    /// Remembers an act, and forgets the oldest when there are too many.
    pub(crate) fn remember(&mut self, done: DoneByHand) {
        while self.done.len() >= OPERATIONS_REMEMBERED_MAX {
            self.done.pop_front();
        }
        self.done.push_back(done);
    }
}

/// Who asked to cancel, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// When.
    pub requested_at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The forward saga, when the pivot was passed.
    pub forward: Option<ForwardCancellation>,
}

/// The saga that cancels one that is past its pivot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForwardCancellation {
    /// Its id.
    pub saga_id: SagaId,
    /// How far it is.
    pub stage: ForwardStage,
}

/// How far a forward cancellation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardStage {
    /// The saga to cancel still goes forward; it comes first.
    Waiting,
    /// Asked of its partition.
    Dispatched {
        /// Which try.
        attempt: u32,
        /// When it is asked again.
        timeout_at: DateTime<Utc>,
    },
    /// Accepted.
    Started,
    /// Refused; a person is needed.
    Refused {
        /// Why.
        error: StepError,
    },
}

/// One step as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// Where it stands.
    pub phase: Phase,
    /// Attempts of each operation so far.
    pub attempts: Attempts,
    /// How many attempts of its `do` ended in a clean retry: these alone spend its budget, doubts have their own.
    pub retries: u32,
    /// Attempts that no longer count: those before an operator renewed the budget.
    #[serde(default)]
    pub renewed: Attempts,
    /// How it succeeded.
    pub outcome: Option<String>,
    /// What it returned.
    pub output: Option<Value>,
    /// The last error.
    pub error: Option<StepError>,
    /// When it was first dispatched.
    pub started_at: Option<DateTime<Utc>>,
    /// When it succeeded, failed or was undone.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Attempts so far, of each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// Of `do`.
    pub r#do: u32,
    /// Of `undo`.
    pub undo: u32,
    /// Of `probe`.
    pub probe: u32,
}

impl Attempts {
    /// Attempts of one operation.
    pub const fn of(&self, operation: Operation) -> u32 {
        match operation {
            Operation::Do => self.r#do,
            Operation::Undo => self.undo,
            Operation::Probe => self.probe,
        }
    }
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its turn has not come.
    Pending,
    /// Its condition did not hold.
    Skipped,
    /// With a worker.
    InFlight {
        /// What was asked.
        operation: Operation,
        /// When it counts as unknown.
        timeout_at: DateTime<Utc>,
        /// Whether it is unknown whether an earlier `do` happened.
        in_doubt: bool,
    },
    /// Waiting for the next attempt.
    BackingOff {
        /// What will be tried.
        operation: Operation,
        /// Not before.
        until: DateTime<Utc>,
        /// Whether it is unknown whether the `do` happened.
        in_doubt: bool,
    },
    /// It happened.
    Succeeded,
    /// It cleanly did not.
    Failed,
    /// Its amends are made.
    Undone,
    /// It is left as it is.
    Waived,
    /// A person must decide.
    Stuck {
        /// What was being tried.
        operation: Operation,
        /// Whether it is unknown whether the `do` happened.
        in_doubt: bool,
    },
}

impl StepState {
    /// A step whose turn has not come.
    pub const fn pending() -> Self {
        Self {
            phase: Phase::Pending,
            attempts: Attempts { r#do: 0, undo: 0, probe: 0 },
            retries: 0,
            renewed: Attempts { r#do: 0, undo: 0, probe: 0 },
            outcome: None,
            output: None,
            error: None,
            started_at: None,
            ended_at: None,
        }
    }

    /// Attempts of one operation since its budget was last renewed.
    pub const fn spent(&self, operation: Operation) -> u32 {
        self.attempts.of(operation).saturating_sub(self.renewed.of(operation))
    }
}

impl Phase {
    /// As it stands in sentences.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Skipped => "skipped",
            Phase::InFlight { in_doubt: false, .. } => "in flight",
            Phase::InFlight { in_doubt: true, .. } => "in flight, in doubt",
            Phase::BackingOff { in_doubt: false, .. } => "backing off",
            Phase::BackingOff { in_doubt: true, .. } => "backing off, in doubt",
            Phase::Succeeded => "succeeded",
            Phase::Failed => "failed",
            Phase::Undone => "undone",
            Phase::Waived => "left as it is",
            Phase::Stuck { in_doubt: false, .. } => "stuck",
            Phase::Stuck { in_doubt: true, .. } => "stuck in doubt",
        }
    }
}

impl SagaState {
    /// Why this saga turns back or wants to, as soon as nothing is in flight or in doubt any more.
    pub fn turning_back(&self) -> Option<CompensationReason> {
        if self.reason.is_some() {
            return self.reason;
        }
        if self.pivot_passed || self.status.is_final() {
            return None;
        }
        match (&self.cancel, self.deadline_passed) {
            (Some(cancel), true) if self.deadline_at.is_some_and(|at| at < cancel.requested_at) => {
                Some(CompensationReason::Deadline)
            }
            (Some(_), _) => Some(CompensationReason::Cancelled),
            (None, true) => Some(CompensationReason::Deadline),
            (None, false) => None,
        }
    }

    /// The step that is in flight, backs off or is stuck; there is at most one.
    pub fn waits_at(&self) -> Option<usize> {
        self.steps.iter().position(|step| {
            matches!(step.phase, Phase::InFlight { .. } | Phase::BackingOff { .. } | Phase::Stuck { .. })
        })
    }

    /// Whether nothing more is to come unless somebody asks: final, and no forward cancellation under way.
    pub fn is_settled(&self) -> bool {
        if self.status == SagaStatus::Terminated {
            return true;
        }
        let forwarding =
            self.cancel.as_ref().and_then(|cancel| cancel.forward.as_ref()).is_some_and(|forward| {
                matches!(forward.stage, ForwardStage::Waiting | ForwardStage::Dispatched { .. })
            });
        self.status.is_final() && !forwarding
    }
}
