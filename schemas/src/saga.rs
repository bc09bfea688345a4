//! What clients and operators ask of sagas, and how a saga reads.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::{CompensationReason, Operation, StepError};
use crate::contract::ContractName;
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
}

/// Names a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaRef {
    /// Which.
    pub saga_id: SagaId,
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
    /// With a worker.
    Running,
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
    /// The contract it calls.
    pub call: ContractName,
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
