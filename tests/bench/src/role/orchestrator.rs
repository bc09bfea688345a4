//! The engine as an orchestrator process runs it, with the benchmark's definition and a store that counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_bus::{Orchestrator, OrchestratorParts};
use amends_database::{Database, Location};
use amends_engine::EngineSettings;
use amends_engine::ports::Store;
use amends_engine::status::Role;
use amends_store::SurrealStore;
use amends_test_support::store::Intercepted;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::{connect, nats_settings, tell_completed};
use crate::control::{JOURNAL, say_ready};
use crate::counting::Counting;
use crate::job;

/// Between looks at whether every partition is served.
const POLL: Duration = Duration::from_millis(2);

/// Serves until killed.
pub async fn run(url: &str, data: PathBuf) -> anyhow::Result<()> {
    let began = Instant::now();
    let database = Database::open(&Location::Embedded(data), "amends", "orchestrator").await?;
    let (completed, told) = mpsc::unbounded_channel();
    let inner = SurrealStore::open(database).await?;
    let store = Arc::new(Intercepted::new(Arc::new(inner.clone()), Counting::new(completed)));
    let nats = connect(url, "bench control").await?;
    tokio::spawn(tell_completed(nats.clone(), told));
    let orchestrator = Orchestrator::start(OrchestratorParts {
        store: Arc::clone(&store) as Arc<dyn Store>,
        bulks: Arc::new(inner.clone()),
        schedules: Arc::new(inner.clone()),
        nats: nats_settings(url, "orchestrator"),
        library: Arc::new(job::library()?),
        settings: EngineSettings::default(),
        // Each run is an owner of its own, as in production: a killed one's leases are waited for.
        owner: format!("bench-{}", std::process::id()),
        partitions: None,
    })
    .await?;
    while !orchestrator.status().partitions.iter().all(|partition| partition.role == Role::Owner) {
        tokio::time::sleep(POLL).await;
    }
    let mut questions = nats.client().subscribe(JOURNAL).await?;
    nats.client().flush().await?;
    say_ready(began);
    while let Some(question) = questions.next().await {
        let count = store.interceptor.count(&inner).await?;
        if let Some(reply) = question.reply {
            nats.client().publish(reply, serde_json::to_vec(&count)?.into()).await?;
        }
    }
    Ok(())
}
