//! One connection to NATS.

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
    pub async fn connect(_settings: &NatsSettings, _patience: std::time::Duration) -> Result<Self, NatsError> {
        unimplemented!()
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
}
