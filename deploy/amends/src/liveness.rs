//! Whether a saga still lives, asked of its partition's owner: what pins a hold.

use std::time::Duration;

use amends_nats::Nats;
use amends_registration::{LivenessUnknown, SagaLiveness};
use amends_schemas::ids::SagaId;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{OrchestratorInfo, SagaRef, SagaView};
use amends_schemas::subjects::{self, PartitionVerb};
use async_trait::async_trait;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks over NATS.
#[derive(Debug, Clone)]
pub struct NatsSagaLiveness {
    nats: Nats,
}

impl NatsSagaLiveness {
    /// Over this connection.
    pub const fn new(nats: Nats) -> Self {
        Self { nats }
    }

    async fn ask(&self, saga_id: SagaId) -> Result<bool, Problem> {
        let subject = subjects::ORCHESTRATOR_INFO.to_owned();
        let info: OrchestratorInfo = self.nats.ask(subject, &serde_json::json!({}), ANSWER_TIMEOUT).await?;
        let partition = saga_id.partition(info.partition_count);
        let subject = subjects::partition(partition, PartitionVerb::Get);
        let answer: Result<SagaView, Problem> = self.nats.ask(subject, &SagaRef { saga_id }, ANSWER_TIMEOUT).await;
        match answer {
            Ok(view) => Ok(!view.status.is_final()),
            Err(problem) if problem.kind == ProblemKind::NotFound => Ok(false),
            Err(problem) => Err(problem),
        }
    }
}

#[async_trait]
impl SagaLiveness for NatsSagaLiveness {
    async fn is_alive(&self, saga_id: SagaId) -> Result<bool, LivenessUnknown> {
        self.ask(saga_id).await.map_err(|problem| LivenessUnknown(problem.to_string()))
    }
}
