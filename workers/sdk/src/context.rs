//! A bounded context: what it serves, and the running of it.

use amends_database::Database;
use amends_nats::Nats;
use amends_schemas::contract::ContractRegistry;
use tokio_util::sync::CancellationToken;

use crate::background::Background;
use crate::endpoint::Endpoint;
use crate::step::Step;
use crate::subscriber::Subscriber;

/// How a context's worker runs.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Commands of one contract handled at once by this process.
    pub concurrency: usize,
    /// How long running handlers may finish after shutdown is asked.
    pub drain: std::time::Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { concurrency: 64, drain: std::time::Duration::from_secs(10) }
    }
}

/// Why a context cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A step names a contract that is not in the registry, or lacks what it promises.
    #[error("{0}")]
    Contract(String),
    /// Its database.
    #[error("the database of context {context} failed")]
    Database {
        /// Which context.
        context: &'static str,
        /// Why.
        source: amends_database::DatabaseError,
    },
    /// NATS.
    #[error("NATS failed")]
    Nats(#[from] amends_nats::NatsError),
}

/// A bounded context being put together, then run.
pub struct BoundedContext {
    name: &'static str,
}

impl BoundedContext {
    /// An empty context. `schema` is its SurrealQL (`DEFINE TABLE … IF NOT EXISTS` and so on), run at every start.
    pub fn new(_name: &'static str, _schema: &'static str) -> Self {
        unimplemented!()
    }

    /// Serves a step contract.
    #[must_use]
    pub fn step<S: Step>(self, _step: S) -> Self {
        unimplemented!()
    }

    /// Serves a query or an operation.
    #[must_use]
    pub fn endpoint<E: Endpoint>(self, _endpoint: E) -> Self {
        unimplemented!()
    }

    /// Listens to a domain event.
    #[must_use]
    pub fn subscriber<S: Subscriber>(self, _subscriber: S) -> Self {
        unimplemented!()
    }

    /// Does something from time to time.
    #[must_use]
    pub fn background<B: Background>(self, _background: B) -> Self {
        unimplemented!()
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs until `shutdown`, then drains: pulls no more, lets handlers finish within the bound, gives the rest back.
    ///
    /// # Errors
    /// [`WorkerError`] when it cannot start; trouble while running is waited out.
    pub async fn run(
        self,
        _nats: Nats,
        _database: Database,
        _contracts: &ContractRegistry,
        _settings: WorkerSettings,
        _shutdown: CancellationToken,
    ) -> Result<(), WorkerError> {
        unimplemented!()
    }
}
