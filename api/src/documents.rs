//! How answers read, for the OpenAPI document: twins of the wire types in `amends_schemas`, and the shape of what contexts
//! answer and the gateway passes on. Tests check real answers against them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// An amount in a currency. Never a float.
#[derive(ToSchema)]
#[schema(as = Money)]
pub struct MoneyDocument {
    /// A decimal number with the decimals of its currency.
    #[schema(example = "120.00")]
    pub amount: String,
    /// ISO 4217.
    #[schema(example = "EUR", min_length = 3, max_length = 3)]
    pub currency: String,
}

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

/// Where a saga stands. `completed` and `compensated` are final; `stuck` needs a person.
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
}

/// One step of a saga.
#[derive(ToSchema)]
#[schema(as = Step)]
pub struct StepDocument {
    /// Its name in the definition.
    pub name: String,
    /// The contract it calls.
    #[schema(example = "payment.capture@1")]
    pub call: String,
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

/// A code and a sentence.
#[derive(ToSchema)]
#[schema(as = StepError)]
pub struct StepErrorDocument {
    /// Stable, in `snake_case`.
    #[schema(example = "card_declined")]
    pub code: String,
    /// For people.
    pub message: String,
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

/// A page of a list.
#[derive(ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it as `cursor` for what follows; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A registration.
#[derive(ToSchema)]
#[schema(as = Registration)]
pub struct RegistrationDocument {
    /// Its id.
    pub registration_id: Uuid,
    /// The saga that carries it.
    pub saga_id: Uuid,
    /// The event.
    #[schema(required = false)]
    pub event_id: Option<Uuid>,
    /// Where it stands.
    pub status: RegistrationStatusDocument,
    /// The place in the queue of a waitlisted one, from one.
    #[schema(required = false, minimum = 1)]
    pub position: Option<u32>,
    /// The seat of a confirmed one, from one.
    #[schema(required = false, minimum = 1)]
    pub seat: Option<u32>,
    /// Why it was rejected.
    #[schema(required = false)]
    pub error: Option<StepErrorDocument>,
}

/// Where a registration stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RegistrationStatus)]
pub enum RegistrationStatusDocument {
    /// Being decided.
    Pending,
    /// In the queue.
    Waitlisted,
    /// A seat is offered, and held for a while.
    Offered,
    /// It stands.
    Confirmed,
    /// Somebody cancelled it.
    Cancelled,
    /// It came to nothing: a declined card, an event that closed.
    Rejected,
}

/// How many seats an event has left.
#[derive(ToSchema)]
#[schema(as = Availability)]
pub struct AvailabilityDocument {
    /// The event.
    pub event_id: Uuid,
}

/// One payment intent.
#[derive(ToSchema)]
#[schema(as = Payment)]
pub struct PaymentDocument {
    /// Its id.
    pub payment_id: Uuid,
    /// Where it stands.
    pub status: String,
    /// What was to be paid.
    pub amount: MoneyDocument,
    /// What was captured.
    pub captured: MoneyDocument,
    /// What was given back.
    pub refunded: MoneyDocument,
    /// What the gateway charged.
    pub charges: Vec<Value>,
}

/// An invoice or a credit note.
#[derive(ToSchema)]
#[schema(as = Invoice)]
pub struct InvoiceDocument {
    /// Its id.
    pub invoice_id: Uuid,
    /// Its number: gapless per seller, type and year.
    pub number: String,
}

/// A message to one person.
#[derive(ToSchema)]
#[schema(as = Notification)]
pub struct NotificationDocument {
    /// What became of it.
    pub status: String,
}
