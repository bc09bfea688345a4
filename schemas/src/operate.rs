//! What operators do with one saga by hand, and what a cancel would do.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::command::StepError;
use crate::contract::ContractName;
use crate::ids::SagaId;
use crate::saga::SagaStatus;

/// Asks a partition's owner to do something with a saga by hand. Sending it again under the same `operation_id` changes nothing
/// and is answered as the first time; with another content it is the conflict `operation_id_reused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperateSaga {
    /// Which.
    pub saga_id: SagaId,
    /// Chosen by the caller, so that asking twice is asking once.
    pub operation_id: Uuid,
    /// Who asks, for the record.
    #[serde(default)]
    pub by: String,
    /// Why, for the record.
    #[serde(default)]
    pub reason: String,
    /// What is to be done.
    pub act: OperatorAct,
}

/// What an operator does with a saga. A step that is not named is the one the saga waits at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum OperatorAct {
    /// Dispatch nothing more until it is resumed. Answers to what is in flight are taken; timers wait.
    Pause,
    /// Go on where it was.
    Resume,
    /// The next attempt of a step that backs off or is stuck, now, with a new budget.
    Retry {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
    },
    /// Go back to a step and go on from there: what has succeeded from it on is undone where it can be, and all of it is done again, under
    /// new idempotency keys. Needs a reason.
    RetryFrom {
        /// Which; not within a `parallel`.
        step: String,
    },
    /// Give a step that cleanly failed another input; the next attempt, under a new idempotency key, takes it. Needs a reason.
    EditInput {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        /// The whole input; checked against the contract.
        input: Value,
    },
    /// Pass over a step that cleanly failed behind the pivot, or leave a step as it is whose undo does not work. Needs a reason.
    Skip {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
    },
    /// Say how a step in doubt, or a stuck one, really ended. Needs a reason.
    Resolve {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        /// How.
        resolution: Resolution,
    },
    /// End it as it stands, without amends. Its children are sagas of their own and go on. Needs a reason.
    Terminate {
        /// Must be true: nobody does this by mistake.
        #[serde(default)]
        force: bool,
    },
}

/// How a step really ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum Resolution {
    /// It happened; where its undo is stuck, it is undone.
    Succeeded {
        /// One of the contract's outcomes, when it declares any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<String>,
        /// What it returned; checked against the contract.
        #[serde(default)]
        output: Value,
    },
    /// It did not happen and will not.
    Failed {
        /// Why; unless given, that an operator said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<StepError>,
    },
}

/// The name of an [`OperatorAct`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorVerb {
    /// See [`OperatorAct::Pause`].
    Pause,
    /// See [`OperatorAct::Resume`].
    Resume,
    /// See [`OperatorAct::Retry`].
    Retry,
    /// See [`OperatorAct::RetryFrom`].
    RetryFrom,
    /// See [`OperatorAct::EditInput`].
    EditInput,
    /// See [`OperatorAct::Skip`].
    Skip,
    /// See [`OperatorAct::Resolve`].
    Resolve,
    /// See [`OperatorAct::Terminate`].
    Terminate,
}

impl OperatorVerb {
    /// As it stands in paths and sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            OperatorVerb::Pause => "pause",
            OperatorVerb::Resume => "resume",
            OperatorVerb::Retry => "retry",
            OperatorVerb::RetryFrom => "retry-from",
            OperatorVerb::EditInput => "edit-input",
            OperatorVerb::Skip => "skip",
            OperatorVerb::Resolve => "resolve",
            OperatorVerb::Terminate => "terminate",
        }
    }
}

impl OperatorAct {
    /// Its name.
    pub const fn verb(&self) -> OperatorVerb {
        match self {
            OperatorAct::Pause => OperatorVerb::Pause,
            OperatorAct::Resume => OperatorVerb::Resume,
            OperatorAct::Retry { .. } => OperatorVerb::Retry,
            OperatorAct::RetryFrom { .. } => OperatorVerb::RetryFrom,
            OperatorAct::EditInput { .. } => OperatorVerb::EditInput,
            OperatorAct::Skip { .. } => OperatorVerb::Skip,
            OperatorAct::Resolve { .. } => OperatorVerb::Resolve,
            OperatorAct::Terminate { .. } => OperatorVerb::Terminate,
        }
    }
}

