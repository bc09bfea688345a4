//! `amends orchestrator`: owns partitions, drives sagas.

use std::sync::Arc;

use amends_bus::{Orchestrator, OrchestratorParts};
use amends_engine::EngineSettings;
use amends_engine::ports::Store;
use amends_store::SurrealStore;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::roles::open_database;
use crate::schemas::Schemas;

/// The orchestrator's database, beside those of the contexts.
const DATABASE: &str = "orchestrator";

/// Drives sagas until asked to end.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(config: &Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let url = config.required_nats_url()?;
    let schemas = Schemas::load(&config.orchestrator.schemas, &config.limits)?;
    let orchestrator = tokio::select! {
        started = start(config, &url, &schemas) => started?,
        () = shutdown.cancelled() => return Ok(()),
    };
    shutdown.cancelled().await;
    orchestrator.stop().await;
    Ok(())
}

/// Opens the journal and starts trying for every partition.
///
/// # Errors
/// A database that cannot be opened or belongs to another deployment, or no NATS.
pub async fn start(config: &Config, nats_url: &str, schemas: &Schemas) -> anyhow::Result<Orchestrator> {
    let database = open_database(config, DATABASE).await?;
    let store = Arc::new(SurrealStore::open(database).await?);
    let parts = OrchestratorParts {
        store: Arc::clone(&store) as Arc<dyn Store>,
        bulks: Arc::<SurrealStore>::clone(&store),
        schedules: store,
        nats: config.nats_settings(nats_url, "orchestrator"),
        library: Arc::new(schemas.definitions.clone()),
        settings: EngineSettings { retention: Some(Arc::new(config.retention.policy()?)), ..EngineSettings::default() },
        owner: owner(config),
        partitions: config.partition_count(),
    };
    Ok(Orchestrator::start(parts).await?)
}

/// How this process is called in leases and in the journal.
fn owner(config: &Config) -> String {
    if config.orchestrator.name.is_empty() {
        format!("pid-{}", std::process::id())
    } else {
        config.orchestrator.name.clone()
    }
}
