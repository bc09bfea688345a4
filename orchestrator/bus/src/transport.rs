//! Commands, forward cancellations and changes, published.

use std::time::Duration;

use amends_engine::ports::{Transport, TransportError};
use amends_nats::{Nats, NatsError, trace};
use amends_schemas::command::Command;
use amends_schemas::ids::PartitionId;
use amends_schemas::problem::{Answer, Problem, ProblemKind};
use amends_schemas::saga::{SagaView, StartSaga};
use amends_schemas::subjects::{self, PartitionVerb};
use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Request};
use async_trait::async_trait;

/// How long the owner of another partition may take to accept a forward cancellation before it is asked again.
const START_TIMEOUT: Duration = Duration::from_secs(5);

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

    async fn start_saga(
        &self,
        partition: PartitionId,
        request: &StartSaga,
        traceparent: Option<&str>,
    ) -> Result<Result<SagaView, Problem>, TransportError> {
        let payload =
            serde_json::to_vec(request).map_err(|error| TransportError::Refused(format!("not JSON: {error}")))?;
        let question =
            Request::new().payload(payload.into()).headers(headers(traceparent)).timeout(Some(START_TIMEOUT));
        let subject = subjects::partition(partition, PartitionVerb::Start);
        let answer = self.nats.client().send_request(subject, question).await.map_err(|error| match error.kind() {
            RequestErrorKind::MaxPayloadExceeded => TransportError::Refused(error.to_string()),
            RequestErrorKind::NoResponders
            | RequestErrorKind::TimedOut
            | RequestErrorKind::InvalidSubject
            | RequestErrorKind::Other => TransportError::Unavailable(error.to_string()),
        });
        let answer = match answer {
            Ok(answer) => answer,
            // It will be refused for ever: tell the saga so.
            Err(TransportError::Refused(reason)) => {
                return Ok(Err(Problem::new(ProblemKind::TooLarge, "message_too_large", reason)));
            }
            Err(error @ TransportError::Unavailable(_)) => return Err(error),
        };
        let answer: Answer<SagaView> = serde_json::from_slice(&answer.payload)
            .map_err(|error| TransportError::Unavailable(format!("an answer that cannot be read: {error}")))?;
        Ok(answer.into())
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