/// What an operator's act did. The same for every repeat of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operated {
    /// The saga.
    pub saga_id: SagaId,
    /// From the request.
    pub operation_id: Uuid,
    /// From the request.
    pub verb: OperatorVerb,
    /// The step it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// The place in the saga's history where it stands, from one.
    pub sequence: u64,
    /// Of a saga that was terminated: how many of its children are at work or being cancelled. They are sagas of their own and go on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub children_left: u32,
}

const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What a cancel would do now: which steps it would undo, in which order and with what, and what it could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompensationPreview {
    /// The saga.
    pub saga_id: SagaId,
    /// Where it stands.
    pub status: SagaStatus,
    /// Whether it is paused: then nothing of this happens before it is resumed.
    pub paused: bool,
    /// On which side of its point of no return it is.
    pub pivot: PivotSide,
    /// What a cancel would do now.
    pub cancel: CancelPreview,
    /// What would be undone or waived, in this order; those with the same `order` at the same time.
    pub steps: Vec<UndoPreview>,
    /// What has happened and cannot be undone by this saga, in the order in which it happened.
    pub irreversible: Vec<String>,
    /// All of it in one sentence.
    pub summary: String,
}

/// On which side of its point of no return a saga is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PivotSide {
    /// It has not succeeded: the saga can turn back.
    Before,
    /// It is with the workers, or nobody knows whether it happened: how it ends decides.
    Undecided,
    /// It has succeeded: the saga only goes forward.
    After,
}

/// What a cancel would do now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum CancelPreview {
    /// Make amends at once.
    Compensate,
    /// First wait for the answer of a step that is with the workers, or for the ends of its children, of which those at work are cancelled and
    /// no more are started; then make amends, or go forward if it was the pivot and succeeds.
    AwaitStep {
        /// Which.
        step: String,
    },
    /// First find out whether a step happened, then as above.
    SettleDoubt {
        /// Which.
        step: String,
    },
    /// Start the definition's forward cancellation: at once when this saga is completed, or as soon as it is.
    Forward {
        /// The saga that would cancel.
        forward_saga_id: SagaId,
        /// Its definition.
        definition: String,
        /// Its input.
        input: Value,
        /// Whether it would start at once.
        now: bool,
    },
    /// Nothing: it has been cancelled already, or amends are being made or have been made.
    Already,
    /// Nothing: it would be refused.
    Refused {
        /// With this code.
        code: String,
    },
}

/// One step that a cancel would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoPreview {
    /// Which.
    pub step: String,
    /// Its contract, when it calls one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<ContractName>,
    /// What would be done with it.
    pub action: UndoAction,
    /// When, from one: those with the same number are undone at the same time, each branch of a `parallel` backwards without waiting for
    /// the others. Zero when whoever answers does not say.
    #[serde(default)]
    pub order: u32,
    /// Whether that depends on how the step ends: it is with the workers, or in doubt.
    pub if_it_happened: bool,
    /// The undo's input: that of the step.
    pub input: Value,
    /// What the step returned, which its undo is given, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it is waived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What would be done with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoAction {
    /// Its contract's undo.
    Undo,
    /// Its children that completed are cancelled, the last first.
    CancelChildren,
    /// Nothing: its definition says why.
    Waive,
    /// Nothing can be: it is the point of no return.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_reads_as_any_language_would_write_it() {
        let request: OperateSaga = serde_json::from_str(
            r#"{"saga_id":"0193a1de-7d41-7cc1-9b5e-0242ac120002","operation_id":"0193a1de-7d41-7cc1-9b5e-0242ac120003",
                "by":"ann","reason":"seen in the ledger",
                "act":{"verb":"resolve","step":"pay","resolution":{"as":"succeeded","output":{"payment_id":"p"}}}}"#,
        )
        .expect("valid");
        assert_eq!(request.act.verb(), OperatorVerb::Resolve);
        let pause: OperatorAct = serde_json::from_str(r#"{"verb":"pause"}"#).expect("valid");
        assert_eq!(pause, OperatorAct::Pause);
        let terminate: OperatorAct = serde_json::from_str(r#"{"verb":"terminate"}"#).expect("valid");
        assert_eq!(terminate, OperatorAct::Terminate { force: false });
    }
}
