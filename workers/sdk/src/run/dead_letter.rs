//! Messages that cannot be handled are put aside for people, then taken out of the stream.

use std::time::Duration;

use amends_schemas::dead_letter::REDRIVEN_HEADER;
use amends_schemas::ids::SagaId;
use amends_schemas::topology::contract_of_subject;
use async_nats::jetstream::Message;
use chrono::Utc;

use super::pull::Ending;
use crate::dead_letters::{self, Burial};
use crate::scope::Scope;

/// How long a message stays away that could not be recorded.
const RECORD_AGAIN: Duration = Duration::from_secs(2);

/// Why a message is put aside.
pub(super) struct Cause<'a> {
    /// Stable, in `snake_case`.
    pub(super) code: &'static str,
    /// For people; no values of the message.
    pub(super) reason: String,
    /// The saga and its step, when they can be made out.
    pub(super) about: Option<(SagaId, &'a str)>,
}

/// A message that has been put aside, or shall come again because that did not work.
pub(super) enum Buried {
    /// Under this id. It may be taken out of the stream.
    Recorded(String),
    /// It must not be taken out of the stream yet.
    NotNow(Ending),
}

/// Records it. Only what is recorded may be taken out of the stream.
pub(super) async fn bury(scope: &Scope, message: &Message, cause: Cause<'_>) -> Buried {
    let payload = &message.payload;
    let burial = Burial {
        id: redriven(scope, message).unwrap_or_else(|| id(message)),
        subject: message.subject.to_string(),
        saga_id: cause.about.map(|(saga_id, _)| saga_id),
        step: cause.about.map(|(_, step)| step.to_owned()),
        code: cause.code.to_owned(),
        message: amends_schemas::problem::cut(cause.reason),
        payload: String::from_utf8_lossy(payload).into_owned(),
        payload_bytes: payload.len(),
        whole: std::str::from_utf8(payload).is_ok(),
        traceparent: scope.traceparent.as_deref().map(str::to_owned),
        at_ms: Utc::now().timestamp_millis(),
    };
    tracing::error!(
        code = burial.code,
        reason = burial.message,
        subject = burial.subject,
        dead_letter = burial.id,
        bytes = burial.payload_bytes,
        "a message cannot be handled; it is kept as a dead letter"
    );
    match dead_letters::record(&scope.database, &burial).await {
        Ok(()) => Buried::Recorded(burial.id),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the dead letter could not be recorded");
            Buried::NotNow(Ending::Nak(RECORD_AGAIN))
        }
    }
}

impl Buried {
    /// How the message ends when nobody need be told.
    pub(super) fn ending(self) -> Ending {
        match self {
            Buried::Recorded(_) => Ending::Term,
            Buried::NotNow(ending) => ending,
        }
    }
}

/// Of one message in one life of its stream; a stream made anew counts from one again, but not at the same time. Sorts by time.
pub(super) fn id(message: &Message) -> String {
    let kind = if contract_of_subject(&message.subject).is_some() { "command" } else { "event" };
    match message.info() {
        Ok(info) => {
            let nanos = u64::try_from(info.published.unix_timestamp_nanos()).unwrap_or_default();
            format!("{nanos:016x}-{}-{kind}", info.stream_sequence)
        }
        Err(_) => format!("{:016x}-{}-{kind}", Utc::now().timestamp_micros() * 1000, uuid::Uuid::now_v7().simple()),
    }
}

/// The dead letter that this message is, when it is one that was published again for this context.
fn redriven(scope: &Scope, message: &Message) -> Option<String> {
    let (context, id) = redriven_for(message)?;
    (context == scope.context).then(|| id.to_owned())
}

/// Whose dead letter this message is, and which.
pub(super) fn redriven_for(message: &Message) -> Option<(&str, &str)> {
    message.headers.as_ref()?.get(REDRIVEN_HEADER)?.as_str().split_once('/')
}
