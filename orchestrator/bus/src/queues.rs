//! How much waits in the work queue, measured when somebody asks.

use std::time::Duration;

use amends_core::definition::DefinitionLibrary;
use amends_core::view::contracts_called;
use amends_nats::Nats;
use amends_schemas::presence::{QueueView, QueuesView};
use amends_schemas::problem::Problem;
use chrono::Utc;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a measurement is good for: however many ask, JetStream is asked this often.
const AGE_MAX: Duration = Duration::from_secs(1);

/// Longest measurement. JetStream answers within milliseconds, or is not there.
const MEASURE_TIME_MAX: Duration = Duration::from_secs(4);

/// The last measurement. Those who ask while one measures wait for it.
#[derive(Debug, Default)]
pub struct QueueGauge(Mutex<Option<(Instant, QueuesView)>>);

impl QueueGauge {
    /// Measures, or tells of the last measurement if it is recent. Contracts that the definitions of `library` call are named even when
    /// nothing waits.
    ///
    /// # Errors
    /// `queues_unavailable` when JetStream does not answer.
    pub async fn measure(&self, nats: &Nats, library: &DefinitionLibrary) -> Result<QueuesView, Problem> {
        let mut last = self.0.lock().await;
        if let Some((at, view)) = last.as_ref()
            && at.elapsed() < AGE_MAX
        {
            return Ok(view.clone());
        }
        let unavailable = |reason: String| {
            tracing::debug!(reason, "the queues cannot be measured");
            Problem::unavailable("queues_unavailable", "JetStream does not say how much waits; ask again")
        };
        let mut queues = match tokio::time::timeout(MEASURE_TIME_MAX, nats.queues_with_age()).await {
            Ok(measured) => measured.map_err(|error| unavailable(error.to_string()))?,
            Err(_) => return Err(unavailable("it takes too long".to_owned())),
        };
        for contract in library.iter().flat_map(|definition| contracts_called(definition)) {
            if !queues.contains_key(contract) {
                queues.insert(contract.clone(), Default::default());
            }
        }
        let items = queues
            .into_iter()
            .map(|(contract, queue)| QueueView {
                context: contract.context().to_owned(),
                contract,
                waiting: queue.waiting,
                with_workers: queue.with_workers,
                redelivered: queue.redelivered,
                oldest_at: queue.oldest_at,
            })
            .collect();
        let view = QueuesView { measured_at: Utc::now(), items };
        *last = Some((Instant::now(), view.clone()));
        Ok(view)
    }
}
