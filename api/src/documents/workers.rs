//! Who serves, what waits, what could not be handled: twins of the wire types in `amends_schemas::{presence, dead_letter}`.

use chrono::{DateTime, Utc};
use utoipa::ToSchema;
use uuid::Uuid;

/// Who serves what, as one orchestrator sees it.
#[derive(ToSchema)]
#[schema(as = Workers)]
pub struct WorkersDocument {
    /// When that orchestrator began to look; what was before it cannot know. Null while it has seen nothing yet.
    #[schema(required)]
    pub watched_since: Option<DateTime<Utc>>,
    /// When it last looked.
    #[schema(required)]
    pub looked_at: Option<DateTime<Utc>>,
    /// Every contract that a definition calls, and every one that a worker serves; by name.
    pub items: Vec<ContractPresenceDocument>,
    /// Always null: all of them are here.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Who serves one contract.
#[derive(ToSchema)]
#[schema(as = ContractPresence)]
pub struct ContractPresenceDocument {
    /// The context.
    #[schema(example = "payment")]
    pub context: String,
    /// The contract; null for a context that serves none and answers queries.
    #[schema(required, example = "payment.capture@1")]
    pub contract: Option<String>,
    /// How many processes serve it.
    pub instance_count: usize,
    /// They, by id; the first 100.
    pub instances: Vec<WorkerInstanceDocument>,
    /// When somebody was last seen to serve it.
    #[schema(required)]
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Since when nobody serves it, as far as is known: at the earliest `watched_since`. Null while somebody does.
    #[schema(required)]
    pub unserved_since: Option<DateTime<Utc>>,
}

/// One process that serves.
#[derive(ToSchema)]
#[schema(as = WorkerInstance)]
pub struct WorkerInstanceDocument {
    /// New at every start.
    pub id: String,
    /// Of its binary.
    pub version: String,
    /// When it began to serve, if it says so.
    #[schema(required)]
    pub started_at: Option<DateTime<Utc>>,
}

/// All queues at one moment.
#[derive(ToSchema)]
#[schema(as = Queues)]
pub struct QueuesDocument {
    /// When they were measured; at most a second ago.
    pub measured_at: DateTime<Utc>,
    /// Every contract that a definition calls, and every one that has commands or had workers; by name.
    pub items: Vec<QueueDocument>,
    /// Always null: all of them are here.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// The commands of one contract that are not done.
#[derive(ToSchema)]
#[schema(as = Queue)]
pub struct QueueDocument {
    /// The context.
    #[schema(example = "payment")]
    pub context: String,
    /// The contract.
    #[schema(example = "payment.capture@1")]
    pub contract: String,
    /// Commands that no worker has yet.
    pub waiting: u64,
    /// Commands that are with workers, or that a worker has given back for a while.
    pub with_workers: u64,
    /// Of those, how many were delivered more than once.
    pub redelivered: u64,
    /// When the oldest command that is not done was sent.
    #[schema(required)]
    pub oldest_at: Option<DateTime<Utc>>,
}

/// A page of dead letters.
#[derive(ToSchema)]
#[schema(as = DeadLetters)]
pub struct DeadLettersDocument {
    /// Context by context, newest first.
    pub items: Vec<DeadLetterDocument>,
    /// Pass it as `cursor` for what follows; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// Contexts that did not answer: what they have is not among the items.
    pub unanswered: Vec<String>,
}

/// A message that could not be handled.
#[derive(ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterDocument {
    /// Unique within its context.
    #[schema(example = "18b2f0c3a4d5e600-42-command")]
    pub id: String,
    /// Whose it is.
    #[schema(example = "payment")]
    pub context: String,
    /// Where it stands.
    pub status: DeadLetterStatusDocument,
    /// Where it was published.
    pub subject: String,
    /// The contract, when it is a command.
    #[schema(required)]
    pub contract: Option<String>,
    /// The saga, when it can be made out.
    #[schema(required)]
    pub saga_id: Option<Uuid>,
    /// The saga's step, when it can be made out.
    #[schema(required)]
    pub step: Option<String>,
    /// What was wrong with it the last time: stable, in `snake_case`.
    #[schema(example = "malformed_command")]
    pub code: String,
    /// The same for people.
    pub message: String,
    /// What it was: in lists its first 512 bytes, else its first 64 KiB. Bytes that are no UTF-8 are replaced.
    pub payload: String,
    /// How long it was.
    pub payload_bytes: usize,
    /// Whether it can be published again: not when it was no UTF-8.
    pub redrivable: bool,
    /// How often it was put aside.
    #[schema(minimum = 1)]
    pub times: u64,
    /// When it was first put aside.
    pub first_at: DateTime<Utc>,
    /// When it was last put aside.
    pub last_at: DateTime<Utc>,
    /// What was done with it, oldest first; the last 20.
    pub acts: Vec<DeadLetterActDocument>,
}

/// Where a dead letter stands.
#[derive(ToSchema, serde::Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[schema(as = DeadLetterStatus, rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterStatusDocument {
    /// It waits for a person.
    Dead,
    /// It was published again; should it fail again, it is dead again.
    Redriven,
    /// Somebody has settled it for good.
    Discarded,
}

/// One thing that was done with a dead letter.
#[derive(ToSchema)]
#[schema(as = DeadLetterAct)]
pub struct DeadLetterActDocument {
    /// Made of the Idempotency-Key, or new.
    pub operation_id: Uuid,
    /// What was done.
    pub verb: DeadLetterVerbDocument,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What operators do with dead letters.
#[derive(ToSchema)]
#[schema(as = DeadLetterVerb, rename_all = "snake_case")]
pub enum DeadLetterVerbDocument {
    /// Publish it again.
    Redrive,
    /// Settle it for good.
    Discard,
}

/// What was done with a dead letter; the same for every repeat of it.
#[derive(ToSchema)]
#[schema(as = DeadLetterActed)]
pub struct DeadLetterActedDocument {
    /// The context.
    pub context: String,
    /// The dead letter.
    pub id: String,
    /// Made of the Idempotency-Key, or new.
    pub operation_id: Uuid,
    /// What was done.
    pub verb: DeadLetterVerbDocument,
    /// When.
    pub at: DateTime<Utc>,
}
