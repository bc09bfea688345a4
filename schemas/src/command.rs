//! What the orchestrator asks of a worker, and what the worker answers.
//!
//! A [`Command`] travels through a JetStream work queue; a [`Reply`] is a NATS request to the partition's owner. The
//! worker acknowledges the command only after the owner has answered that the reply is committed: the unacknowledged
//! command *is* the durability of the reply.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::ContractName;
use crate::ids::SagaId;

/// What is asked of a step contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Do the step.
    Do,
    /// Make amends for it. Undoing what never happened succeeds, and bars a late `do` of the same key.
    Undo,
    /// Say, without changing the outside world, whether the `do` has happened.
    Probe,
}

impl Operation {
    /// As it stands in subjects, keys and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Do => "do",
            Operation::Undo => "undo",
            Operation::Probe => "probe",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The idempotency key of a step: `saga/step/do` or `saga/step/undo`, the same for every attempt. A probe asks about
/// the `do` key. A step that an operator has done anew has a key of its own for each `round` after the first:
/// `saga/step~1/do`.
pub fn idempotency_key(saga_id: SagaId, step: &str, round: u32, operation: Operation) -> String {
    let operation = match operation {
        Operation::Do | Operation::Probe => "do",
        Operation::Undo => "undo",
    };
    match round {
        0 => format!("{saga_id}/{step}/{operation}"),
        round => format!("{saga_id}/{step}~{round}/{operation}"),
    }
}

/// Why a saga compensates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompensationReason {
    /// A step failed.
    Failed,
    /// Somebody cancelled.
    Cancelled,
    /// The saga's deadline passed.
    Deadline,
}

impl CompensationReason {
    /// As it stands in answers and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            CompensationReason::Failed => "failed",
            CompensationReason::Cancelled => "cancelled",
            CompensationReason::Deadline => "deadline",
        }
    }
}

/// One attempt at one operation of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The saga it belongs to.
    pub saga_id: SagaId,
    /// `name@version` of the saga's definition.
    pub definition: String,
    /// The step's name within the definition.
    pub step: String,
    /// The contract to fulfil.
    pub contract: ContractName,
    /// What to do.
    pub operation: Operation,
    /// Which try this is, counted from one for each operation.
    pub attempt: u32,
    /// The idempotency key (see [`idempotency_key`]); for a probe the key that is asked about.
    pub key: String,
    /// The input of `do`; the same for its undo and probe.
    pub input: Value,
    /// For an undo: what `do` returned, when it is known to have happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// For an undo: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CompensationReason>,
    /// Where the [`Reply`] goes, as a NATS request.
    pub reply_to: String,
    /// When the orchestrator gives up on this attempt and treats it as unknown.
    pub expires_at: DateTime<Utc>,
}

impl Command {
    /// How often the step has been done anew, as its key says; `None` when the key is not that of the saga, step and operation.
    pub fn round(&self) -> Option<u32> {
        let rest = self.key.strip_prefix(&format!("{}/{}", self.saga_id, self.step))?;
        let (round, _) = rest.split_once('/')?;
        let round = match round.strip_prefix('~') {
            Some(round) => round.parse().ok()?,
            None => 0,
        };
        (self.key == idempotency_key(self.saga_id, &self.step, round, self.operation)).then_some(round)
    }

    /// The key of an operation of the same step and round.
    pub fn key_of(&self, operation: Operation) -> String {
        idempotency_key(self.saga_id, &self.step, self.round().unwrap_or_default(), operation)
    }
}

/// Code of a step that answered with more than [`STEP_OUTPUT_BYTES_MAX`](crate::limits::STEP_OUTPUT_BYTES_MAX) bytes of output: what it did is
/// done, but its answer is not kept, and under the same key it can only answer the same.
pub const OUTPUT_TOO_LARGE: &str = "output_too_large";

/// A code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// Stable, in `snake_case`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl StepError {
    /// An error with a bounded message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: crate::problem::cut(message.into()) }
    }
}

/// How an attempt ended, as the worker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum StepResult {
    /// It happened (a do, a probe that found it done) or was undone (an undo).
    Succeeded {
        /// One of the contract's outcomes, when it declares any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<String>,
        /// What it returned.
        #[serde(default)]
        output: Value,
    },
    /// It did not and will not happen; nothing is left behind.
    Failed {
        /// Why.
        error: StepError,
    },
    /// It did not happen, and is worth another try.
    Retry {
        /// Why not now.
        error: StepError,
        /// Not before this many milliseconds; none leaves it to the definition's backoff.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
    /// Nobody can say yet: an answer was lost, or the outside world is still deciding.
    Unknown {
        /// What is in doubt.
        error: StepError,
    },
    /// Only of a probe: no trace of it under this key.
    NotHappened,
}

/// The answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// From the command.
    pub saga_id: SagaId,
    /// From the command.
    pub step: String,
    /// From the command.
    pub operation: Operation,
    /// From the command.
    pub attempt: u32,
    /// How it ended.
    pub result: StepResult,
}

/// The owner's answer to a [`Reply`]: it is in the journal (or was already, or the saga no longer cares). On any
/// other answer the worker keeps the command and answers again later.
pub const REPLY_COMMITTED: &[u8] = b"+OK";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_reads_as_any_language_would_write_it() {
        let reply: Reply = serde_json::from_str(
            r#"{"saga_id":"0193a1de-7d41-7cc1-9b5e-0242ac120002","step":"pay","operation":"do","attempt":1,
                "result":{"status":"failed","error":{"code":"card_declined","message":"The card was declined."}}}"#,
        )
        .expect("valid");
        assert!(matches!(reply.result, StepResult::Failed { ref error } if error.code == "card_declined"));
        let bare: StepResult = serde_json::from_str(r#"{"status":"succeeded"}"#).expect("valid");
        assert_eq!(bare, StepResult::Succeeded { outcome: None, output: Value::Null });
    }

    #[test]
    fn a_probe_asks_about_the_do() {
        let saga_id: SagaId = "0193a1de-7d41-7cc1-9b5e-0242ac120002".parse().expect("uuid");
        let key = |round, operation| idempotency_key(saga_id, "pay", round, operation);
        assert_eq!(key(0, Operation::Probe), key(0, Operation::Do));
        assert_ne!(key(0, Operation::Undo), key(0, Operation::Do));
        assert_eq!(key(2, Operation::Undo), format!("{saga_id}/pay~2/undo"));
    }

    #[test]
    fn a_command_says_its_round_by_its_key() {
        let saga_id: SagaId = "0193a1de-7d41-7cc1-9b5e-0242ac120002".parse().expect("uuid");
        let command = |key: String| Command {
            saga_id,
            definition: "a@1".to_owned(),
            step: "pay".to_owned(),
            contract: "payment.capture@1".parse().expect("a contract"),
            operation: Operation::Undo,
            attempt: 1,
            key,
            input: Value::Null,
            output: None,
            reason: None,
            reply_to: "here".to_owned(),
            expires_at: DateTime::UNIX_EPOCH,
        };
        for round in [0, 1, 12] {
            let command = command(idempotency_key(saga_id, "pay", round, Operation::Undo));
            assert_eq!(command.round(), Some(round));
            assert_eq!(command.key_of(Operation::Do), idempotency_key(saga_id, "pay", round, Operation::Do));
        }
        for wrong in
            ["pay/do", "pay~0/undo", "pay~01/undo", "pay~/undo", "pay~+1/undo", "pays/undo", "pay", "pay/undo/"]
        {
            assert_eq!(command(format!("{saga_id}/{wrong}")).round(), None, "{wrong}");
        }
    }
}
