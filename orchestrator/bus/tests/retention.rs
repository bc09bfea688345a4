//! Letting go, with a real engine, store and NATS: the journal shrinks while sagas run, and what is wanted stays.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amends_bus::{Orchestrator, OrchestratorParts};
use amends_engine::EngineSettings;
use amends_engine::retention::{Keep, RetentionPolicy};
use amends_schemas::ids::{PartitionCount, SagaId};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{CancelSaga, Cancellation, HistoryEntry, ListSagas, SagaRef, SagaStatus, StartSaga};
use amends_schemas::subjects::PartitionVerb;
use amends_store::SurrealStore;
use amends_test_support::wait::until;
use common::worker::{Workers, succeed};
use common::{FOUR, PARTITIONS, PATIENCE, World, in_time, library_of, start_request};
use serde_json::{Value, json};

const EVER: Duration = Duration::from_secs(1_000_000_000);

/// `four`, without histories; `kept`, with them for ever; `slow`, whose word is not answered, without.
fn library() -> amends_core::definition::DefinitionLibrary {
    library_of(&[FOUR, &FOUR.replace("saga: four", "saga: kept"), &FOUR.replace("saga: four", "saga: slow")])
}

fn policy(sagas: Duration, archive: Option<&Path>) -> RetentionPolicy {
    let definitions = BTreeMap::from([("kept".to_owned(), Keep { history: EVER, sagas: EVER })]);
    let default = Keep { history: Duration::ZERO, sagas };
    RetentionPolicy { default, definitions, archive: archive.map(Path::to_owned) }
}

/// Slabs of a few records, one after the other.
fn settings(retention: RetentionPolicy) -> EngineSettings {
    EngineSettings {
        retention: Some(Arc::new(retention)),
        retention_records_max: 3,
        retention_pause: Duration::from_millis(5),
        retention_interval: Duration::from_millis(20),
        projection_interval: Duration::from_millis(20),
        ..EngineSettings::default()
    }
}

async fn orchestrator(world: &World, owner: &str, retention: RetentionPolicy) -> Orchestrator {
    let parts = OrchestratorParts { settings: settings(retention), ..world.parts(owner, library()) };
    world.serving_with(parts).await
}

/// Answers everything but sagas whose word is `wait`.
fn patient(command: &Value) -> Option<Value> {
    if command["input"]["word"] == "wait" { None } else { succeed(command) }
}

async fn start(world: &World, definition: &str, word: &str) -> SagaId {
    let request = StartSaga { input: json!({"word": word}), ..start_request(definition) };
    let view: amends_schemas::saga::SagaView =
        world.ask(request.saga_id, PartitionVerb::Start, &request).await.expect("accepted");
    view.saga_id
}

async fn history(world: &World, saga_id: SagaId) -> Result<Vec<HistoryEntry>, Problem> {
    world.ask(saga_id, PartitionVerb::History, &SagaRef { saga_id }).await
}

fn names(history: &[HistoryEntry]) -> Vec<&str> {
    history.iter().map(|entry| entry.event.as_str()).collect()
}

/// Makes traffic until every record written before now has left the journal.
async fn sweep(world: &World, orchestrator: &Orchestrator) {
    let count = PartitionCount::new(PARTITIONS).expect("in range");
    let before: Vec<u64> = orchestrator.status().partitions.iter().map(|partition| partition.position).collect();
    for partition in count.iter() {
        let request = std::iter::repeat_with(|| start_request("four"))
            .find(|request| request.saga_id.partition(count) == partition)
            .expect("every second one");
        let _: amends_schemas::saga::SagaView =
            world.ask(request.saga_id, PartitionVerb::Start, &request).await.expect("accepted");
        world.until_status(request.saga_id, SagaStatus::Completed).await;
    }
    until("the journal to be let go", PATIENCE, async || {
        let status = orchestrator.status();
        let gone = status.partitions.iter().zip(&before).all(|(partition, before)| partition.truncated >= *before);
        gone.then_some(())
    })
    .await;
}

