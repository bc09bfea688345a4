//! Children, parents and signals: twins of the wire types in `amends_schemas::{family, signal}`.

use chrono::{DateTime, Utc};
use utoipa::ToSchema;
use uuid::Uuid;

use super::StepErrorDocument;

/// Where a saga's end is waited for.
#[derive(ToSchema)]
#[schema(as = Parent)]
pub struct ParentDocument {
    /// The saga that waits.
    pub saga_id: Uuid,
    /// Its step.
    pub step: String,
    /// Which of the step's children, from zero.
    #[schema(minimum = 0)]
    pub child: u32,
    /// `do`: the child itself; `undo`: the saga that cancels a child forward.
    #[schema(example = "do")]
    pub operation: String,
}

/// How the children of a step stand.
#[derive(ToSchema)]
#[schema(as = Children)]
pub struct ChildrenDocument {
    /// How many there are.
    #[schema(minimum = 0)]
    pub total: u32,
    /// Not started yet.
    #[schema(minimum = 0)]
    pub waiting: u32,
    /// At work, or being cancelled.
    #[schema(minimum = 0)]
    pub running: u32,
    /// Came to their ends well.
    #[schema(minimum = 0)]
    pub completed: u32,
    /// Came to their ends without having happened.
    #[schema(minimum = 0)]
    pub failed: u32,
    /// Ended by hand, as they stood: what they have done stands, and a person has to say how they ended; left out when there are none.
    #[schema(minimum = 0, required = false)]
    pub in_doubt: Option<u32>,
    /// Completed, and cancelled since.
    #[schema(minimum = 0)]
    pub undone: u32,
    /// Some of those at work; at most 20.
    pub at_work: Vec<ChildDocument>,
    /// The first that failed or are in doubt; at most 20.
    pub failures: Vec<ChildFailureDocument>,
}

/// A child.
#[derive(ToSchema)]
#[schema(as = Child)]
pub struct ChildDocument {
    /// Which, from zero.
    #[schema(minimum = 0)]
    pub child: u32,
    /// Its id.
    pub saga_id: Uuid,
}

/// A child that did not complete.
#[derive(ToSchema)]
#[schema(as = ChildFailure)]
pub struct ChildFailureDocument {
    /// Which, from zero.
    #[schema(minimum = 0)]
    pub child: u32,
    /// Its id.
    pub saga_id: Uuid,
    /// Why.
    pub error: StepErrorDocument,
}

/// What became of a signal; the same for every repeat of it.
#[derive(ToSchema)]
#[schema(as = SignalReceipt)]
pub struct SignalReceiptDocument {
    /// The saga.
    pub saga_id: Uuid,
    /// Its name.
    pub signal: String,
    /// Made of the Idempotency-Key, or new; it stands in the history.
    pub signal_id: Uuid,
    /// What it did.
    pub effect: SignalEffectDocument,
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// The place in the saga's history where it stands, from one.
    #[schema(minimum = 1)]
    pub sequence: u64,
}

/// What a signal did.
#[derive(ToSchema)]
#[schema(as = SignalEffect, rename_all = "snake_case")]
pub enum SignalEffectDocument {
    /// A step waited for it and goes on.
    Taken,
    /// It came before its step, which will find it.
    Kept,
}
