//! Messages that cannot be read are recorded for people, then taken out of the stream.

use std::time::Duration;

use async_nats::jetstream::Message;
use chrono::Utc;

use super::pull::Ending;
use crate::inbox::{self, DEAD_LETTER_BYTES_MAX, DeadLetter};
use crate::scope::Scope;

/// How long a message stays away that could not be recorded.
const RECORD_AGAIN: Duration = Duration::from_secs(2);

/// Records it. Only what is recorded is taken out of the stream.
pub(super) async fn bury(scope: &Scope, message: &Message, code: &str, reason: &str) -> Ending {
    // Of one message in one life of the stream; a stream made anew counts from one again, but not at the same time.
    let id = match message.info() {
        Ok(info) => format!("{}/{}/{}", info.stream, info.stream_sequence, info.published.unix_timestamp_nanos()),
        Err(_) => uuid::Uuid::now_v7().to_string(),
    };
    let payload = &message.payload;
    let letter = DeadLetter {
        id,
        subject: message.subject.to_string(),
        code: code.to_owned(),
        message: amends_schemas::problem::cut(reason.to_owned()),
        payload: String::from_utf8_lossy(&payload[..payload.len().min(DEAD_LETTER_BYTES_MAX)]).into_owned(),
        payload_bytes: payload.len(),
        at_ms: Utc::now().timestamp_millis(),
    };
    tracing::error!(
        code,
        reason,
        subject = letter.subject,
        dead_letter = letter.id,
        bytes = letter.payload_bytes,
        "a message cannot be handled; it is kept as a dead letter"
    );
    match inbox::record_dead_letter(&scope.database, &letter).await {
        Ok(()) => Ending::Term,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the dead letter could not be recorded");
            Ending::Nak(RECORD_AGAIN)
        }
    }
}
