//! What clients and operators ask of sagas, and how a saga reads.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::{CompensationReason, Operation, StepError};
use crate::contract::ContractName;
use crate::family::{ChildrenView, ParentLink};
use crate::ids::{PartitionCount, SagaId};
use crate::search::{SagaFilter, SagaSort};

/// Asks a partition's owner to start a saga. Sending it again with the same id and body is answered as the first time;
/// with another body it is a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartSaga {
    /// Chosen by the caller, so that asking twice starts one.
    pub saga_id: SagaId,
    /// The definition's name.
    pub definition: String,
    /// Its version; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Checked against the definition's input schema.
    pub input: Value,
    /// Labels to search by.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// When its first step begins; at once when absent. Its deadline counts from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<DateTime<Utc>>,
    /// Who comes first where commands are limited.
    #[serde(default, skip_serializing_if = "Priority::is_default")]
    pub priority: Priority,
    /// The saga that waits for this one's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentLink>,
}

/// Who comes first where the commands of a contract are limited: of two sagas that wait, the one with the higher number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The highest.
    pub const MAX: u8 = 9;

    /// `None` above [`Self::MAX`].
    pub const fn new(priority: u8) -> Option<Self> {
        if priority > Self::MAX { None } else { Some(Self(priority)) }
    }

    /// The bare number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether it is the one that holds when nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Priority {
    /// In the middle.
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<u8> for Priority {
    type Error = String;
    fn try_from(priority: u8) -> Result<Self, String> {
        Self::new(priority).ok_or_else(|| format!("a priority is a number from 0 to {}", Self::MAX))
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority.0
    }
}

/// Asks a partition's owner to cancel a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelSaga {
    /// Which.
    pub saga_id: SagaId,
    /// Who asks.
    #[serde(default)]
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// The saga that makes amends by this: it is told when a forward cancellation has come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentLink>,
}

/// What cancelling did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Cancellation {
    /// Before the pivot: this saga compensates (or already does, or has).
    Compensating {
        /// The saga.
        saga_id: SagaId,
    },
    /// After the pivot: the definition's forward cancellation carries it out, as a saga of its own.
    Forward {
        /// The saga that was to be cancelled.
        saga_id: SagaId,
        /// The saga that cancels.
        forward_saga_id: SagaId,
    },
    /// The pivot is with a worker, or nobody knows whether it happened. If it did not happen, this saga compensates; if it did, the definition's
    /// forward cancellation carries it out, or, when it names none, the cancel comes to nothing. The saga's own view tells later which.
    Undecided {
        /// The saga.
        saga_id: SagaId,
        /// Its pivot.
        step: String,
    },
}

/// Names a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaRef {
    /// Which.
    pub saga_id: SagaId,
}

/// Asks for facts of a saga's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// Which.
    pub saga_id: SagaId,
    /// Only those behind this place in the history; from the first when zero.
    #[serde(default)]
    pub after: u64,
    /// At most so many. Without a limit the answer is a bare list, with one it is a [`HistoryPage`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A stretch of a saga's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// In order.
    pub items: Vec<HistoryEntry>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// Where a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SagaStatus {
    /// Going forward.
    Running,
    /// Making amends.
    Compensating,
    /// Done, all steps taken.
    Completed,
    /// Done, all amends made.
    Compensated,
    /// A person is needed.
    Stuck,
    /// Done: an operator ended it as it stood, without amends.
    Terminated,
}

impl SagaStatus {
    /// All, in the order people list them.
    pub const ALL: [SagaStatus; 6] = [
        SagaStatus::Running,
        SagaStatus::Compensating,
        SagaStatus::Completed,
        SagaStatus::Compensated,
        SagaStatus::Stuck,
        SagaStatus::Terminated,
    ];

    /// As it stands in answers and queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            SagaStatus::Running => "running",
            SagaStatus::Compensating => "compensating",
            SagaStatus::Completed => "completed",
            SagaStatus::Compensated => "compensated",
            SagaStatus::Stuck => "stuck",
            SagaStatus::Terminated => "terminated",
        }
    }

    /// Whether nothing more will happen by itself or by a person.
    pub const fn is_final(self) -> bool {
        matches!(self, SagaStatus::Completed | SagaStatus::Compensated | SagaStatus::Terminated)
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Its turn has not come.
    Pending,
    /// Its condition did not hold, or the saga turned back before it.
    Skipped,
    /// Its contract's limit is reached; it waits for its turn.
    Queued,
    /// With a worker, or its children are at work.
    Running,
    /// Waiting for its signal or its time.
    Waiting,
    /// Waiting before the next attempt.
    BackingOff,
    /// Nobody can say whether it happened; being probed or retried.
    Unknown,
    /// It happened.
    Succeeded,
    /// It cleanly did not.
    Failed,
    /// Its amends are being made.
    Undoing,
    /// Its amends are made.
    Undone,
    /// A person must decide.
    Stuck,
}

