//! One step as it stands.

use amends_schemas::command::{Operation, StepError};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::children::ChildrenState;

/// One step as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// Where it stands.
    pub phase: Phase,
    /// Attempts of each operation so far.
    pub attempts: Attempts,
    /// How many attempts of its `do` ended in a clean retry: these alone spend its budget, doubts have their own.
    pub retries: u32,
    /// Attempts that no longer count: those before an operator renewed the budget.
    #[serde(default)]
    pub renewed: Attempts,
    /// How often it was done anew, under another idempotency key.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round: u32,
    /// Attempts of earlier rounds: answers to them say nothing about this one.
    #[serde(default, skip_serializing_if = "Attempts::is_none")]
    pub earlier: Attempts,
    /// The input that an operator has given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Its children, once it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Box<ChildrenState>>,
    /// How it succeeded.
    pub outcome: Option<String>,
    /// What it returned.
    pub output: Option<Value>,
    /// The last error.
    pub error: Option<Box<StepError>>,
    /// When it was first dispatched.
    pub started_at: Option<DateTime<Utc>>,
    /// When it succeeded, failed or was undone.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Attempts so far, of each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// Of `do`.
    pub r#do: u32,
    /// Of `undo`.
    pub undo: u32,
    /// Of `probe`.
    pub probe: u32,
}

impl Attempts {
    const fn is_none(&self) -> bool {
        self.r#do == 0 && self.undo == 0 && self.probe == 0
    }

    /// Attempts of one operation.
    pub const fn of(&self, operation: Operation) -> u32 {
        match operation {
            Operation::Do => self.r#do,
            Operation::Undo => self.undo,
            Operation::Probe => self.probe,
        }
    }
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its turn has not come.
    Pending,
    /// Its condition did not hold.
    Skipped,
    /// Waiting for its turn: its contract's limit may be reached.
    Queued {
        /// What will be asked.
        operation: Operation,
        /// Whether it is unknown whether the `do` happened.
        in_doubt: bool,
    },
    /// Waiting for its signal or its time.
    Waiting {
        /// When the wait ends; a signal without a timeout has none.
        until: Option<DateTime<Utc>>,
    },
    /// Its children are at work (`do`) or being cancelled (`undo`).
    Children {
        /// Which of the two.
        operation: Operation,
    },
    /// Its children ended before all had completed, and some had: what they did is to be undone.
    Interrupted,
    /// With a worker.
    InFlight {
        /// What was asked.
        operation: Operation,
        /// When it counts as unknown.
        timeout_at: DateTime<Utc>,
        /// Whether it is unknown whether an earlier `do` happened.
        in_doubt: bool,
    },
    /// Waiting for the next attempt.
    BackingOff {
        /// What will be tried.
        operation: Operation,
        /// Not before.
        until: DateTime<Utc>,
        /// Whether it is unknown whether the `do` happened.
        in_doubt: bool,
    },
    /// It happened.
    Succeeded,
    /// It cleanly did not.
    Failed,
    /// Its amends are made.
    Undone,
    /// It is left as it is.
    Waived,
    /// A person must decide.
    Stuck {
        /// What was being tried.
        operation: Operation,
        /// Whether it is unknown whether the `do` happened.
        in_doubt: bool,
    },
}

impl StepState {
    /// A step whose turn has not come.
    pub const fn pending() -> Self {
        Self {
            phase: Phase::Pending,
            attempts: Attempts { r#do: 0, undo: 0, probe: 0 },
            retries: 0,
            renewed: Attempts { r#do: 0, undo: 0, probe: 0 },
            round: 0,
            earlier: Attempts { r#do: 0, undo: 0, probe: 0 },
            input: None,
            children: None,
            outcome: None,
            output: None,
            error: None,
            started_at: None,
            ended_at: None,
        }
    }

    /// Attempts of one operation since its budget was last renewed.
    pub const fn spent(&self, operation: Operation) -> u32 {
        self.attempts.of(operation).saturating_sub(self.renewed.of(operation))
    }
}

const fn is_zero(round: &u32) -> bool {
    *round == 0
}

impl Phase {
    /// Whether it is under way or stuck: something is to come of it.
    pub const fn is_open(&self) -> bool {
        match self {
            Phase::Queued { .. }
            | Phase::Waiting { .. }
            | Phase::Children { .. }
            | Phase::InFlight { .. }
            | Phase::BackingOff { .. }
            | Phase::Stuck { .. } => true,
            Phase::Pending
            | Phase::Skipped
            | Phase::Interrupted
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived => false,
        }
    }

    /// As it stands in sentences.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Skipped => "skipped",
            Phase::Queued { .. } => "waiting for its turn",
            Phase::Waiting { .. } => "waiting",
            Phase::Children { operation: Operation::Undo } => "cancelling its children",
            Phase::Children { operation: Operation::Do | Operation::Probe } => "waiting for its children",
            Phase::Interrupted => "interrupted",
            Phase::InFlight { in_doubt: false, .. } => "in flight",
            Phase::InFlight { in_doubt: true, .. } => "in flight, in doubt",
            Phase::BackingOff { in_doubt: false, .. } => "backing off",
            Phase::BackingOff { in_doubt: true, .. } => "backing off, in doubt",
            Phase::Succeeded => "succeeded",
            Phase::Failed => "failed",
            Phase::Undone => "undone",
            Phase::Waived => "left as it is",
            Phase::Stuck { in_doubt: false, .. } => "stuck",
            Phase::Stuck { in_doubt: true, .. } => "stuck in doubt",
        }
    }
}
