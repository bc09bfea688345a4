//! The processes under measurement: the orchestrator, the workers, and the relay that stands in for the orchestrator on the floor.

mod orchestrator;
mod relay;
mod sdk_worker;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use amends_nats::{Nats, NatsSettings};
use amends_schemas::ids::SagaId;
use bytes::BytesMut;
use clap::Subcommand;
use tokio::sync::mpsc;

use crate::control::DONE;

/// How long NATS may take to be there.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// Ids told in one message.
const DONE_AT_ONCE: usize = 1024;

/// A process of the benchmark.
#[derive(Debug, Clone, Subcommand)]
pub enum Role {
    /// The engine over its database.
    Orchestrator {
        /// Where NATS is.
        #[arg(long)]
        nats: String,
        /// The database's folder.
        #[arg(long)]
        data: PathBuf,
    },
    /// In the orchestrator's place: the same messages, nothing decided and nothing stored.
    Relay {
        /// Where NATS is.
        #[arg(long)]
        nats: String,
    },
    /// All four workers, as plain JetStream consumers that do nothing.
    Worker {
        /// Where NATS is.
        #[arg(long)]
        nats: String,
    },
    /// All four workers, through the SDK, each context with a database of its own.
    SdkWorker {
        /// Where NATS is.
        #[arg(long)]
        nats: String,
        /// The databases' folder.
        #[arg(long)]
        data: PathBuf,
    },
}

impl Role {
    /// Plays it until killed.
    pub async fn play(self) -> anyhow::Result<()> {
        match self {
            Role::Orchestrator { nats, data } => orchestrator::run(&nats, data).await,
            Role::Relay { nats } => relay::run(&nats).await,
            Role::Worker { nats } => worker::run(&nats).await,
            Role::SdkWorker { nats, data } => sdk_worker::run(&nats, &data).await,
        }
    }
}

/// How to reach NATS.
pub fn nats_settings(url: &str, name: &str) -> NatsSettings {
    NatsSettings { url: url.to_owned(), name: name.to_owned(), credentials: None, replicas: 1 }
}

/// A connection.
pub async fn connect(url: &str, name: &str) -> anyhow::Result<Nats> {
    Ok(Nats::connect(&nats_settings(url, name), CONNECT_PATIENCE).await?)
}

/// Tells the driver which sagas are completed, as many in a message as there are: 16 bytes each.
async fn tell_completed(nats: Nats, mut completed: mpsc::UnboundedReceiver<SagaId>) {
    let mut ids = Vec::with_capacity(DONE_AT_ONCE);
    while completed.recv_many(&mut ids, DONE_AT_ONCE).await > 0 {
        let mut payload = BytesMut::with_capacity(ids.len() * 16);
        for id in ids.drain(..) {
            payload.extend_from_slice(id.uuid().as_bytes());
        }
        if nats.client().publish(DONE, payload.freeze()).await.is_err() {
            return;
        }
    }
}
