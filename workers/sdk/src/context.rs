//! A bounded context: what it serves, and the running of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use amends_database::{Database, ErrorKind};
use amends_nats::Nats;
use amends_schemas::contract::ContractRegistry;
use tokio_util::sync::CancellationToken;

use crate::background::{Background, BackgroundRunner, RunBackground};
use crate::endpoint::Endpoint;
use crate::inbox::Inbox;
use crate::locks::KeyedLocks;
use crate::relay::RelayHandle;
use crate::scope::Scope;
use crate::serve::{
    CONFLICT_ATTEMPTS_MAX, EndpointServer, ServeEndpoint, ServeStep, ServeSubscriber, StepServer, SubscriberServer,
    pause_after_conflict,
};
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
    /// A step names a contract that is not in the registry or belongs to another context, or something is served twice.
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
    schema: &'static str,
    steps: Vec<StepMaker>,
    endpoints: Vec<Arc<dyn ServeEndpoint>>,
    subscribers: Vec<Arc<dyn ServeSubscriber>>,
    backgrounds: Vec<Arc<dyn RunBackground>>,
}

/// Makes a step's server once the contracts are known.
type StepMaker = Box<dyn FnOnce(&str, &ContractRegistry) -> Result<Arc<dyn ServeStep>, WorkerError> + Send>;

impl BoundedContext {
    /// An empty context. `schema` is its SurrealQL (`DEFINE TABLE … IF NOT EXISTS` and so on), run at every start. The tables `inbox`,
    /// `dead_letter`, `outbox`, `outbox_pending` and `outbox_relay` are the SDK's own.
    pub fn new(name: &'static str, schema: &'static str) -> Self {
        Self { name, schema, steps: vec![], endpoints: vec![], subscribers: vec![], backgrounds: vec![] }
    }

    /// Serves a step contract.
    #[must_use]
    pub fn step<S: Step>(mut self, step: S) -> Self {
        self.steps.push(Box::new(|context, contracts| Ok(Arc::new(StepServer::new(step, context, contracts)?))));
        self
    }

    /// Serves a query or an operation. Those of `amends_schemas::dead_letter::ENDPOINTS` are the SDK's own.
    #[must_use]
    pub fn endpoint<E: Endpoint>(mut self, endpoint: E) -> Self {
        self.endpoints.push(Arc::new(EndpointServer(endpoint)));
        self
    }

    /// Listens to a domain event.
    #[must_use]
    pub fn subscriber<S: Subscriber>(mut self, subscriber: S) -> Self {
        self.subscribers.push(Arc::new(SubscriberServer(subscriber)));
        self
    }

    /// Does something from time to time.
    #[must_use]
    pub fn background<B: Background>(mut self, background: B) -> Self {
        self.backgrounds.push(Arc::new(BackgroundRunner(background)));
        self
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs until `shutdown`, then drains: pulls no more, lets handlers finish within the bound, gives the rest back. NATS may be away,
    /// and its streams may not exist, at any time.
    ///
    /// # Errors
    /// [`WorkerError`] when it cannot start; trouble while running is waited out.
    pub async fn run(
        self,
        nats: Nats,
        database: Database,
        contracts: &ContractRegistry,
        settings: WorkerSettings,
        shutdown: CancellationToken,
    ) -> Result<(), WorkerError> {
        let (relay, committed) = crate::relay::channel();
        let prepared = self.prepare(database, contracts, relay).await?;
        crate::run::run(prepared, nats, committed, settings, shutdown).await
    }

    /// Checks what it is made of and defines its tables.
    pub(crate) async fn prepare(
        self,
        database: Database,
        contracts: &ContractRegistry,
        relay: RelayHandle,
    ) -> Result<Prepared, WorkerError> {
        let steps = self.steps.into_iter().map(|make| make(self.name, contracts)).collect::<Result<Vec<_>, _>>()?;
        only_once(self.name, "step", steps.iter().map(|step| step.contract().to_string()))?;
        let own = amends_schemas::dead_letter::ENDPOINTS.into_iter();
        let endpoints = self.endpoints.iter().map(|endpoint| endpoint.name()).chain(own);
        only_once(self.name, "endpoint", endpoints.map(str::to_owned))?;
        only_once(self.name, "subscriber", self.subscribers.iter().map(|s| s.event_type().to_owned()))?;
        only_once(self.name, "background work", self.backgrounds.iter().map(|b| b.name().to_owned()))?;
        for schema in [crate::inbox::SCHEMA, crate::dead_letters::SCHEMA, crate::outbox::SCHEMA, self.schema] {
            // Several workers of one context may start at once and define the same things.
            let mut attempt = 0;
            while let Err(source) = database.query(schema, ()).await {
                attempt += 1;
                if source.kind() != ErrorKind::Conflict || attempt == CONFLICT_ATTEMPTS_MAX {
                    return Err(WorkerError::Database { context: self.name, source });
                }
                pause_after_conflict(attempt).await;
            }
        }
        let inbox = Inbox::new(database.clone());
        let scope =
            Scope { context: self.name, database, inbox, relay, locks: KeyedLocks::default(), traceparent: None };
        let (endpoints, subscribers, backgrounds) = (self.endpoints, self.subscribers, self.backgrounds);
        Ok(Prepared { scope, steps, endpoints, subscribers, backgrounds })
    }
}

/// A context that can be called.
pub(crate) struct Prepared {
    pub(crate) scope: Scope,
    pub(crate) steps: Vec<Arc<dyn ServeStep>>,
    pub(crate) endpoints: Vec<Arc<dyn ServeEndpoint>>,
    pub(crate) subscribers: Vec<Arc<dyn ServeSubscriber>>,
    pub(crate) backgrounds: Vec<Arc<dyn RunBackground>>,
}

fn only_once(context: &str, what: &str, names: impl Iterator<Item = String>) -> Result<(), WorkerError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(WorkerError::Contract(format!("context {context} has two of {what} {name}")));
        }
    }
    Ok(())
}
