//! The same job asked of Restate: one HTTP request through its ingress, which answers when the handler has ended.

use amends_schemas::ids::SagaId;
use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::Value;
use tokio::time::Instant;

use super::{Load, PATIENCE, Sample};
use crate::control::JournalCount;
use crate::job;

/// Calls one handler over connections that are kept.
pub struct Ingress {
    client: reqwest::Client,
    url: String,
}

impl Ingress {
    /// To `service`'s handler `run` behind the ingress at `base`.
    pub fn new(base: &str, service: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(PATIENCE).tcp_nodelay(true).no_proxy().build()?;
        Ok(Self { client, url: format!("{base}/{service}/run") })
    }
}

#[async_trait]
impl Load for Ingress {
    async fn one(&self) -> anyhow::Result<Sample> {
        let id = SagaId::generate();
        let asked = Instant::now();
        let response = self.client.post(&self.url).json(&job::input(id)).send().await?;
        let status = response.status();
        let answer: Value = response.json().await.with_context(|| format!("Restate answers {status}"))?;
        let completed = Instant::now();
        ensure!(status.is_success() && answer == job::output(), "Restate answers {status}: {answer}");
        Ok(Sample { id: id.uuid(), asked, accepted: None, completed })
    }

    async fn check(&self, _: &Sample) -> anyhow::Result<()> {
        // Each answer has been compared: it is the last step's, and comes only when the handler has ended.
        Ok(())
    }

    async fn journal(&self) -> anyhow::Result<Option<JournalCount>> {
        Ok(None)
    }
}
