//! A store in a fresh place, and sagas made by hand.
#![allow(dead_code, reason = "each test file uses its share")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use amends_core::definition::DefinitionRef;
use amends_core::event::{Event, Fact};
use amends_core::state::{ByHand, SagaState, StepState};
use amends_database::{Database, Location};
use amends_engine::ports::{JournalEntry, JournalRecord, StoredSaga};
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::saga::{Priority, SagaStatus};
use amends_store::SurrealStore;
use amends_test_support::{TestSurreal, surreal, surreal_server};
use anyhow::{Context, Result};
use chrono::{DateTime, TimeZone, Utc};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

/// Each test ends within this.
const DEADLINE: Duration = Duration::from_secs(240);

/// Where one test's database lives: in a folder, or in a server that keeps its data in a folder.
pub struct Place {
    pub folder: TempDir,
    server: Option<TestSurreal>,
}

/// Runs one test in a fresh place and with a deadline.
pub fn check<F, Fut>(test: F) -> Result<()>
where
    F: FnOnce(Place) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let server = if crate::REMOTE { Some(surreal_server().await) } else { None };
        let place = Place { folder: tempfile::tempdir()?, server };
        tokio::time::timeout(DEADLINE, test(place)).await.context("the test hangs")?
    })
}

pub async fn database(place: &Place) -> Result<Database> {
    let Some(server) = &place.server else { return database_in(place.folder.path()).await };
    let (username, password) = (Some(surreal::USERNAME.into()), Some(surreal::PASSWORD.into()));
    let location = Location::Remote { url: server.url(), username, password };
    Ok(Database::open(&location, "amends", "journal").await?)
}

async fn database_in(folder: &Path) -> Result<Database> {
    Ok(Database::open(&Location::Embedded(folder.join("journal")), "amends", "journal").await?)
}

pub async fn store(place: &Place) -> Result<SurrealStore> {
    Ok(SurrealStore::open(database(place).await?).await?)
}

/// With an embedded database in this folder.
pub async fn store_in(folder: &Path) -> Result<SurrealStore> {
    Ok(SurrealStore::open(database_in(folder).await?).await?)
}

pub fn at(second: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_790_000_000 + second, 123_456_789).single().expect("a time")
}

/// The n-th saga.
pub fn id(n: u128) -> SagaId {
    SagaId(Uuid::from_u128(0x0193_a1de_7d41_7cc1_9b5e_0000_0000_0000 + n))
}

pub fn definition(name: &str) -> DefinitionRef {
    DefinitionRef { name: name.into(), version: 1, hash: "0".repeat(64).into() }
}

/// A record with one fact of one saga.
pub fn record(partition: u16, position: u64, epoch: u64, owner: &str) -> JournalRecord {
    let started = Fact::SagaStarted {
        definition: definition("registration"),
        input: json!({"n": position, "nested": {"list": [1, null, "x", 0.5, u64::MAX]}}),
        tags: ["event:1".to_owned()].into(),
        deadline_at: None,
        start_at: None,
        priority: Priority::default(),
        parent: None,
    };
    JournalRecord {
        partition: PartitionId(partition),
        position,
        epoch,
        owner: owner.to_owned(),
        at: at(i64::try_from(position).expect("small in tests")),
        entries: vec![JournalEntry {
            saga_id: id(u128::from(position)),
            events: vec![Event { at: at(1), fact: started }, Event { at: at(2), fact: Fact::StepSkipped { step: 0 } }],
        }],
        unread: Vec::new(),
    }
}

/// The n-th saga, created in the n-th second.
pub fn saga(n: u128, status: SagaStatus, name: &str, tags: &[&str]) -> StoredSaga {
    let created_at = at(i64::try_from(n).expect("small in tests"));
    StoredSaga {
        state: SagaState {
            saga_id: id(n),
            definition: definition(name),
            input: json!({"n": 1, "email": "ada@example.org"}),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            status,
            reason: None,
            paused: n % 2 == 1,
            deadline_at: Some(at(9_999_999)),
            deadline_passed: false,
            pivot_passed: false,
            cancel: None,
            steps: vec![StepState::pending(); 3],
            succeeded: vec![0, 1],
            output: None,
            created_at,
            updated_at: created_at,
            event_count: 3,
            by_hand: ByHand::default(),
            start_at: None,
            asked_start_at: None,
            priority: Priority::default(),
            parent: None,
            signals: BTreeMap::new(),
            rewind: None,
        },
        positions: vec![1, 2, 3],
        waiting_for: (!status.is_final()).then(|| format!("waiting for {n}")),
        standing: Vec::new(),
        is_new: false,
    }
}
