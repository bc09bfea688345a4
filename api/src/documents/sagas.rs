//! Sagas: twins of the wire types in `amends_schemas::saga`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ChildrenDocument, ParentDocument, StepErrorDocument};

/// A saga.
#[derive(ToSchema)]
#[schema(as = Saga)]
pub struct SagaDocument {
    /// Its id.
    pub saga_id: Uuid,
    /// Its definition's name.
    #[schema(example = "registration")]
    pub definition: String,
    /// Its definition's version.
    #[schema(minimum = 1)]
    pub version: u32,
    /// Its definition's content hash.
    pub hash: String,
    /// Where it stands.
    pub status: SagaStatusDocument,
    /// Why it compensates or compensated: `failed`, `cancelled` or `deadline`.
    #[schema(required = false)]
    pub reason: Option<String>,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// Why it is not moving, in one sentence; null once it is final.
    #[schema(required)]
    pub waiting_for: Option<String>,
    /// Its steps, in the definition's order.
    pub steps: Vec<StepDocument>,
    /// What it was started with.
    pub input: Value,
    /// What it came to, once completed.
    pub output: Value,
    /// Labels.
    pub tags: Vec<String>,
    /// The saga that cancels this one, if one was asked to.
    #[schema(required = false)]
    pub cancelled_by: Option<Uuid>,
    /// The saga that waits for this one's end.
    #[schema(required = false)]
    pub parent: Option<ParentDocument>,
    /// When its first step begins, while that lies ahead.
    #[schema(required = false)]
    pub start_at: Option<DateTime<Utc>>,
    /// Who comes first where commands are limited: the higher number; left out when it is 5.
    #[schema(minimum = 0, maximum = 9, required = false)]
    pub priority: Option<u8>,
    /// When it must be done.
    #[schema(required = false)]
    pub deadline_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// How many facts its history holds.
    #[schema(minimum = 0)]
    pub event_count: u64,
}

/// Where a saga stands. `completed`, `compensated` and `terminated` are final; `stuck` needs a person.
#[derive(ToSchema)]
#[schema(as = SagaStatus, rename_all = "snake_case")]
pub enum SagaStatusDocument {
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

/// One step of a saga.
#[derive(ToSchema)]
#[schema(as = Step)]
pub struct StepDocument {
    /// Its name in the definition.
    pub name: String,
    /// What it does: `call`, `await`, `sleep`, `saga` or `for_each`.
    #[schema(example = "call")]
    pub action: String,
    /// The contract it calls.
    #[schema(example = "payment.capture@1", required = false)]
    pub call: Option<String>,
    /// The signal it waits for.
    #[schema(required = false)]
    pub signal: Option<String>,
    /// How its children stand, once it has any.
    #[schema(required = false)]
    pub children: Option<ChildrenDocument>,
    /// Where it stands.
    pub status: StepStatusDocument,
    /// The operation last tried: `do`, `undo` or `probe`.
    #[schema(required = false)]
    pub operation: Option<String>,
    /// The attempt of that operation, from one; zero before the first.
    #[schema(minimum = 0)]
    pub attempt: u32,
    /// How it succeeded, where there are several ways.
    #[schema(required = false)]
    pub outcome: Option<String>,
    /// The last error.
    #[schema(required = false)]
    pub error: Option<StepErrorDocument>,
    /// What it returned.
    #[schema(required = false)]
    pub output: Option<Value>,
    /// When it was first dispatched.
    #[schema(required)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it succeeded, failed or was undone.
    #[schema(required)]
    pub ended_at: Option<DateTime<Utc>>,
    /// When the wait it is in ends.
    #[schema(required = false)]
    pub until: Option<DateTime<Utc>>,
}

/// Where a step stands.
#[derive(ToSchema)]
#[schema(as = StepStatus, rename_all = "snake_case")]
pub enum StepStatusDocument {
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

/// One line of a list of sagas.
#[derive(ToSchema)]
#[schema(as = SagaSummary)]
pub struct SagaSummaryDocument {
    /// Its id.
    pub saga_id: Uuid,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version.
    #[schema(minimum = 1)]
    pub version: u32,
    /// Where it stands.
    pub status: SagaStatusDocument,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// Why it is not moving.
    #[schema(required)]
    pub waiting_for: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// One fact of a saga's history.
#[derive(ToSchema)]
#[schema(as = HistoryEntry)]
pub struct HistoryEntryDocument {
    /// Its place in the saga's history, from one.
    #[schema(minimum = 1)]
    pub sequence: u64,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What happened, in `snake_case`, past tense.
    pub event: String,
    /// The step it is about.
    #[schema(required = false)]
    pub step: Option<String>,
    /// The facts.
    pub data: Value,
}
