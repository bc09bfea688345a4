//! Everything put together.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::DefinitionLibrary;
use amends_core::view::contracts_called;
use amends_engine::bulk::{BulkDesk, BulkRunner, BulkStore};
use amends_engine::ports::{Leases, Store, StoreError, Transport};
use amends_engine::rekey::Rekeying;
use amends_engine::schedules::{ScheduleDesk, ScheduleRunner, ScheduleStore};
use amends_engine::status::EngineStatus;
use amends_engine::{Engine, EngineParts, EngineSettings};
use amends_nats::{Nats, NatsError, NatsSettings};
use amends_schemas::ids::PartitionCount;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::bulk::NatsOperators;
use crate::endpoints::Endpoints;
use crate::front::NatsFront;
use crate::leases::NatsLeases;
use crate::monitor::StreamMonitor;
use crate::presence::WorkerWatch;
use crate::queues::QueueGauge;
use crate::schedules::ScheduleEndpoints;
use crate::transport::NatsTransport;

/// How long NATS may take to be there when an orchestrator starts: long enough for both to be started together.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// What an orchestrator is made of.
pub struct OrchestratorParts {
    /// Holds the journal.
    pub store: Arc<dyn Store>,
    /// Holds the schedules.
    pub schedules: Arc<dyn ScheduleStore>,
    /// Holds bulk operations.
    pub bulks: Arc<dyn BulkStore>,
    /// How to reach NATS; two connections are made.
    pub nats: NatsSettings,
    /// What can be run.
    pub library: Arc<DefinitionLibrary>,
    /// Bounds and delays.
    pub settings: EngineSettings,
    /// How people know this process; a suffix makes each run's name unique.
    pub owner: String,
    /// How many partitions: checked against what the database holds. `None` takes what it holds.
    pub partitions: Option<PartitionCount>,
}

/// Why an orchestrator does not start.
#[derive(Debug, thiserror::Error)]
pub enum OrchestratorError {
    /// NATS is not there, or refuses.
    #[error("NATS")]
    Nats(#[from] NatsError),
    /// The database is not there, or is another deployment's.
    #[error("the orchestrator's database")]
    Store(#[from] StoreError),
}

/// A running orchestrator. Dropped without [`Orchestrator::stop`] it ends as if killed: nothing is finished, nothing is lost.
pub struct Orchestrator {
    engine: Arc<Engine>,
    partition_count: PartitionCount,
    background: Vec<JoinHandle<()>>,
}

impl Orchestrator {
    /// Connects, checks the deployment, makes the streams, and a consumer for each contract that definitions call, be there and
    /// starts trying for every partition. [`Orchestrator::status`] says which it owns; it listens for requests a moment later.
    ///
    /// # Errors
    /// [`OrchestratorError`] when NATS or the database are not there, or the number of partitions is another.
    pub async fn start(parts: OrchestratorParts) -> Result<Self, OrchestratorError> {
        Self::start_with(parts, |nats, owner| Arc::new(NatsLeases::new(nats, owner))).await
    }

    /// [`Orchestrator::start`] with other leases than those in NATS.
    ///
    /// # Errors
    /// As [`Orchestrator::start`].
    pub async fn start_with(
        parts: OrchestratorParts,
        leases: impl FnOnce(Nats, &str) -> Arc<dyn Leases>,
    ) -> Result<Self, OrchestratorError> {
        let default = parts.store.default_partition_count();
        let partition_count = parts.store.establish(parts.partitions, default).await?;
        // Answers must not wait behind commands in one connection's buffer, nor leases behind either.
        let publishing = Nats::connect(&named(&parts.nats, "publish"), CONNECT_PATIENCE).await?;
        let serving = Nats::connect(&named(&parts.nats, "serve"), CONNECT_PATIENCE).await?;
        let called = parts.library.iter().flat_map(|definition| contracts_called(definition)).cloned().collect();
        let monitor = StreamMonitor::new(serving.clone(), called).await?;
        let owner = format!("{}-{}", parts.owner, &Uuid::new_v4().simple().to_string()[..8]);
        let workers = Arc::new(WorkerWatch::default());
        let transport: Arc<dyn Transport> = Arc::new(NatsTransport::new(publishing));
        let (library, schedules) = (Arc::clone(&parts.library), parts.schedules);
        let runner =
            ScheduleRunner { store: Arc::clone(&schedules), transport: Arc::clone(&transport), partition_count };
        let desk = ScheduleDesk { store: schedules, transport: Arc::clone(&transport), library, partition_count };
        let rekeying = Rekeying { store: Arc::clone(&parts.store), library: Arc::clone(&parts.library) };
        let bulk = BulkRunner {
            store: Arc::clone(&parts.store),
            bulks: Arc::clone(&parts.bulks),
            operators: Arc::new(NatsOperators { nats: serving.clone(), partition_count }),
        };
        let engine = Arc::new(Engine::start(EngineParts {
            store: Arc::clone(&parts.store),
            transport,
            leases: leases(serving.clone(), &owner),
            front: Arc::new(NatsFront::new(serving.clone())),
            presence: Arc::<WorkerWatch>::clone(&workers),
            library: Arc::clone(&parts.library),
            settings: parts.settings,
            owner,
            partition_count,
            chores: vec![Arc::new(rekeying), Arc::new(runner), Arc::new(bulk)],
        }));
        let schedules = tokio::spawn(ScheduleEndpoints { nats: serving.clone(), desk }.run());
        let watching = tokio::spawn(Arc::clone(&workers).run(serving.clone()));
        let endpoints = Endpoints {
            nats: serving,
            desk: BulkDesk { store: Arc::clone(&parts.store), bulks: parts.bulks },
            store: parts.store,
            library: parts.library,
            partition_count,
            workers,
            queues: QueueGauge::default(),
        };
        let redispatching = Arc::clone(&engine);
        let monitoring = tokio::spawn(monitor.run(move || redispatching.redispatch()));
        let background = vec![tokio::spawn(endpoints.run()), schedules, monitoring, watching];
        Ok(Self { engine, partition_count, background })
    }

    /// How every partition stands.
    pub fn status(&self) -> EngineStatus {
        self.engine.status()
    }

    /// The deployment's number of partitions.
    pub const fn partition_count(&self) -> PartitionCount {
        self.partition_count
    }

    /// The engine itself.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Ends cleanly: takes nothing more, finishes what was taken, writes the view, gives the leases back. Takes at most a few
    /// seconds.
    pub async fn stop(self) {
        self.engine.shutdown().await;
    }
}

impl Drop for Orchestrator {
    fn drop(&mut self) {
        self.background.iter().for_each(JoinHandle::abort);
        self.engine.kill();
    }
}

fn named(settings: &NatsSettings, purpose: &str) -> NatsSettings {
    NatsSettings { name: format!("{} {purpose}", settings.name), ..settings.clone() }
}
