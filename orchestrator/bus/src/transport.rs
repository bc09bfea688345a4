//! Commands and changes, published; what sagas want of others, asked.

use std::time::Duration;

use amends_engine::PeerAsk;
use amends_engine::ports::{Transport, TransportError};
use amends_nats::{Nats, NatsError, trace};
use amends_schemas::command::Command;
use amends_schemas::ids::PartitionId;
use amends_schemas::problem::{Answer, Problem};
use amends_schemas::saga::SagaView;
use amends_schemas::subjects::{self, PartitionVerb};
use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Request};
use async_trait::async_trait;
use serde::de::IgnoredAny;

/// How long the owner of another partition may take to answer before it is asked again.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// The engine's transport over one connection.
#[derive(Debug, Clone)]
pub struct NatsTransport {
    nats: Nats,
}

impl NatsTransport {
    /// Over this connection; best one of its own, so that large commands do not hold up answers.
    pub const fn new(nats: Nats) -> Self {
        Self { nats }
    }
}

#[async_trait]
impl Transport for NatsTransport {
    async fn publish_command(
        &self,
        command: &Command,
        dispatch: &str,
        traceparent: Option<&str>,
    ) -> Result<(), TransportError> {
        let payload =
            serde_json::to_vec(command).map_err(|error| TransportError::Refused(format!("not JSON: {error}")))?;
        let message_id =
            subjects::command_message_id(command.saga_id, &command.step, command.operation, command.attempt, dispatch);
        let published = self
            .nats
            .publish_acked(&subjects::command(&command.contract), &message_id, headers(traceparent), payload.into())
            .await;
        published.map_err(|error| match error {
            NatsError::Refused(_) => TransportError::Refused(error.to_string()),
            NatsError::Unavailable(_) | NatsError::TopologyMissing(_) => TransportError::Unavailable(error.to_string()),
        })
    }

    async fn ask_partition(
        &self,
        partition: PartitionId,
        ask: &PeerAsk,
        traceparent: Option<&str>,
    ) -> Result<Result<(), Problem>, TransportError> {
        let (verb, payload) = match ask {
            PeerAsk::Start(request) => (PartitionVerb::Start, serde_json::to_vec(request)),
            PeerAsk::Cancel(request) => (PartitionVerb::Cancel, serde_json::to_vec(request)),
            PeerAsk::ChildEnded(told) => (PartitionVerb::ChildEnded, serde_json::to_vec(told)),
        };
        let payload = payload.map_err(|error| TransportError::Refused(format!("not JSON: {error}")))?;
        let question = Request::new().payload(payload.into()).headers(headers(traceparent)).timeout(Some(ASK_TIMEOUT));
        let subject = subjects::partition(partition, verb);
        let answer = self.nats.client().send_request(subject, question).await.map_err(|error| match error.kind() {
            RequestErrorKind::MaxPayloadExceeded => TransportError::Refused(error.to_string()),
            RequestErrorKind::NoResponders
            | RequestErrorKind::TimedOut
            | RequestErrorKind::InvalidSubject
            | RequestErrorKind::Other => TransportError::Unavailable(error.to_string()),
        })?;
        // What it says beyond yes or no is for others.
        let answer: Answer<IgnoredAny> = serde_json::from_slice(&answer.payload)
            .map_err(|error| TransportError::Unavailable(format!("an answer that cannot be read: {error}")))?;
        Ok(Result::from(answer).map(|_| ()))
    }

    async fn publish_change(&self, view: &SagaView) {
        let Ok(payload) = serde_json::to_vec(view) else { return };
        if let Err(error) = self.nats.client().publish(subjects::saga_changes(view.saga_id), payload.into()).await {
            tracing::debug!(saga.id = %view.saga_id, %error, "a change cannot be published");
        }
    }

    fn reply_to(&self, partition: PartitionId) -> String {
        subjects::partition(partition, PartitionVerb::Reply)
    }
}

fn headers(traceparent: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    trace::with_traceparent(&mut headers, traceparent);
    headers
}
