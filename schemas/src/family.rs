//! Sagas that start sagas: who waits for whom, and how a child's end is told.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::{Operation, StepError};
use crate::ids::SagaId;
use crate::saga::SagaStatus;

/// Where a saga's end is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentLink {
    /// The saga that waits.
    pub saga_id: SagaId,
    /// Its step.
    pub step: String,
    /// Which of the step's children, from zero.
    pub child: u32,
    /// `do`: the child itself; `undo`: the saga that cancels a child forward.
    pub operation: Operation,
}

/// Tells a parent that a child, or the saga that cancels one forward, has come to its end. Told again until it is answered; a
/// parent that no longer waits for it answers all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildEnded {
    /// Where it is waited for.
    pub parent: ParentLink,
    /// The saga that ended.
    pub saga_id: SagaId,
    /// How: a final status.
    pub status: SagaStatus,
    /// What it came to, when it completed.
    #[serde(default)]
    pub output: Value,
    /// Why not, when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
}

/// How the children of a step stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildrenView {
    /// How many there are.
    pub total: u32,
    /// Not started yet.
    pub waiting: u32,
    /// At work, or being cancelled.
    pub running: u32,
    /// Came to their ends well.
    pub completed: u32,
    /// Came to their ends without having happened.
    pub failed: u32,
    /// Ended by hand, as they stood: what they have done stands, and a person has to say how they ended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_doubt: u32,
    /// Completed, and cancelled since.
    pub undone: u32,
    /// Some of those at work; at most [`CHILDREN_SHOWN_MAX`].
    pub at_work: Vec<ChildRef>,
    /// The first that failed or are in doubt; at most [`CHILDREN_SHOWN_MAX`].
    pub failures: Vec<ChildFailure>,
}

/// Children that are named one by one.
pub const CHILDREN_SHOWN_MAX: usize = 20;

const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRef {
    /// Which, from zero.
    pub child: u32,
    /// Its id.
    pub saga_id: SagaId,
}

/// A child that did not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildFailure {
    /// Which, from zero.
    pub child: u32,
    /// Its id.
    pub saga_id: SagaId,
    /// Why.
    pub error: StepError,
}
