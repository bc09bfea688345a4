//! Operators' verbs: twins of the wire types in `amends_schemas::operate`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::SagaStatusDocument;

/// What an operator's act did; the same for every repeat of it.
#[derive(ToSchema)]
#[schema(as = Operated)]
pub struct OperatedDocument {
    /// The saga.
    pub saga_id: Uuid,
    /// Made of the Idempotency-Key, or new; it stands in the history.
    pub operation_id: Uuid,
    /// What was done.
    pub verb: OperatorVerbDocument,
    /// The step it was done to.
    #[schema(required = false)]
    pub step: Option<String>,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// The place in the saga's history where it stands, from one.
    #[schema(minimum = 1)]
    pub sequence: u64,
    /// Of a saga that was terminated: how many of its children are at work or being cancelled. They are sagas of their own and go on. Left out when
    /// there are none.
    #[schema(minimum = 0, required = false)]
    pub children_left: Option<u32>,
}

/// What operators do with a saga.
#[derive(ToSchema)]
#[schema(as = OperatorVerb, rename_all = "snake_case")]
pub enum OperatorVerbDocument {
    /// Dispatch nothing more.
    Pause,
    /// Go on.
    Resume,
    /// Try now.
    Retry,
    /// Go back to a step.
    RetryFrom,
    /// Another input.
    EditInput,
    /// Pass over.
    Skip,
    /// Say how it ended.
    Resolve,
    /// End without amends.
    Terminate,
}

/// What a cancel would do now.
#[derive(ToSchema)]
#[schema(as = CompensationPreview)]
pub struct CompensationPreviewDocument {
    /// The saga.
    pub saga_id: Uuid,
    /// Where it stands.
    pub status: SagaStatusDocument,
    /// Whether it is paused: then nothing of this happens before it is resumed.
    pub paused: bool,
    /// On which side of its point of no return it is: `undecided` while nobody knows yet whether that has succeeded.
    pub pivot: PivotSideDocument,
    /// What a cancel would do now.
    pub cancel: CancelPreviewDocument,
    /// What would be undone or waived, in this order; those with the same `order` at the same time.
    pub steps: Vec<UndoPreviewDocument>,
    /// What has happened and cannot be undone by this saga.
    pub irreversible: Vec<String>,
    /// All of it in one sentence.
    pub summary: String,
}

/// On which side of its point of no return a saga is.
#[derive(ToSchema)]
#[schema(as = PivotSide, rename_all = "snake_case")]
pub enum PivotSideDocument {
    /// The saga can turn back.
    Before,
    /// How the point of no return ends decides.
    Undecided,
    /// The saga only goes forward.
    After,
}

/// What a cancel would do now.
#[derive(ToSchema)]
#[schema(as = CancelPreview)]
pub struct CancelPreviewDocument {
    /// `compensate`: make amends at once. `await_step`: first wait for a step that is with the workers, or whose children are at work: those are
    /// cancelled and no more are started. `settle_doubt`: first find out whether a step happened. `forward`: start the saga that cancels this
    /// one. `already`: it has been cancelled already, or amends are or have been made.
    /// `refused`: with `code`.
    pub effect: CancelEffectDocument,
    /// With `await_step` and `settle_doubt`: which step.
    #[schema(required = false)]
    pub step: Option<String>,
    /// With `forward`: the saga that would cancel.
    #[schema(required = false)]
    pub forward_saga_id: Option<Uuid>,
    /// With `forward`: its definition.
    #[schema(required = false)]
    pub definition: Option<String>,
    /// With `forward`: its input.
    #[schema(required = false)]
    pub input: Option<Value>,
    /// With `forward`: whether it would start at once, or when this saga is completed.
    #[schema(required = false)]
    pub now: Option<bool>,
    /// With `refused`: why.
    #[schema(required = false)]
    pub code: Option<String>,
}

/// What a cancel would do.
#[derive(ToSchema)]
#[schema(as = CancelEffect, rename_all = "snake_case")]
pub enum CancelEffectDocument {
    /// Make amends at once.
    Compensate,
    /// First wait for a step.
    AwaitStep,
    /// First settle a doubt.
    SettleDoubt,
    /// Start another saga.
    Forward,
    /// Nothing: it is being done, or is done.
    Already,
    /// Nothing: it would be refused.
    Refused,
}

/// One step that a cancel would come to.
#[derive(ToSchema)]
#[schema(as = UndoPreview)]
pub struct UndoPreviewDocument {
    /// Which.
    pub step: String,
    /// Its contract, when it calls one.
    #[schema(example = "registration.reserve@1", required = false)]
    pub call: Option<String>,
    /// What would be done with it.
    pub action: UndoActionDocument,
    /// When, from one: those with the same number are undone at the same time, each branch of a `parallel` backwards without waiting for the
    /// others.
    #[schema(minimum = 1)]
    pub order: u32,
    /// Whether that depends on how the step ends: it is with the workers, or in doubt.
    pub if_it_happened: bool,
    /// The undo's input: that of the step.
    pub input: Value,
    /// What the step returned, which its undo is given, too.
    #[schema(required = false)]
    pub output: Option<Value>,
    /// Why it is waived.
    #[schema(required = false)]
    pub reason: Option<String>,
}

/// What would be done with a step.
#[derive(ToSchema)]
#[schema(as = UndoAction, rename_all = "snake_case")]
pub enum UndoActionDocument {
    /// Its contract's undo.
    Undo,
    /// Its children that completed are cancelled, the last first.
    CancelChildren,
    /// Nothing: its definition says why.
    Waive,
    /// Nothing can be: it is the point of no return.
    None,
}
