//! What the gateway is started with.

use std::net::SocketAddr;
use std::time::Duration;

/// How the gateway is to behave. [`ApiSettings::new`] gives every bound a sensible value.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Longest time for one request, streams apart.
    pub request_timeout: Duration,
    /// How long a question to the orchestrator is repeated when nobody answers. Longer than it takes another orchestrator
    /// to take over.
    pub orchestrator_patience: Duration,
    /// How long a question to a context is repeated when nobody answers.
    pub context_patience: Duration,
    /// Largest body read, in bytes.
    pub body_bytes_max: usize,
    /// Most requests in work at once; more are told to come again.
    pub requests_max: usize,
    /// Most open saga streams at once.
    pub streams_max: usize,
    /// Most open connections at once; more wait to be accepted.
    pub connections_max: usize,
    /// How long requests in work may take to end once shutdown has begun.
    pub drain_timeout: Duration,
}

/// Longest request: both patiences and the work in between.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A killed orchestrator's sagas continue within 3 s; twice that leaves room for a busy machine.
const ORCHESTRATOR_PATIENCE: Duration = Duration::from_secs(6);

/// Rides over a worker's restart; longer would only keep clients from the truth.
const CONTEXT_PATIENCE: Duration = Duration::from_secs(3);

/// A saga's input at its largest, with room for the envelope around it.
const BODY_BYTES_MAX: usize = amends_schemas::limits::SAGA_INPUT_BYTES_MAX + 64 * 1024;

/// With bodies at their largest this is 320 MiB, and far above what the engine holds in flight.
const REQUESTS_MAX: usize = 1024;

/// Each stream holds a subscription and at most a few views.
const STREAMS_MAX: usize = 1024;

/// Below the usual 4096 open files with room for the rest of the process.
const CONNECTIONS_MAX: usize = 3072;

/// Kubernetes grants 30 s by default.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

impl ApiSettings {
    /// Sensible bounds, listening at `listen`.
    pub const fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            request_timeout: REQUEST_TIMEOUT,
            orchestrator_patience: ORCHESTRATOR_PATIENCE,
            context_patience: CONTEXT_PATIENCE,
            body_bytes_max: BODY_BYTES_MAX,
            requests_max: REQUESTS_MAX,
            streams_max: STREAMS_MAX,
            connections_max: CONNECTIONS_MAX,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}
