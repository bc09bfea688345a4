//! Who makes itself known through the NATS service API.

use std::time::Duration;

use amends_schemas::presence::ServicePing;
use amends_schemas::subjects::SERVICE_PING;
use async_nats::StatusCode;
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::Instant;

use crate::connection::describe;
use crate::{Nats, NatsError};

/// Most services heard in one look: far more than a deployment has processes, few enough to be kept.
pub const SERVICES_MAX: usize = 4096;

/// Largest answer to a ping that is read; names and contracts of one process are far below.
const PING_BYTES_MAX: usize = 64 * 1024;

impl Nats {
    /// Asks every service who it is and hears answers for as long as `window`. Services that answer later, or something else than a ping's
    /// answer, are not among them.
    ///
    /// # Errors
    /// [`NatsError::Unavailable`] when the connection did not stand all the time: then nobody can say who is not there.
    pub async fn services(&self, window: Duration) -> Result<Vec<ServicePing>, NatsError> {
        let unavailable = |error: &dyn std::error::Error| NatsError::Unavailable(describe(error));
        let connections = self.connections();
        let connected = *connections.borrow();
        if !self.is_connected() {
            return Err(NatsError::Unavailable("the connection does not stand".to_owned()));
        }
        let inbox = self.client().new_inbox();
        let mut answers = self.client().subscribe(inbox.clone()).await.map_err(|error| unavailable(&error))?;
        let asked = self.client().publish_with_reply(SERVICE_PING, inbox, Bytes::new()).await;
        asked.map_err(|error| unavailable(&error))?;
        let until = Instant::now() + window;
        match tokio::time::timeout_at(until, self.client().flush()).await {
            Ok(flushed) => flushed.map_err(|error| unavailable(&error))?,
            Err(_) => return Err(NatsError::Unavailable("the connection takes nothing".to_owned())),
        }
        let mut services = Vec::new();
        while services.len() < SERVICES_MAX
            && let Ok(Some(answer)) = tokio::time::timeout_at(until, answers.next()).await
        {
            if answer.status == Some(StatusCode::NO_RESPONDERS) {
                break;
            }
            if answer.payload.len() <= PING_BYTES_MAX
                && let Ok(service) = serde_json::from_slice(&answer.payload)
            {
                services.push(service);
            }
        }
        if *connections.borrow() != connected || !self.is_connected() {
            return Err(NatsError::Unavailable("the connection was lost meanwhile".to_owned()));
        }
        Ok(services)
    }
}
