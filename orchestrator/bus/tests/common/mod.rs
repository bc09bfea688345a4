//! A world for one test: a real nats-server, a real database, definitions of its own, and workers as any language might write
//! them.
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub mod worker;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use amends_bus::{Orchestrator, OrchestratorParts};
use amends_core::definition::DefinitionLibrary;
use amends_core::event::Fact;
use amends_core::validate::parse;
use amends_database::{Database, Location};
use amends_engine::EngineSettings;
use amends_engine::ports::{Hold, JournalRecord, LeaseError, Leases, Store};
use amends_engine::schedules::ScheduleStore;
use amends_engine::status::Role;
use amends_nats::{Nats, NatsSettings};
use amends_schemas::contract::ContractRegistry;
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{PartitionStanding, Priority, SagaRef, SagaStatus, SagaView, StartSaga};
use amends_schemas::subjects::{self, PartitionVerb};
use amends_store::SurrealStore;
use amends_test_support::wait::{Deadline, until};
use amends_test_support::{TestNats, nats_server};
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Longest any test may take.
pub const TEST_DEADLINE: Duration = Duration::from_secs(90);

/// Longest any one thing may take within a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Longest one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Few, so that the tests' sagas meet in them.
pub const PARTITIONS: u16 = 2;

pub struct World {
    pub nats: TestNats,
    pub store: Arc<SurrealStore>,
    pub client: Nats,
    pub database: Database,
    _folder: tempfile::TempDir,
}

/// Fails a test that does not end.
pub async fn in_time<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(TEST_DEADLINE, test).await.expect("the test ends in time")
}

impl World {
    pub async fn new() -> Self {
        let nats = nats_server().await;
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&Location::Embedded(folder.path().join("db")), "amends", "orchestrator")
            .await
            .expect("the database opens");
        let store = Arc::new(SurrealStore::open(database.clone()).await.expect("the store opens"));
        let client = Nats::connect(&nats_settings(&nats, "test"), PATIENCE).await.expect("NATS is there");
        Self { nats, store, client, database, _folder: folder }
    }

    pub fn parts(&self, owner: &str, library: DefinitionLibrary) -> OrchestratorParts {
        OrchestratorParts {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            schedules: Arc::clone(&self.store) as Arc<dyn ScheduleStore>,
            bulks: Arc::<SurrealStore>::clone(&self.store),
            nats: nats_settings(&self.nats, owner),
            library: Arc::new(library),
            settings: EngineSettings::default(),
            owner: owner.to_owned(),
            partitions: PartitionCount::new(PARTITIONS),
        }
    }

    /// An orchestrator that serves.
    pub async fn orchestrator(&self, owner: &str) -> Orchestrator {
        self.serving(owner, library()).await
    }

    /// An orchestrator that serves what it knows of.
    pub async fn serving(&self, owner: &str, library: DefinitionLibrary) -> Orchestrator {
        self.serving_with(self.parts(owner, library)).await
    }

    /// An orchestrator that serves and listens: what asks it without this world is answered, too.
    pub async fn serving_with(&self, parts: OrchestratorParts) -> Orchestrator {
        let orchestrator = Orchestrator::start(parts).await.expect("it starts");
        until("the orchestrator to serve", PATIENCE, async || owns_all(&orchestrator).then_some(())).await;
        for partition in PartitionCount::new(PARTITIONS).expect("in range").iter() {
            let subject = subjects::partition(partition, PartitionVerb::Standing);
            let _: PartitionStanding = self.ask_at(&subject, &json!({})).await.expect("it listens");
        }
        orchestrator
    }

    pub async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        saga_id: SagaId,
        verb: PartitionVerb,
        question: &Q,
    ) -> Result<A, Problem> {
        let partition = saga_id.partition(PartitionCount::new(PARTITIONS).expect("in range"));
        self.ask_at(&subjects::partition(partition, verb), question).await
    }

    /// Asks whoever listens at a subject. An orchestrator owns before it listens: who finds nobody asks again, as the API does.
    pub async fn ask_at<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        subject: &str,
        question: &Q,
    ) -> Result<A, Problem> {
        let mut patience = Deadline::after(PATIENCE);
        loop {
            match self.client.ask(subject.to_owned(), question, ANSWER_TIMEOUT).await {
                Err(problem) if problem.code == "no_responders" => patience.pause("somebody who listens").await,
                answer => return answer,
            }
        }
    }

    pub async fn start(&self, definition: &str) -> SagaId {
        let request = start_request(definition);
        let view: SagaView = self.ask(request.saga_id, PartitionVerb::Start, &request).await.expect("accepted");
        assert_eq!(view.status, SagaStatus::Running);
        request.saga_id
    }

    pub async fn get(&self, saga_id: SagaId) -> Result<SagaView, Problem> {
        self.ask(saga_id, PartitionVerb::Get, &SagaRef { saga_id }).await
    }

    /// The saga once it stands so; a partition that moves meanwhile is asked again.
    pub async fn until_status(&self, saga_id: SagaId, status: SagaStatus) -> SagaView {
        until(&format!("saga {saga_id} to be {}", status.as_str()), PATIENCE, async || {
            self.get(saga_id).await.ok().filter(|view| view.status == status)
        })
        .await
    }

    /// Every record of every partition.
    pub async fn journal(&self) -> Vec<JournalRecord> {
        let mut journal = Vec::new();
        for partition in PartitionCount::new(PARTITIONS).expect("in range").iter() {
            for from in (1..).step_by(100) {
                let positions: Vec<u64> = (from..from + 100).collect();
                let records = self.store.records(partition, &positions).await.expect("the journal is read");
                let last = records.len() < positions.len();
                journal.extend(records);
                if last {
                    break;
                }
            }
        }
        journal
    }

    /// How often each attempt was dispatched and each step ended, by saga; a saga driven twice shows here.
    pub async fn assert_no_saga_was_driven_twice(&self) {
        let mut dispatched: BTreeMap<String, u32> = BTreeMap::new();
        for record in self.journal().await {
            for entry in record.entries {
                for event in entry.events {
                    let key = match event.fact {
                        Fact::SagaStarted { .. } => format!("{} started", entry.saga_id),
                        Fact::StepDispatched { step, operation, attempt, .. } => {
                            format!("{} {step} {operation} {attempt}", entry.saga_id)
                        }
                        Fact::StepSucceeded { step, .. } => format!("{} {step} succeeded", entry.saga_id),
                        Fact::SagaCompleted { .. } => format!("{} completed", entry.saga_id),
                        _ => continue,
                    };
                    *dispatched.entry(key).or_default() += 1;
                }
            }
        }
        let twice: Vec<_> = dispatched.into_iter().filter(|(_, count)| *count > 1).collect();
        assert!(twice.is_empty(), "facts that stand twice in the journal: {twice:?}");
    }
}

