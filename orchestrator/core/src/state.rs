//! One saga as it stands: what its events add up to.

mod step;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amends_schemas::command::{CompensationReason, StepError};
use amends_schemas::family::ParentLink;
use amends_schemas::ids::SagaId;
use amends_schemas::limits::OPERATIONS_REMEMBERED_MAX;
use amends_schemas::operate::OperatorVerb;
use amends_schemas::saga::{Priority, SagaStatus, StartSaga};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub use self::step::{Attempts, Phase, StepState};
use crate::definition::DefinitionRef;

/// A saga. Serialisable, so that a checkpoint can hold it. What few sagas have is boxed, for a hundred thousand may wait in memory.
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
    pub cancel: Option<Box<CancelRequest>>,
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
    /// When its first step begins, while that lies ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<DateTime<Utc>>,
    /// The same, also when it has come: what a repeat of its start is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_start_at: Option<DateTime<Utc>>,
    /// Who comes first where commands are limited.
    #[serde(default, skip_serializing_if = "Priority::is_default")]
    pub priority: Priority,
    /// The saga that waits for this one's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Parent>>,
    /// The signals that were given, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signals: BTreeMap<String, Signal>,
    /// The step to which an operator wants it to go back, while what has succeeded from it on is being undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewind: Option<usize>,
}

/// The saga that waits for this one's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Where it waits.
    pub link: ParentLink,
    /// Whether it knows of the end.
    pub told: bool,
}

/// A signal that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Chosen by whoever gave it.
    pub signal_id: Uuid,
    /// What it says.
    pub outcome: Option<String>,
    /// What came with it.
    pub data: Value,
    /// Whether its step was waiting for it.
    pub taken: bool,
    /// When.
    pub at: DateTime<Utc>,
    /// Its place in the history, from one.
    pub sequence: u64,
}

/// What operators have done to a saga.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ByHand {
    /// Who has paused it and why, while it is paused.
    pub pause: Option<Box<Pause>>,
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
    /// The saga that makes amends by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentLink>,
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

impl SagaState {
    /// Why this saga turns back or wants to, as soon as nothing is in flight or in doubt any more.
    pub fn turning_back(&self) -> Option<CompensationReason> {
        if self.reason.is_some() {
            return self.reason;
        }
        if self.pivot_passed || self.status.is_final() {
            return None;
        }
        // Whichever came first; a cancel before all others of the same moment, a deadline before a failure.
        let cancelled = self.cancel.as_ref().map(|cancel| (cancel.requested_at, CompensationReason::Cancelled));
        let late = self.deadline_at.filter(|_| self.deadline_passed).map(|at| (at, CompensationReason::Deadline));
        let failed = self
            .steps
            .iter()
            .filter(|step| matches!(step.phase, Phase::Failed | Phase::Interrupted))
            .filter_map(|step| step.ended_at)
            .min()
            .map(|at| (at, CompensationReason::Failed));
        let first = [cancelled, late, failed]
            .into_iter()
            .flatten()
            .reduce(|first, next| if next.0 < first.0 { next } else { first });
        first.map(|(_, reason)| reason)
    }

    /// Whether this request would have started this very saga. A time to start that had passed already counts as none.
    pub fn was_started_by(&self, request: &StartSaga) -> bool {
        *self.definition.name == *request.definition
            && request.version.is_none_or(|version| version == self.definition.version)
            && self.input == request.input
            && self.tags == request.tags
            && self.asked_start_at == request.start_at.filter(|at| *at > self.created_at)
            && self.priority == request.priority
            && self.parent.as_ref().map(|parent| &parent.link) == request.parent.as_ref()
    }

    /// The steps that are under way or stuck, in the definition's order.
    pub fn open_steps(&self) -> impl Iterator<Item = usize> + '_ {
        self.steps.iter().enumerate().filter(|(_, step)| step.phase.is_open()).map(|(index, _)| index)
    }

    /// Whether nothing more is to come unless somebody asks: final, no forward cancellation under way, and whoever waits for its end
    /// knows of it.
    pub fn is_settled(&self) -> bool {
        if self.parent.as_ref().is_some_and(|parent| !parent.told) {
            return false;
        }
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
