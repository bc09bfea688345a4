//! An operator's verb over every saga that a filter finds.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{BulkId, SagaId};
use crate::limits::REASON_BYTES_MAX;
use crate::operate::OperatorAct;
use crate::search::{SagaCount, SagaFilter};

/// Longest reason of a bulk operation, in bytes: each saga's history holds it together with the operation's id, within
/// [`REASON_BYTES_MAX`].
pub const BULK_REASON_BYTES_MAX: usize = REASON_BYTES_MAX - 64;

/// Sagas operated in a second unless asked otherwise: a small part of what an orchestrator does, so that new sagas hardly notice.
pub const BULK_PER_SECOND_DEFAULT: u32 = 100;

/// Most sagas operated in a second.
pub const BULK_PER_SECOND_MAX: u32 = 500;

/// Refused sagas that an operation names; further ones are only counted.
pub const BULK_EXAMPLES_MAX: usize = 100;

/// Changes by hand that an operation remembers.
pub const BULK_CHANGES_MAX: usize = 100;

/// Asks any orchestrator to begin. Sending it again with the same id and content is answered with the operation as it stands; with
/// another content it is the conflict `bulk_exists`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartBulk {
    /// Chosen by the caller, so that asking twice is asking once.
    pub bulk_id: BulkId,
    /// What is to be done.
    #[serde(flatten)]
    pub act: BulkAct,
    /// To which sagas. At least one criterion.
    pub filter: SagaFilter,
    /// Who asks, for the record.
    pub by: String,
    /// Why, for the record. Must be given.
    pub reason: String,
    /// Most sagas operated in a second.
    pub per_second: u32,
}

/// What is done to each saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BulkAct {
    /// One of the verbs for a single saga.
    Operate(OperatorAct),
    /// Cancel it.
    Cancel(CancelAct),
}

/// The verb that is not an operator's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum CancelAct {
    /// Make amends, or start the saga that cancels.
    Cancel {},
}

impl BulkAct {
    /// Its name.
    pub const fn verb(&self) -> &'static str {
        match self {
            BulkAct::Operate(act) => act.verb().as_str(),
            BulkAct::Cancel(CancelAct::Cancel {}) => "cancel",
        }
    }
}

/// Names a bulk operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkRef {
    /// Which.
    pub bulk_id: BulkId,
}

/// Asks any orchestrator for a page of bulk operations, the latest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListBulk {
    /// Where the last page ended; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many; bounded by [`crate::limits::PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Asks any orchestrator to change how a bulk operation goes on. Asking for what is so already changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlBulk {
    /// Which.
    pub bulk_id: BulkId,
    /// What.
    pub verb: BulkVerb,
    /// Who asks, for the record.
    #[serde(default)]
    pub by: String,
    /// Why, for the record.
    #[serde(default)]
    pub reason: String,
}

/// What people do with a bulk operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkVerb {
    /// Operate no further saga until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// End it where it is. What is done stays done.
    Cancel,
}

impl BulkVerb {
    /// As it stands in paths and sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            BulkVerb::Pause => "pause",
            BulkVerb::Resume => "resume",
            BulkVerb::Cancel => "cancel",
        }
    }
}

/// Where a bulk operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkStatus {
    /// Going through its sagas.
    Running,
    /// Somebody has paused it.
    Paused,
    /// Every saga that was found has been operated or has refused.
    Done,
    /// Somebody has ended it.
    Cancelled,
}

impl BulkStatus {
    /// As it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            BulkStatus::Running => "running",
            BulkStatus::Paused => "paused",
            BulkStatus::Done => "done",
            BulkStatus::Cancelled => "cancelled",
        }
    }
}

/// A bulk operation, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkOperation {
    /// Its id.
    pub bulk_id: BulkId,
    /// What is done.
    #[serde(flatten)]
    pub act: BulkAct,
    /// To which sagas: those that the filter finds among the ones accepted before it was created.
    pub filter: SagaFilter,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Most sagas operated in a second.
    pub per_second: u32,
    /// Where it stands.
    pub status: BulkStatus,
    /// How many the filter found when it was created.
    pub matched: SagaCount,
    /// So many have been operated, each of them once.
    pub done: u64,
    /// So many have refused, being elsewhere by then.
    pub refused: u64,
    /// Why, by code.
    pub refusals: Vec<RefusalCount>,
    /// The first of them; at most [`BULK_EXAMPLES_MAX`].
    pub examples: Vec<Refusal>,
    /// What people have done with it, oldest first; the last [`BULK_CHANGES_MAX`].
    pub changes: Vec<BulkChange>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// How many sagas refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCount {
    /// The reason's code, such as `illegal_here`.
    pub code: String,
    /// How many.
    pub count: u64,
}

/// A saga that refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which.
    pub saga_id: SagaId,
    /// The reason's code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A change by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkChange {
    /// What.
    pub verb: BulkVerb,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl BulkId {
    /// The id of what this operation does to one saga: always the same, so that doing it again after a crash changes nothing.
    pub fn operation_id(self, saga_id: SagaId) -> Uuid {
        Uuid::new_v5(&self.0, saga_id.to_string().as_bytes())
    }

    /// Why, as it stands in the history of each saga.
    pub fn reason(self, reason: &str) -> String {
        format!("{reason} (bulk operation {self})")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn acts_read_as_those_for_one_saga() {
        for (json, verb) in [
            (json!({"verb": "pause"}), "pause"),
            (json!({"verb": "retry", "step": "pay"}), "retry"),
            (json!({"verb": "cancel"}), "cancel"),
            (json!({"verb": "terminate", "force": true}), "terminate"),
        ] {
            let act: BulkAct = serde_json::from_value(json.clone()).expect("valid");
            assert_eq!((act.verb(), serde_json::to_value(&act).expect("json")), (verb, json));
        }
        assert!(serde_json::from_value::<BulkAct>(json!({"verb": "delete"})).is_err());
    }

    #[test]
    fn what_is_done_to_a_saga_has_one_id_for_ever() {
        let id = |text: &str| text.parse::<Uuid>().expect("a uuid");
        let bulk = BulkId(id("0193a1de-7d41-7cc1-9b5e-0242ac120002"));
        let saga = SagaId(id("0193a1de-7d41-7cc1-9b5e-0242ac120003"));
        assert_eq!(bulk.operation_id(saga), bulk.operation_id(saga));
        assert_ne!(bulk.operation_id(saga), BulkId(saga.0).operation_id(saga));
        assert!(bulk.reason(&"x".repeat(BULK_REASON_BYTES_MAX)).len() <= REASON_BYTES_MAX);
    }
}