/// Every line of every file, by saga.
fn archived(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut lines: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for file in std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()) {
        assert_eq!(file.extension().and_then(|extension| extension.to_str()), Some("jsonl"), "{}", file.display());
        for line in std::fs::read_to_string(&file).expect("text").lines() {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            lines.entry(line["saga_id"].as_str().expect("an id").to_owned()).or_default().push(line);
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_go_into_files_and_what_is_wanted_stays() {
    in_time(async {
        let world = World::new().await;
        let archive = tempfile::tempdir().expect("a folder");
        let workers = Workers::start(&world.client, patient);
        let first = orchestrator(&world, "first", policy(EVER, Some(archive.path()))).await;
        let (short, kept) = (start(&world, "four", "hello").await, start(&world, "kept", "hello").await);
        let slow = start(&world, "slow", "wait").await;
        for saga_id in [short, kept] {
            world.until_status(saga_id, SagaStatus::Completed).await;
        }
        let whole = history(&world, kept).await.expect("a history");
        let begun = history(&world, slow).await.expect("a history");
        sweep(&world, &first).await;

        let trimmed = history(&world, short).await.expect("still an answer");
        assert_eq!(names(&trimmed), ["history_trimmed"]);
        let view = world.get(short).await.expect("the saga stays");
        assert_eq!((view.status, trimmed[0].data["count"].as_u64()), (SagaStatus::Completed, Some(view.event_count)));
        assert_eq!(history(&world, kept).await.expect("a history"), whole, "kept longer");
        assert_eq!(history(&world, slow).await.expect("a history"), begun, "under way");
        let files = archived(archive.path());
        let lines = &files[&short.to_string()];
        assert_eq!(lines.len(), 1, "once");
        assert_eq!((lines[0]["definition"].as_str(), lines[0]["status"].as_str()), (Some("four@1"), Some("completed")));
        let history_line = lines[0]["history"].as_array().expect("a list");
        assert_eq!(history_line.len() as u64, view.event_count);
        assert_eq!(history_line[0]["event"], "saga_started");
        assert_eq!(history_line.last().expect("facts")["event"], "saga_completed");
        for saga_id in [kept, slow] {
            assert!(!files.contains_key(&saga_id.to_string()), "not while it is wanted");
        }

        // Killed in the middle of it, again and again, with other owners; the slow one goes on with all it was.
        drop(first);
        for run in ["second", "third"] {
            let next = orchestrator(&world, run, policy(EVER, Some(archive.path()))).await;
            assert_eq!(history(&world, slow).await.expect("a history"), begun);
            sweep(&world, &next).await;
            drop(next);
        }
        let last = orchestrator(&world, "last", policy(EVER, Some(archive.path()))).await;
        drop(workers);
        let _workers = Workers::start(&world.client, succeed);
        let view = world.until_status(slow, SagaStatus::Completed).await;
        sweep(&world, &last).await;
        until("the slow one's history to go", PATIENCE, async || {
            let now = history(&world, slow).await.expect("a history");
            (names(&now) == ["history_trimmed"]).then_some(())
        })
        .await;
        let files = archived(archive.path());
        let slow_line = &files[&slow.to_string()][0]["history"];
        assert_eq!(slow_line.as_array().map(Vec::len), usize::try_from(view.event_count).ok(), "whole, though moved");
        assert_eq!(history(&world, kept).await.expect("a history"), whole);
        last.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_goes_after_its_history_and_one_that_is_moved_again_stays() {
    in_time(async {
        let world = World::new().await;
        let _workers = Workers::start(&world.client, patient);
        let first = orchestrator(&world, "first", policy(EVER, None)).await;
        let (short, kept) = (start(&world, "four", "hello").await, start(&world, "kept", "hello").await);
        let slow = start(&world, "slow", "wait").await;
        for saga_id in [short, kept] {
            world.until_status(saga_id, SagaStatus::Completed).await;
        }
        sweep(&world, &first).await;
        assert!(world.get(short).await.is_ok());
        first.stop().await;

        let second = orchestrator(&world, "second", policy(Duration::ZERO, None)).await;
        until("the saga to go", PATIENCE, async || {
            let problem = world.get(short).await.err()?;
            assert_eq!(problem.code, "saga_not_found", "{problem}");
            Some(())
        })
        .await;
        let listed = SurrealStore::open(world.database.clone()).await.expect("opens");
        let page = amends_engine::ports::Store::list(&listed, &ListSagas::default()).await.expect("a page");
        let ids: Vec<SagaId> = page.items.iter().map(|saga| saga.saga_id).collect();
        assert!(ids.contains(&kept) && ids.contains(&slow) && !ids.contains(&short), "{ids:?}");
        // One that is cancelled while it waits is as alive as any.
        let cancel = CancelSaga { saga_id: slow, by: "op".into(), reason: "enough".into(), parent: None };
        let cancelled: Result<Cancellation, Problem> = world.ask(slow, PartitionVerb::Cancel, &cancel).await;
        assert!(cancelled.is_ok(), "{cancelled:?}");
        assert!(world.get(slow).await.is_ok());
        // The same request starts anew what is forgotten.
        let request = StartSaga { saga_id: short, ..start_request("four") };
        let again: Result<amends_schemas::saga::SagaView, Problem> =
            world.ask(short, PartitionVerb::Start, &request).await;
        assert!(again.is_ok(), "{again:?}");
        second.stop().await;
        // What is left can be taken over.
        let third = orchestrator(&world, "third", policy(EVER, None)).await;
        assert!(world.get(slow).await.is_ok() && world.get(kept).await.is_ok());
        third.stop().await;
    })
    .await;
}
