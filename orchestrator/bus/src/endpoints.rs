//! What any orchestrator answers, whichever partitions it owns.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::DefinitionLibrary;
use amends_engine::bulk::BulkDesk;
use amends_engine::ports::{Store, StoreError};
use amends_nats::Nats;
use amends_schemas::ids::PartitionCount;
use amends_schemas::problem::Problem;
use amends_schemas::saga::{DefinitionView, ListSagas, OrchestratorInfo};
use amends_schemas::search::SagaFilter;
use amends_schemas::subjects::{
    ORCHESTRATOR_BULK_CONTROL, ORCHESTRATOR_BULK_GET, ORCHESTRATOR_BULK_LIST, ORCHESTRATOR_BULK_PREVIEW,
    ORCHESTRATOR_BULK_START, ORCHESTRATOR_COUNT, ORCHESTRATOR_COUNTS, ORCHESTRATOR_DEFINITIONS, ORCHESTRATOR_GROUP,
    ORCHESTRATOR_INFO, ORCHESTRATOR_LIST, ORCHESTRATOR_QUEUES, ORCHESTRATOR_WORKERS,
};
use async_nats::Message;
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::answers::answer;
use crate::bulk::{self, BulkQuestion};
use crate::presence::WorkerWatch;
use crate::queues::QueueGauge;

/// Questions answered at once by each endpoint: a page costs the database some work, and sagas come first.
const QUESTIONS_AT_ONCE: usize = 16;

/// Wait before a subscription that ended is made again.
const SUBSCRIBE_DELAY: Duration = Duration::from_millis(200);

/// Answers for one orchestrator.
pub struct Endpoints {
    /// Where questions come from.
    pub nats: Nats,
    /// Where pages come from.
    pub store: Arc<dyn Store>,
    /// Who takes what is asked of bulk operations.
    pub desk: BulkDesk,
    /// What can be run.
    pub library: Arc<DefinitionLibrary>,
    /// Fixed at first start.
    pub partition_count: PartitionCount,
    /// Who serves what.
    pub workers: Arc<WorkerWatch>,
    /// What waits.
    pub queues: QueueGauge,
}

/// How an endpoint comes by its answer.
#[derive(Debug, Clone)]
enum Served {
    /// It is always the same.
    Fixed(Bytes),
    /// A page of the view.
    List,
    /// Who serves what.
    Workers,
    /// What waits.
    Queues,
    /// How many sagas a filter finds.
    Count,
    /// How many sagas there are.
    Counts,
    /// Something about bulk operations.
    Bulk(BulkQuestion),
}

impl Endpoints {
    /// Answers for ever.
    pub async fn run(self) {
        let shared = Arc::new(self);
        let definitions = answer(Ok(shared.definitions()));
        let info = answer(Ok(OrchestratorInfo {
            partition_count: shared.partition_count,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }));
        tokio::join!(
            Arc::clone(&shared).serve(ORCHESTRATOR_INFO, Served::Fixed(info)),
            Arc::clone(&shared).serve(ORCHESTRATOR_DEFINITIONS, Served::Fixed(definitions)),
            Arc::clone(&shared).serve(ORCHESTRATOR_LIST, Served::List),
            Arc::clone(&shared).serve(ORCHESTRATOR_WORKERS, Served::Workers),
            Arc::clone(&shared).serve(ORCHESTRATOR_QUEUES, Served::Queues),
            Arc::clone(&shared).serve(ORCHESTRATOR_COUNT, Served::Count),
            Arc::clone(&shared).serve(ORCHESTRATOR_COUNTS, Served::Counts),
            Arc::clone(&shared).serve(ORCHESTRATOR_BULK_PREVIEW, Served::Bulk(BulkQuestion::Preview)),
            Arc::clone(&shared).serve(ORCHESTRATOR_BULK_START, Served::Bulk(BulkQuestion::Start)),
            Arc::clone(&shared).serve(ORCHESTRATOR_BULK_GET, Served::Bulk(BulkQuestion::Get)),
            Arc::clone(&shared).serve(ORCHESTRATOR_BULK_LIST, Served::Bulk(BulkQuestion::List)),
            Arc::clone(&shared).serve(ORCHESTRATOR_BULK_CONTROL, Served::Bulk(BulkQuestion::Control)),
        );
    }

    async fn serve(self: Arc<Self>, subject: &'static str, served: Served) {
        let at_once = Arc::new(Semaphore::new(QUESTIONS_AT_ONCE));
        loop {
            match self.nats.client().queue_subscribe(subject, ORCHESTRATOR_GROUP.to_owned()).await {
                Ok(mut questions) => {
                    while let Some(question) = questions.next().await {
                        let Ok(permit) = Arc::clone(&at_once).acquire_owned().await else { return };
                        let (endpoints, served) = (Arc::clone(&self), served.clone());
                        tokio::spawn(async move {
                            endpoints.respond(question, served).await;
                            drop(permit);
                        });
                    }
                }
                Err(error) => tracing::warn!(subject, %error, "an endpoint cannot be served"),
            }
            tokio::time::sleep(SUBSCRIBE_DELAY).await;
        }
    }

    async fn respond(&self, question: Message, served: Served) {
        let Some(reply) = question.reply.clone() else { return };
        let answer = match served {
            Served::Fixed(answer) => answer,
            Served::Workers => answer(Ok(self.workers.view(&self.library))),
            Served::Queues => answer(self.queues.measure(&self.nats, &self.library).await),
            Served::List => match asked::<ListSagas>(&question) {
                Ok(query) => told(self.store.list(&query).await),
                Err(malformed) => malformed,
            },
            Served::Count => match asked::<SagaFilter>(&question) {
                Ok(filter) => told(self.store.count(&filter).await),
                Err(malformed) => malformed,
            },
            Served::Counts => told(self.store.counts().await),
            Served::Bulk(asked) => bulk::respond(&self.desk, asked, &question).await,
        };
        if let Err(error) = self.nats.client().publish(reply, answer).await {
            tracing::debug!(%error, "an answer cannot be published");
        }
    }

    fn definitions(&self) -> Vec<DefinitionView> {
        self.library
            .iter()
            .map(|definition| DefinitionView {
                name: definition.reference.name.to_string(),
                version: definition.reference.version,
                hash: definition.reference.hash.to_string(),
                title: definition.title.clone(),
                input: definition.input.clone(),
                source: definition.source.to_string(),
            })
            .collect()
    }
}

/// A question, or the answer to what is none.
pub(crate) fn asked<Q: DeserializeOwned>(question: &Message) -> Result<Q, Bytes> {
    serde_json::from_slice(&question.payload)
        .map_err(|error| answer(Err::<(), _>(Problem::invalid("malformed_request", error.to_string()))))
}

/// What the store said.
fn told<A: Serialize>(answered: Result<A, StoreError>) -> Bytes {
    answer(answered.map_err(|error| match error {
        StoreError::Invalid(message) => Problem::invalid("invalid_list", message),
        StoreError::Unavailable(_) => {
            tracing::warn!(%error, "sagas cannot be searched");
            Problem::unavailable("store_unavailable", "the database cannot answer")
        }
        StoreError::Fenced { .. }
        | StoreError::Damaged(_)
        | StoreError::Unread(_)
        | StoreError::PartitionCount { .. } => {
            tracing::error!(%error, "sagas cannot be searched");
            Problem::internal("list_failed", "the list cannot be read")
        }
    }))
}
