//! Signals: what a saga may wait for from outside, such as an approval or an answer to an offer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::ids::SagaId;

/// Gives a signal to a saga. The first signal of a name counts. The same `signal_id` again is answered as the first time, with
/// another content it is the conflict `signal_id_reused`; another signal of a name that has been given is `signal_already_given`; one that comes
/// after its step has ended otherwise is `signal_too_late`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalSaga {
    /// To whom.
    pub saga_id: SagaId,
    /// Its name, as an `await` of the definition says it.
    pub signal: String,
    /// Chosen by the caller, so that giving it twice is giving it once.
    pub signal_id: Uuid,
    /// One of the outcomes that the `await` declares, when it declares any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What comes with it; checked against the schema of the `await`.
    #[serde(default)]
    pub data: Value,
    /// Who gives it, for the record.
    #[serde(default)]
    pub by: String,
}

/// What became of a signal. The same for every repeat of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalReceipt {
    /// The saga.
    pub saga_id: SagaId,
    /// From the request.
    pub signal: String,
    /// From the request.
    pub signal_id: Uuid,
    /// What it did.
    pub effect: SignalEffect,
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// The place in the saga's history where it stands, from one.
    pub sequence: u64,
}

/// What a signal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalEffect {
    /// A step waited for it and goes on.
    Taken,
    /// It came before its step, which will find it.
    Kept,
}
