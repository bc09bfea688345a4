//! A worker on a real nats-server and a real database, and somebody who plays the orchestrator.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use amends_nats::{Nats, NatsSettings};
use amends_schemas::command::{Command, Reply};
use amends_schemas::dead_letter::{self, DeadLetter, DeadLetterStatus, ListDeadLetters};
use amends_schemas::problem::Problem;
use amends_schemas::saga::Page;
use amends_schemas::subjects;
use amends_schemas::topology::COMMANDS;
use amends_sdk::database::{Database, Location};
use amends_sdk::*;
use amends_test_support::{TestNats, nats_server};
use async_nats::HeaderMap;
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lab::{Watch, contracts, lab};

/// No test of ours takes longer, unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Floor {
    pub server: TestNats,
    pub nats: Nats,
    pub database: Database,
    pub watch: Arc<Watch>,
    _folder: TempDir,
}

pub struct Worker {
    pub stop: CancellationToken,
    pub running: JoinHandle<Result<(), WorkerError>>,
}

impl Worker {
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.running).await.expect("drains in time").unwrap().unwrap();
    }
}

pub async fn connect(url: String) -> Nats {
    let settings = NatsSettings { url, name: "test".to_owned(), credentials: None, replicas: 1 };
    Nats::connect(&settings, DEADLINE).await.unwrap()
}

impl Floor {
    pub async fn new() -> Self {
        let server = nats_server().await;
        let nats = connect(server.url()).await;
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Embedded(folder.path().join("db"));
        let database = Database::open(&location, "amends", "lab").await.unwrap();
        Self { server, nats, database, watch: Arc::default(), _folder: folder }
    }

    pub fn worker(&self) -> Worker {
        self.worker_with(WorkerSettings::default())
    }

    pub fn worker_with(&self, settings: WorkerSettings) -> Worker {
        let stop = CancellationToken::new();
        let (context, nats, database, shutdown) =
            (lab(&self.watch), self.nats.clone(), self.database.clone(), stop.clone());
        let running = tokio::spawn(async move { context.run(nats, database, &contracts(), settings, shutdown).await });
        Worker { stop, running }
    }

    /// Puts a command into the queue; once more each time it is called.
    pub async fn send(&self, command: &Command) {
        send(&self.nats, command).await;
    }

    /// Commands in the queue, with workers or not.
    pub async fn queued(&self) -> u64 {
        let stream = self.nats.jetstream().get_stream(COMMANDS.name).await.unwrap();
        stream.cached_info().state.messages
    }

    /// Asks one of the lab's endpoints.
    pub async fn ask<A: DeserializeOwned>(&self, endpoint: &str, question: &impl Serialize) -> Result<A, Problem> {
        let question = serde_json::to_value(question).unwrap();
        self.nats.ask(subjects::context_endpoint("lab", endpoint), &question, DEADLINE).await
    }

    /// The lab's dead letters, newest first, once there are `count` with this status.
    pub async fn letters(&self, status: DeadLetterStatus, count: usize) -> Vec<DeadLetter> {
        let question = ListDeadLetters { status: Some(status), ..ListDeadLetters::default() };
        amends_test_support::wait::until("dead letters", DEADLINE, async || {
            let page: Page<DeadLetter> = self.ask(dead_letter::LIST, &question).await.ok()?;
            (page.items.len() == count).then_some(page.items)
        })
        .await
    }

    /// Waits until every command is acknowledged.
    pub async fn until_queue_is_empty(&self) {
        amends_test_support::wait::until("an empty queue", DEADLINE, async || (self.queued().await == 0).then_some(()))
            .await;
    }
}

pub async fn send(nats: &Nats, command: &Command) {
    nats.ensure_streams().await.unwrap();
    let payload = serde_json::to_vec(command).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", TRACEPARENT);
    let subject = subjects::command(&command.contract);
    nats.publish_acked(&subject, &Uuid::now_v7().to_string(), headers, payload.into()).await.unwrap();
}

/// The trace every command belongs to.
pub const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Takes replies.
pub struct Owner {
    nats: Nats,
    replies: async_nats::Subscriber,
}

impl Owner {
    pub async fn new(nats: &Nats, subject: &str) -> Self {
        let replies = nats.client().subscribe(subject.to_owned()).await.unwrap();
        nats.client().flush().await.unwrap();
        Self { nats: nats.clone(), replies }
    }

    /// The next reply, answered with `answer` if there is one.
    pub async fn next(&mut self, answer: Option<&'static str>) -> Reply {
        let message = tokio::time::timeout(DEADLINE, self.replies.next()).await.expect("a reply in time").unwrap();
        if let Some(answer) = answer {
            let inbox = message.reply.unwrap();
            self.nats.client().publish(inbox, answer.into()).await.unwrap();
        }
        assert_eq!(message.headers.unwrap().get("traceparent").unwrap().as_str(), TRACEPARENT);
        serde_json::from_slice(&message.payload).unwrap()
    }

    pub async fn take(&mut self) -> Reply {
        self.next(Some("+OK")).await
    }
}
