//! Requests with typed answers.

use std::time::Duration;

use amends_schemas::limits::MESSAGE_BYTES_MAX;
use amends_schemas::problem::{Answer, Problem, ProblemKind};
use async_nats::Request;
use async_nats::client::RequestErrorKind;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::describe;
use crate::{Nats, trace};

impl Nats {
    /// Sends `question` as JSON, with the current trace context, and reads an `Answer<A>`.
    ///
    /// # Errors
    /// The answered problem; `ProblemKind::Unavailable` with code `no_responders` or `request_timeout` when nobody answers
    /// (in the second case it is unknown whether it was done); `ProblemKind::TooLarge` beyond the message bound.
    pub async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        subject: String,
        question: &Q,
        timeout: Duration,
    ) -> Result<A, Problem> {
        let payload = serde_json::to_vec(question)
            .map_err(|error| Problem::internal("question_not_encodable", error.to_string()))?;
        if payload.len() > MESSAGE_BYTES_MAX {
            return Err(too_large(payload.len()));
        }
        let size = payload.len();
        let request = Request::new().payload(payload.into()).headers(trace::current()).timeout(Some(timeout));
        let message =
            self.client().send_request(subject.clone(), request).await.map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => {
                    Problem::unavailable("no_responders", format!("nobody answers on {subject} at the moment"))
                }
                RequestErrorKind::TimedOut => {
                    Problem::unavailable("request_timeout", format!("no answer on {subject} within {timeout:?}"))
                }
                RequestErrorKind::MaxPayloadExceeded => too_large(size),
                RequestErrorKind::InvalidSubject => Problem::internal("subject_invalid", describe(&error)),
                RequestErrorKind::Other => Problem::unavailable("nats_unavailable", describe(&error)),
            })?;
        let answer: Answer<A> = serde_json::from_slice(&message.payload).map_err(|error| {
            Problem::internal("answer_unreadable", format!("the answer on {subject} cannot be read: {error}"))
        })?;
        answer.into()
    }
}

fn too_large(size: usize) -> Problem {
    Problem::new(
        ProblemKind::TooLarge,
        "message_too_large",
        format!("the message has {size} bytes; at most {MESSAGE_BYTES_MAX} can be sent"),
    )
}
