//! One connection to NATS.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// Longest wait between two attempts to reconnect. Short: a restarted server is to be used at once, and attempts against
/// a closed port cost nothing.
const RECONNECT_DELAY_MAX: Duration = Duration::from_millis(250);

/// Added to the wait with each failed attempt.
const RECONNECT_DELAY_STEP: Duration = Duration::from_millis(25);

/// Wait between attempts to connect for the first time.
const CONNECT_DELAY: Duration = Duration::from_millis(100);

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A dead peer is noticed within two of these.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long a JetStream publication takes at most, from handing it to the client to its acknowledgement, and the JetStream API for an
/// answer. A message written into a connection that was just lost is sent again after it; a healthy server answers within milliseconds.
pub(crate) const JETSTREAM_TIMEOUT: Duration = Duration::from_secs(2);

/// How to reach NATS.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// `nats://host:port`, several separated by commas.
    pub url: String,
    /// How this connection is called on the server.
    pub name: String,
    /// A credentials file, if the server wants one.
    pub credentials: Option<std::path::PathBuf>,
    /// Copies of each stream: one on a single node, three on a cluster.
    pub replicas: usize,
}

/// A connection. Cheap to clone; reconnects by itself for ever.
#[derive(Debug, Clone)]
pub struct Nats {
    client: async_nats::Client,
    jetstream: async_nats::jetstream::Context,
    replicas: usize,
    connections: watch::Receiver<u64>,
    /// When the topology was last ensured by [`Nats::repair_streams`], so that many in trouble at once ask once.
    pub(crate) last_repair: Arc<Mutex<Option<Instant>>>,
}

/// Why NATS did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NatsError {
    /// Not reachable, or no answer in time: try later.
    #[error("NATS cannot be reached: {0}")]
    Unavailable(String),
    /// A stream or consumer is missing: make the topology so again.
    #[error("the JetStream topology is not there: {0}")]
    TopologyMissing(String),
    /// It refuses for good.
    #[error("NATS refuses: {0}")]
    Refused(String),
}

impl Nats {
    /// Connects, waiting as long as it takes until the first connection stands, bounded by `patience`.
    ///
    /// # Errors
    /// [`NatsError::Unavailable`] when patience runs out, [`NatsError::Refused`] for bad credentials or a bad URL.
    pub async fn connect(settings: &NatsSettings, patience: Duration) -> Result<Self, NatsError> {
        let deadline = Instant::now() + patience;
        let (connected, connections) = watch::channel(0);
        let connected = Arc::new(connected);
        let mut told = false;
        loop {
            let options = options(settings, &connected).await?;
            let urls: Vec<&str> = settings.url.split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
            let error = match options.connect(urls).await {
                Ok(client) => return Ok(Self::of(client, settings.replicas, connections)),
                Err(error) => error,
            };
            match error.kind() {
                ConnectErrorKind::ServerParse
                | ConnectErrorKind::Authentication
                | ConnectErrorKind::AuthorizationViolation
                | ConnectErrorKind::Tls => return Err(NatsError::Refused(describe(&error))),
                ConnectErrorKind::Dns
                | ConnectErrorKind::TimedOut
                | ConnectErrorKind::Io
                | ConnectErrorKind::MaxReconnects => {
                    if Instant::now() + CONNECT_DELAY > deadline {
                        return Err(NatsError::Unavailable(describe(&error)));
                    }
                    if !told {
                        told = true;
                        let (connection, reason) = (&settings.name, describe(&error));
                        // The URL stays out: it may carry a password.
                        tracing::warn!(connection, reason, "NATS does not answer yet; trying on");
                    }
                    tokio::time::sleep(CONNECT_DELAY).await;
                }
            }
        }
    }

    fn of(client: async_nats::Client, replicas: usize, connections: watch::Receiver<u64>) -> Self {
        let jetstream =
            async_nats::jetstream::context::ContextBuilder::new().timeout(JETSTREAM_TIMEOUT).build(client.clone());
        Self { client, jetstream, replicas, connections, last_repair: Arc::default() }
    }

    /// The core client.
    pub const fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// The JetStream context.
    pub const fn jetstream(&self) -> &async_nats::jetstream::Context {
        &self.jetstream
    }

    /// Copies of each stream.
    pub const fn replicas(&self) -> usize {
        self.replicas
    }

    /// Whether the connection stands at this moment.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Counts the times this connection came to stand: when it changes, the server may be another one, and what it held
    /// may be gone.
    pub fn connections(&self) -> watch::Receiver<u64> {
        self.connections.clone()
    }
}

async fn options(settings: &NatsSettings, connected: &Arc<watch::Sender<u64>>) -> Result<ConnectOptions, NatsError> {
    let options = match &settings.credentials {
        Some(path) => ConnectOptions::with_credentials_file(path)
            .await
            .map_err(|error| NatsError::Refused(format!("credentials file {}: {error}", path.display())))?,
        None => ConnectOptions::new(),
    };
    let name = settings.name.clone();
    let connected = Arc::clone(connected);
    Ok(options
        .name(&settings.name)
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| {
            let step = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
            RECONNECT_DELAY_STEP.saturating_mul(step).min(RECONNECT_DELAY_MAX)
        })
        .event_callback(move |event| {
            if matches!(event, Event::Connected) {
                connected.send_modify(|count| *count += 1);
            }
            log(&name, &event);
            std::future::ready(())
        }))
}

/// The only place where denied subjects and slow consumers become visible: the calls themselves just time out.
fn log(connection: &str, event: &Event) {
    match event {
        Event::Connected => tracing::info!(connection, "connected to NATS"),
        Event::Disconnected => tracing::warn!(connection, "the connection to NATS is lost; reconnecting"),
        Event::LameDuckMode => tracing::warn!(connection, "the NATS server is about to shut down"),
        Event::Draining | Event::Closed => tracing::debug!(connection, %event, "leaving NATS"),
        Event::SlowConsumer(subscription) => {
            tracing::error!(connection, subscription, "messages were dropped: a subscription reads too slowly");
        }
        Event::ServerError(error) => tracing::error!(connection, %error, "the NATS server refuses something"),
        Event::ClientError(error) => tracing::debug!(connection, %error, "the NATS client reports an error"),
    }
}

/// An error with its causes in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