/// Leases that everybody has: what happens when they say nothing true.
pub struct Everybodys;

#[async_trait]
impl Leases for Everybodys {
    async fn hold(&self, _: PartitionId) -> Result<Hold, LeaseError> {
        Ok(Hold::Kept)
    }

    async fn release(&self, _: PartitionId) {}
}

pub fn owns_all(orchestrator: &Orchestrator) -> bool {
    orchestrator.status().partitions.iter().all(|partition| partition.role == Role::Owner)
}

pub fn start_request(definition: &str) -> StartSaga {
    StartSaga {
        saga_id: SagaId::generate(),
        definition: definition.to_owned(),
        version: None,
        input: json!({"word": "hello"}),
        tags: ["test".to_owned()].into(),
        start_at: None,
        priority: Priority::default(),
        parent: None,
    }
}

pub fn nats_settings(nats: &TestNats, name: &str) -> NatsSettings {
    NatsSettings { url: nats.url(), name: name.to_owned(), credentials: None, replicas: 1 }
}

/// Contracts `test.a@1` to `test.d@1`, which all take and return anything.
pub fn contracts() -> ContractRegistry {
    let mut registry = ContractRegistry::empty();
    for step in STEPS {
        let contract = json!({
            "contract": format!("test.{step}@1"), "title": step, "undo": true, "probe": true,
            "input": {"type": "object"}, "output": {}
        });
        registry.add(step, &contract.to_string()).expect("a contract");
    }
    registry
}

/// The steps of every test's saga, in order.
pub const STEPS: [&str; 4] = ["a", "b", "c", "d"];

/// `four`: two steps that can be undone, the pivot, one behind it. Its timeout is far away, so that what completes did not
/// complete by it.
pub const FOUR: &str = "
saga: four
version: 1
title: Four steps
input: {type: object, required: [word], properties: {word: {type: string}}}
steps:
  - {name: a, call: test.a@1, kind: compensable, compensate: undo, input: {word: /input/word}, timeout: 10m,
     retry: {attempts: 20, backoff: 1500ms, factor: 1, jitter: 0, max_backoff: 1500ms}, on_unknown: retry}
  - {name: b, call: test.b@1, kind: compensable, compensate: undo, input: {word: /input/word}, timeout: 10m,
     retry: {attempts: 20, backoff: 50ms, max_backoff: 1s}, on_unknown: retry}
  - {name: c, call: test.c@1, kind: pivot, input: {word: /input/word}, timeout: 10m,
     retry: {attempts: 20, backoff: 50ms, max_backoff: 1s}, on_unknown: retry}
  - {name: d, call: test.d@1, kind: retriable, input: {word: /steps/a/output/word}, timeout: 10m,
     retry: {attempts: 20, backoff: 50ms, max_backoff: 1s}, on_unknown: retry}
output: {word: /steps/d/output/word}
";

pub fn library() -> DefinitionLibrary {
    library_of(&[FOUR])
}

pub fn library_of(documents: &[&str]) -> DefinitionLibrary {
    let mut library = DefinitionLibrary::default();
    for document in documents {
        library
            .add(parse("test.yaml", document, &contracts()).expect("a valid definition"))
            .expect("its first version");
    }
    library
}

pub fn word() -> Value {
    json!({"word": "hello"})
}
