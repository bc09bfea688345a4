//! Notices that a stream was lost, makes it again, with the consumers of its commands, and has everything in flight dispatched again.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_nats::{Nats, NatsError};
use amends_schemas::contract::ContractName;
use amends_schemas::topology::{COMMANDS, STREAMS};
use tokio::sync::watch;

/// How often the streams are looked at. A lost one costs its commands this much at most, and one look costs two small
/// requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// Wait before a look that failed is tried again: a server that was just started takes a moment for JetStream.
const RETRY: Duration = Duration::from_millis(200);

/// Watches the streams of one orchestrator.
pub struct StreamMonitor {
    nats: Nats,
    connections: watch::Receiver<u64>,
    /// The life of the command stream that everything in flight was published into.
    known: Option<String>,
    /// The contracts whose commands are to have a consumer.
    contracts: BTreeSet<ContractName>,
}

impl StreamMonitor {
    /// Makes the streams, and the consumers of these contracts, be there and remembers which life of theirs it is.
    ///
    /// # Errors
    /// [`NatsError`].
    pub async fn new(nats: Nats, contracts: BTreeSet<ContractName>) -> Result<Self, NatsError> {
        nats.ensure_command_consumers(&contracts).await?;
        let known = nats.stream_incarnation(&COMMANDS).await?;
        Ok(Self { connections: nats.connections(), nats, known, contracts })
    }

    /// Looks for ever, at once after each reconnect, and calls `lost` when the command stream has begun another life.
    pub async fn run(mut self, lost: impl Fn() + Send) {
        let mut wait = INTERVAL;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = self.connections.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            wait = match self.look().await {
                Ok(false) => INTERVAL,
                Ok(true) => {
                    lost();
                    INTERVAL
                }
                Err(error) => {
                    tracing::debug!(%error, "the streams cannot be looked at");
                    RETRY
                }
            };
        }
    }

    /// Whether the command stream is another one than before. Missing streams are made.
    async fn look(&mut self) -> Result<bool, NatsError> {
        for spec in STREAMS {
            if self.nats.stream_incarnation(spec).await?.is_none() {
                tracing::warn!(stream = spec.name, "a stream is gone; making it again");
                self.nats.ensure_streams().await?;
            }
        }
        let Some(now) = self.nats.stream_incarnation(&COMMANDS).await? else { return Ok(false) };
        if self.known.as_ref() == Some(&now) {
            return Ok(false);
        }
        self.nats.ensure_command_consumers(&self.contracts).await?;
        tracing::warn!(stream = COMMANDS.name, "the command stream is a new one: what it held is published again");
        self.known = Some(now);
        Ok(true)
    }
}
