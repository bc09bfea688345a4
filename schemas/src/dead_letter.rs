//! Dead letters: messages that a context could not handle and has put aside, and what operators do with them.
//!
//! A context in any language may serve the four endpoints named here; those built with the SDK do.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::contract::ContractName;
use crate::ids::SagaId;

/// The endpoint that answers [`ListDeadLetters`] with a page of [`DeadLetter`]s, newest first.
pub const LIST: &str = "dead-letters";

/// The endpoint that answers [`DeadLetterRef`] with a [`DeadLetter`], its payload as long as is shown anywhere.
pub const SHOW: &str = "dead-letter";

/// The endpoint that answers [`ActOnDeadLetter`] with [`DeadLetterActed`], having published the message again.
pub const REDRIVE: &str = "redrive-dead-letter";

/// The endpoint that answers [`ActOnDeadLetter`] with [`DeadLetterActed`], having settled it for good.
pub const DISCARD: &str = "discard-dead-letter";

/// All of them; no context has others of these names.
pub const ENDPOINTS: [&str; 4] = [LIST, SHOW, REDRIVE, DISCARD];

/// The header of a message that was published again: `<context>/<dead letter's id>`. A context that is not named passes over the
/// message; the one that is named puts it back under the same id when it cannot handle it this time either.
pub const REDRIVEN_HEADER: &str = "Amends-Redriven";

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterStatus {
    /// It waits for a person.
    Dead,
    /// It was published again; should it fail again, it is dead again.
    Redriven,
    /// Somebody has settled it for good.
    Discarded,
}

impl DeadLetterStatus {
    /// All, in the order people list them.
    pub const ALL: [DeadLetterStatus; 3] =
        [DeadLetterStatus::Dead, DeadLetterStatus::Redriven, DeadLetterStatus::Discarded];

    /// As it stands in answers and queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadLetterStatus::Dead => "dead",
            DeadLetterStatus::Redriven => "redriven",
            DeadLetterStatus::Discarded => "discarded",
        }
    }
}

/// A message that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Unique within its context; the same for every delivery of the message, and when it is published again.
    pub id: String,
    /// Whose it is.
    pub context: String,
    /// Where it stands.
    pub status: DeadLetterStatus,
    /// Where it was published.
    pub subject: String,
    /// The contract, when it is a command.
    pub contract: Option<ContractName>,
    /// The saga, when it can be made out.
    pub saga_id: Option<SagaId>,
    /// The saga's step, when it can be made out.
    pub step: Option<String>,
    /// What was wrong with it the last time: stable, in `snake_case`.
    pub code: String,
    /// The same for people.
    pub message: String,
    /// What it was; in lists its first [`EXCERPT_BYTES_MAX`], else its first [`SHOWN_BYTES_MAX`]. Bytes that are no UTF-8 are replaced.
    pub payload: String,
    /// How long it was.
    pub payload_bytes: usize,
    /// Whether it can be published again: not when it was no UTF-8, for then it was no message of ours.
    pub redrivable: bool,
    /// How often it was put aside.
    pub times: u64,
    /// When it was first put aside.
    pub first_at: DateTime<Utc>,
    /// When it was last put aside.
    pub last_at: DateTime<Utc>,
    /// What was done with it, oldest first; the last [`ACTS_KEPT_MAX`].
    pub acts: Vec<DeadLetterAct>,
}

/// Most bytes of a payload in a list: a page of them fits one message.
pub const EXCERPT_BYTES_MAX: usize = 512;

/// Most bytes of a payload that are shown.
pub const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// Acts on one dead letter that are kept; nobody does this often what does not help.
pub const ACTS_KEPT_MAX: usize = 20;

/// One thing that was done with a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterAct {
    /// Chosen by the caller.
    pub operation_id: Uuid,
    /// What was done.
    pub verb: DeadLetterVerb,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What operators do with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterVerb {
    /// Publish it again.
    Redrive,
    /// Settle it for good.
    Discard,
}

impl DeadLetterVerb {
    /// As it stands in paths and sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadLetterVerb::Redrive => "redrive",
            DeadLetterVerb::Discard => "discard",
        }
    }

    /// The endpoint that does it.
    pub const fn endpoint(self) -> &'static str {
        match self {
            DeadLetterVerb::Redrive => REDRIVE,
            DeadLetterVerb::Discard => DISCARD,
        }
    }
}

/// Asks a context for a page of its dead letters, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListDeadLetters {
    /// Only these; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<DeadLetterStatus>,
    /// Where the last page ended; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many; bounded by [`crate::limits::PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Names a dead letter of the context that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterRef {
    /// Which.
    pub id: String,
}

/// Asks a context to do something with one of its dead letters. Sending it again under the same `operation_id` does nothing more and is
/// answered as the first time; with another content it is the conflict `operation_id_reused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActOnDeadLetter {
    /// Which.
    pub id: String,
    /// Chosen by the caller, so that asking twice is asking once.
    pub operation_id: Uuid,
    /// Who asks, for the record.
    #[serde(default)]
    pub by: String,
    /// Why, for the record; to discard one needs it.
    #[serde(default)]
    pub reason: String,
}

/// What was done with a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterActed {
    /// The context.
    pub context: String,
    /// The dead letter.
    pub id: String,
    /// From the request.
    pub operation_id: Uuid,
    /// What was done.
    pub verb: DeadLetterVerb,
    /// When.
    pub at: DateTime<Utc>,
}
