//! The floor: whoever starts a saga is answered, each reply is answered and followed by the next command, and nothing is decided or
//! stored. What it costs is what the broker and the client library cost; no engine over this broker can be faster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_nats::Nats;
use amends_schemas::command::{Command, Operation, REPLY_COMMITTED, Reply, idempotency_key};
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::saga::{OrchestratorInfo, StartSaga};
use amends_schemas::subjects::{self, ORCHESTRATOR_GROUP, ORCHESTRATOR_INFO, PartitionVerb};
use amends_store::default_partition_count;
use async_nats::{HeaderMap, Message};
use chrono::Utc;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{connect, tell_completed};
use crate::control::say_ready;
use crate::job;

/// How long an attempt may take, as in the definition.
const STEP_TIMEOUT: Duration = Duration::from_secs(300);

struct Relay {
    serving: Nats,
    publishing: Nats,
    completed: mpsc::UnboundedSender<SagaId>,
}

/// Serves until killed.
pub async fn run(url: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    // Two connections, as the orchestrator has.
    let (serving, publishing) = (connect(url, "relay serve").await?, connect(url, "relay publish").await?);
    publishing.ensure_streams().await?;
    let (completed, told) = mpsc::unbounded_channel();
    tokio::spawn(tell_completed(serving.clone(), told));
    let relay = Arc::new(Relay { serving, publishing, completed });
    // As many as the engine has.
    let partitions = default_partition_count(true);
    for partition in partitions.iter() {
        let subject = subjects::partition_all(partition);
        let mut requests = relay.serving.client().queue_subscribe(subject, ORCHESTRATOR_GROUP.to_owned()).await?;
        let relay = Arc::clone(&relay);
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                relay.take(partition, request).await;
            }
        });
    }
    let mut questions = relay.serving.client().subscribe(ORCHESTRATOR_INFO).await?;
    relay.serving.client().flush().await?;
    say_ready(began);
    let info = OrchestratorInfo { partition_count: partitions, version: String::new() };
    let info = serde_json::to_vec(&json!({"ok": info}))?;
    while let Some(question) = questions.next().await {
        if let Some(reply) = question.reply {
            relay.serving.client().publish(reply, info.clone().into()).await?;
        }
    }
    Ok(())
}

impl Relay {
    async fn take(self: &Arc<Self>, partition: PartitionId, request: Message) {
        let Some(answer_to) = request.reply else { return };
        let verb = request.subject.rsplit('.').next().and_then(PartitionVerb::from_token);
        let (saga_id, next, answer) = match verb {
            Some(PartitionVerb::Start) => {
                let Ok(start) = serde_json::from_slice::<StartSaga>(&request.payload) else { return };
                (start.saga_id, Some(0), serde_json::to_vec(&json!({"ok": {"saga_id": start.saga_id}})))
            }
            Some(PartitionVerb::Reply) => {
                let Ok(reply) = serde_json::from_slice::<Reply>(&request.payload) else { return };
                let place = job::STEPS.iter().position(|step| *step == reply.step);
                let next = place.map(|place| place + 1).filter(|next| *next < job::STEPS.len());
                (reply.saga_id, next, Ok(REPLY_COMMITTED.to_vec()))
            }
            Some(
                PartitionVerb::Get
                | PartitionVerb::History
                | PartitionVerb::Cancel
                | PartitionVerb::Signal
                | PartitionVerb::ChildEnded
                | PartitionVerb::Watch
                | PartitionVerb::Operate
                | PartitionVerb::Standing
                | PartitionVerb::Preview,
            )
            | None => return,
        };
        if let Ok(answer) = answer {
            let _ = self.serving.client().publish(answer_to, answer.into()).await;
        }
        match next {
            Some(step) => {
                let relay = Arc::clone(self);
                tokio::spawn(async move { relay.publish(partition, saga_id, step).await });
            }
            None => {
                let _ = self.completed.send(saga_id);
            }
        }
    }

    async fn publish(&self, partition: PartitionId, saga_id: SagaId, step: usize) {
        let step = job::STEPS[step];
        let command = Command {
            saga_id,
            definition: format!("{}@1", job::DEFINITION),
            step: step.to_owned(),
            contract: job::contract(step),
            operation: Operation::Do,
            attempt: 1,
            key: idempotency_key(saga_id, step, 0, Operation::Do),
            input: job::input(saga_id),
            output: None::<Value>,
            reason: None,
            reply_to: subjects::partition(partition, PartitionVerb::Reply),
            expires_at: Utc::now() + STEP_TIMEOUT,
        };
        let message_id = subjects::command_message_id(saga_id, step, Operation::Do, 1, "e1");
        let Ok(payload) = serde_json::to_vec(&command) else { return };
        let subject = subjects::command(&command.contract);
        if let Err(error) = self.publishing.publish_acked(&subject, &message_id, HeaderMap::new(), payload.into()).await
        {
            eprintln!("the relay cannot publish: {error}");
        }
    }
}
