//! Sagas asked for over NATS, as the API asks for them; their completion is told by the process that has made it durable.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use amends_nats::Nats;
use amends_schemas::ids::{PartitionCount, SagaId};
use amends_schemas::problem::Answer;
use amends_schemas::saga::{OrchestratorInfo, SagaRef, SagaStatus, SagaView};
use amends_schemas::subjects::{self, ORCHESTRATOR_INFO, PartitionVerb};
use anyhow::{Context, bail, ensure};
use async_nats::Request;
use async_trait::async_trait;
use futures::StreamExt;
use serde::de::IgnoredAny;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{Load, PATIENCE, Sample};
use crate::control::{DONE, JOURNAL, JournalCount};
use crate::job;

type Waiting = Arc<Mutex<HashMap<Uuid, oneshot::Sender<Instant>>>>;

/// Starts sagas and learns of their completion.
pub struct Sagas {
    nats: Nats,
    partitions: PartitionCount,
    waiting: Waiting,
    /// Whether whoever serves keeps a journal and can be asked for a saga.
    has_engine: bool,
}

impl Sagas {
    /// Over this connection, to whatever serves there.
    pub async fn new(nats: Nats, has_engine: bool) -> anyhow::Result<Self> {
        let info: OrchestratorInfo = nats
            .ask(ORCHESTRATOR_INFO.to_owned(), &(), PATIENCE)
            .await
            .map_err(|problem| anyhow::anyhow!("nobody serves: {problem}"))?;
        let waiting = Waiting::default();
        let mut done = nats.client().subscribe(DONE).await?;
        nats.client().flush().await?;
        let told = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Some(message) = done.next().await {
                let now = Instant::now();
                let mut waiting = told.lock().unwrap_or_else(PoisonError::into_inner);
                for id in message.payload.chunks_exact(16).filter_map(|bytes| Uuid::from_slice(bytes).ok()) {
                    if let Some(waiter) = waiting.remove(&id) {
                        let _ = waiter.send(now);
                    }
                }
            }
        });
        Ok(Self { nats, partitions: info.partition_count, waiting, has_engine })
    }
}

#[async_trait]
impl Load for Sagas {
    async fn one(&self) -> anyhow::Result<Sample> {
        let saga_id = SagaId::generate();
        let payload = serde_json::to_vec(&job::start(saga_id))?;
        let subject = subjects::partition(saga_id.partition(self.partitions), PartitionVerb::Start);
        let (sender, completed) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(saga_id.uuid(), sender);
        let asked = Instant::now();
        let request = Request::new().payload(payload.into()).timeout(Some(PATIENCE));
        let answer = self.nats.client().send_request(subject, request).await?;
        let accepted = Some(Instant::now());
        match serde_json::from_slice::<Answer<IgnoredAny>>(&answer.payload)? {
            Answer::Ok(_) => {}
            Answer::Error(problem) => bail!("a saga is refused: {problem}"),
        }
        let completed = timeout(PATIENCE, completed).await.context("a saga does not complete")??;
        Ok(Sample { id: saga_id.uuid(), asked, accepted, completed })
    }

    async fn check(&self, sample: &Sample) -> anyhow::Result<()> {
        if !self.has_engine {
            return Ok(());
        }
        let saga_id = SagaId(sample.id);
        let subject = subjects::partition(saga_id.partition(self.partitions), PartitionVerb::Get);
        let view: Result<SagaView, _> = self.nats.ask(subject, &SagaRef { saga_id }, PATIENCE).await;
        let view = view.map_err(|problem| anyhow::anyhow!("a completed saga cannot be read: {problem}"))?;
        ensure!(view.status == SagaStatus::Completed, "saga {saga_id} is not completed");
        Ok(())
    }

    async fn journal(&self) -> anyhow::Result<Option<JournalCount>> {
        if !self.has_engine {
            return Ok(None);
        }
        let request = Request::new().timeout(Some(PATIENCE));
        let answer = self.nats.client().send_request(JOURNAL, request).await?;
        Ok(Some(serde_json::from_slice(&answer.payload)?))
    }
}