/// One step of a saga, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Its name in the definition.
    pub name: String,
    /// What it does: `call`, `await`, `sleep`, `saga` or `for_each`.
    pub action: String,
    /// The contract it calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<ContractName>,
    /// The signal it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How its children stand, once it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<ChildrenView>,
    /// Where it stands.
    pub status: StepStatus,
    /// The operation last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The attempt of that operation, from one; zero before the first.
    pub attempt: u32,
    /// How it succeeded, where the contract has several ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// What it returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// When it was first dispatched.
    pub started_at: Option<DateTime<Utc>>,
    /// When it succeeded, failed or was undone.
    pub ended_at: Option<DateTime<Utc>>,
    /// When the wait it is in ends: the backoff, or the attempt's timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// A saga, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaView {
    /// Its id.
    pub saga_id: SagaId,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version.
    pub version: u32,
    /// Its definition's content hash.
    pub hash: String,
    /// Where it stands.
    pub status: SagaStatus,
    /// Why it compensates or compensated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CompensationReason>,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// Why it is not moving, in one sentence; absent once it is final.
    pub waiting_for: Option<String>,
    /// Its steps, in the definition's order.
    pub steps: Vec<StepView>,
    /// What it was started with.
    pub input: Value,
    /// What it came to, once completed.
    pub output: Option<Value>,
    /// Labels.
    pub tags: BTreeSet<String>,
    /// The saga that cancels this one, if one was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<SagaId>,
    /// The saga that waits for this one's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentLink>,
    /// When its first step begins, while that lies ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<DateTime<Utc>>,
    /// Who comes first where commands are limited.
    #[serde(default, skip_serializing_if = "Priority::is_default")]
    pub priority: Priority,
    /// When it must be done; passing it before the pivot compensates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// How many facts its history holds.
    pub event_count: u64,
}

/// One line of a list of sagas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaSummary {
    /// Its id.
    pub saga_id: SagaId,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version.
    pub version: u32,
    /// Where it stands.
    pub status: SagaStatus,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// Why it is not moving.
    pub waiting_for: Option<String>,
    /// Labels.
    pub tags: BTreeSet<String>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Asks for a page of sagas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSagas {
    /// Only these.
    #[serde(flatten)]
    pub filter: SagaFilter,
    /// In which order; newest first unless given.
    #[serde(default, skip_serializing_if = "SagaSort::is_default")]
    pub sort: SagaSort,
    /// Where the last page ended; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many; bounded by [`crate::limits::PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A page of anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it as `cursor` for what follows; absent on the last page. A page may hold less than was asked for and still not be the
    /// last: then so many sagas were looked at that do not fit that the rest is left to the next question.
    pub next_cursor: Option<String>,
}

/// One fact of a saga's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Its place in the saga's history, from one.
    pub sequence: u64,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What happened, in `snake_case`, past tense.
    pub event: String,
    /// The step it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The facts.
    pub data: Value,
}

/// What a deployment is made of; answered by any orchestrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorInfo {
    /// How many partitions all sagas are spread over.
    pub partition_count: PartitionCount,
    /// The version of the binary that answers.
    pub version: String,
}

/// How a partition stands, as its owner says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStanding {
    /// Sagas in its owner's memory.
    pub saga_count: usize,
    /// How many of them wait for a binary that understands them.
    pub parked_count: usize,
    /// The first of those; at most [`crate::limits::PARKED_SHOWN_MAX`].
    pub parked: Vec<ParkedView>,
}

/// A saga that waits for a binary that understands it, while others are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedView {
    /// Which.
    pub saga_id: SagaId,
    /// `name@version`; `unknown` when not even that can be read.
    pub definition: String,
    /// What is lacking.
    pub reason: String,
}

/// A definition as it is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionView {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Its content hash.
    pub hash: String,
    /// One line for people.
    pub title: String,
    /// JSON Schema of the input.
    pub input: Value,
    /// The document as it was written.
    pub source: String,
}
