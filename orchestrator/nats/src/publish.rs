//! Into JetStream, resolved by the acknowledgement.

use std::time::Duration;

use amends_schemas::limits::MESSAGE_BYTES_MAX;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::{HeaderMap, Request, RequestError, RequestErrorKind};
use bytes::Bytes;
use serde::Deserialize;

use crate::connection::{JETSTREAM_TIMEOUT, describe};
use crate::{Nats, NatsError};

/// Tries of one publication before its caller hears of it. With the acknowledgement's timeout this rides out a reconnect;
/// a longer outage is the caller's to wait for, with a backoff of its own.
pub const PUBLISH_ATTEMPTS: u32 = 3;

/// Wait between two tries.
const PUBLISH_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Room that headers may take of the message bound: message id, trace context and JetStream's own.
const HEADER_BYTES_MAX: usize = 4 * 1024;

impl Nats {
    /// Publishes into a stream and waits for the acknowledgement, so that an error cannot go unnoticed. Tries a few times
    /// (making missing streams anew on the way); the `message_id` keeps a repeat within the stream's duplicate window from
    /// being stored twice. Many may run at once; dropped before it resolves, it is unknown whether the message was stored.
    ///
    /// # Errors
    /// [`NatsError::TopologyMissing`] when no stream takes the subject, [`NatsError::Refused`] when the message is too
    /// large, [`NatsError::Unavailable`] for everything that may pass (no connection, a full work queue).
    pub async fn publish_acked(
        &self,
        subject: &str,
        message_id: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), NatsError> {
        let mut attempt = 1;
        loop {
            let error = match self.publish_once(subject, message_id, headers.clone(), payload.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if attempt == PUBLISH_ATTEMPTS {
                return Err(error);
            }
            match error {
                NatsError::Refused(_) => return Err(error),
                NatsError::Unavailable(_) => {}
                NatsError::TopologyMissing(_) => {
                    // Aside, so that every publication need not carry along what few of them need.
                    Box::pin(self.repair_streams()).await?;
                }
            }
            tokio::time::sleep(PUBLISH_RETRY_DELAY).await;
            attempt += 1;
        }
    }

    /// One try of [`Nats::publish_acked`], for callers that retry themselves.
    ///
    /// # Errors
    /// As [`Nats::publish_acked`].
    pub async fn publish_once(
        &self,
        subject: &str,
        message_id: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), NatsError> {
        if payload.len() + HEADER_BYTES_MAX > MESSAGE_BYTES_MAX {
            return Err(NatsError::Refused(format!("{} bytes are more than a message holds", payload.len())));
        }
        let mut headers = headers;
        headers.insert(NATS_MESSAGE_ID, message_id);
        // As `jetstream::Context::send_publish` does, which reads each acknowledgement as if it were an error first.
        let question = Request::new().payload(payload).headers(headers).timeout(None);
        // Also the handing over to the client, which takes no more than so much while it has no connection.
        let answer = tokio::time::timeout(JETSTREAM_TIMEOUT, self.client().send_request(subject.to_owned(), question));
        let answer = match answer.await {
            Ok(answer) => answer.map_err(|error| unanswered(&error))?,
            Err(_) => return Err(NatsError::Unavailable("no acknowledgement within its time".to_owned())),
        };
        match serde_json::from_slice(&answer.payload) {
            Ok(Acknowledgement { error: Some(error), .. }) => Err(not_stored(&error)),
            Ok(Acknowledgement { error: None, seq: Some(_) }) => Ok(()),
            Ok(_) | Err(_) => Err(NatsError::Unavailable("an answer that is no acknowledgement".to_owned())),
        }
    }
}

/// What a stream answers, as far as it matters here.
#[derive(Deserialize)]
struct Acknowledgement {
    error: Option<async_nats::jetstream::Error>,
    seq: Option<u64>,
}

fn unanswered(error: &RequestError) -> NatsError {
    let text = describe(error);
    match error.kind() {
        // No stream takes the subject.
        RequestErrorKind::NoResponders => NatsError::TopologyMissing(text),
        RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => NatsError::Refused(text),
        RequestErrorKind::TimedOut | RequestErrorKind::Other => NatsError::Unavailable(text),
    }
}

fn not_stored(error: &async_nats::jetstream::Error) -> NatsError {
    let text = error.to_string();
    match error.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            NatsError::Refused(text)
        }
        ErrorCode::STREAM_NOT_FOUND | ErrorCode::STREAM_NOT_MATCH => NatsError::TopologyMissing(text),
        // Full, no leader yet, storage trouble: nothing that a later try could not get past.
        _ => NatsError::Unavailable(text),
    }
}

/// The code of the JetStream error among the causes, if there is one. Most calls keep the server's answer in the kind of their error, not
/// among its sources.
pub(crate) fn jetstream_code(error: &(dyn std::error::Error + 'static)) -> Option<ErrorCode> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<async_nats::jetstream::Error>() {
            return Some(error.error_code());
        }
        if let Some(error) = inner.downcast_ref::<GetStreamError>()
            && let GetStreamErrorKind::JetStream(error) = error.kind()
        {
            return Some(error.error_code());
        }
        if let Some(error) = inner.downcast_ref::<CreateStreamError>() {
            match error.kind() {
                CreateStreamErrorKind::JetStream(error) => return Some(error.error_code()),
                CreateStreamErrorKind::NotFound => return Some(ErrorCode::STREAM_NOT_FOUND),
                _ => {}
            }
        }
        if let Some(error) = inner.downcast_ref::<ConsumerError>()
            && let ConsumerErrorKind::JetStream(error) = error.kind()
        {
            return Some(error.error_code());
        }
        cause = inner.source();
    }
    None
}
