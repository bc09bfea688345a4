//! Rolling back: sagas of which a newer version wrote what this one does not know are left alone; all others go on.

mod common;

use std::collections::BTreeMap;

use amends_bus::Orchestrator;
use amends_core::event::{Event, Fact};
use amends_core::state::SagaState;
use amends_engine::ports::{JournalEntry, JournalRecord, Store};
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{HistoryEntry, SagaRef, SagaStatus, SagaView, StartSaga};
use amends_schemas::subjects::PartitionVerb;
use common::worker::{Workers, succeed};
use common::{PARTITIONS, World, in_time, start_request};
use serde::Serialize;
use serde_json::{Value, json};

const P: PartitionId = PartitionId(0);

/// What a later version might write: facts and fields of its own between those of today.
#[derive(Serialize)]
struct NewerEntry {
    saga_id: SagaId,
    events: Vec<NewerEvent>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum NewerEvent {
    Known(Event),
    WithField { at: chrono::DateTime<chrono::Utc>, fact: Fact, mood: &'static str },
    WithFact { at: chrono::DateTime<chrono::Utc>, fact: BTreeMap<&'static str, Value> },
}

/// A saga's row, of this version or of a newer one.
#[derive(Serialize)]
struct Row<'a, S> {
    state: S,
    positions: &'a [u64],
}

#[derive(Serialize)]
struct NewerState<'a> {
    #[serde(flatten)]
    state: &'a SagaState,
    moods: u8,
}

/// In partition [`P`].
fn request() -> StartSaga {
    let count = PartitionCount::new(PARTITIONS).expect("in range");
    std::iter::repeat_with(|| start_request("four"))
        .find(|request| request.saga_id.partition(count) == P)
        .expect("every second one")
}

async fn start(world: &World, request: &StartSaga) -> Result<SagaView, Problem> {
    world.ask(request.saga_id, PartitionVerb::Start, request).await
}

/// The number of the store's format that is MessagePack and nothing else.
const PLAIN: u8 = 1;

/// Puts MessagePack into a column.
async fn put(world: &World, column: &str, record: &str, blob: &[u8]) {
    let statement = format!("UPDATE {record} SET {column} = <bytes>$blob, format = {PLAIN}");
    world.database.query(&statement, json!({"blob": blob})).await.expect("written");
}

/// A blob as it stands.
async fn blob(world: &World, column: &str, record: &str) -> Option<Vec<u8>> {
    let statement = format!("SELECT VALUE <array<int>>{column} FROM {record}");
    world.database.query(&statement, ()).await.and_then(|mut rows| rows.take_first(0)).expect("read")
}

/// The journal of [`P`] as one would find it after a version that does not project: all entries in its second record, no rows.
async fn rewind(world: &World) -> Vec<JournalEntry> {
    let records: Vec<JournalRecord> =
        world.store.records(P, &(1..=100).collect::<Vec<_>>()).await.expect("the journal is read");
    let entries: Vec<JournalEntry> = records.iter().flat_map(|record| record.entries.clone()).collect();
    let empty = rmp_serde::to_vec_named(&Vec::<JournalEntry>::new()).expect("written");
    for record in &records {
        put(world, "entries", &format!("journal:[0, {}]", record.position), &empty).await;
    }
    world.database.query("DELETE saga; DELETE checkpoint", ()).await.expect("deleted");
    entries
}

/// The same entries as a newer version might have written them.
fn as_newer(entries: &[JournalEntry], with_fact: SagaId, with_field: SagaId) -> Vec<u8> {
    let newer: Vec<NewerEntry> = entries
        .iter()
        .map(|entry| {
            let mut events: Vec<NewerEvent> = entry.events.iter().cloned().map(NewerEvent::Known).collect();
            let first = entry.events[0].clone();
            if entry.saga_id == with_fact {
                let fact = BTreeMap::from([("ship_launched", json!({"name": "Argo"}))]);
                events.push(NewerEvent::WithFact { at: first.at, fact });
            }
            if entry.saga_id == with_field {
                events[0] = NewerEvent::WithField { at: first.at, fact: first.fact, mood: "cheerful" };
            }
            NewerEntry { saga_id: entry.saga_id, events }
        })
        .collect();
    rmp_serde::to_vec_named(&newer).expect("written")
}

fn parked(orchestrator: &Orchestrator) -> BTreeMap<SagaId, String> {
    orchestrator.status().parked().map(|saga| (saga.saga_id, saga.reason.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_a_newer_version_park_their_sagas_and_nothing_beside_them() {
    in_time(async {
        let world = World::new().await;
        let first = world.orchestrator("first").await;
        let requests = [request(), request(), request()];
        for request in &requests {
            start(&world, request).await.expect("accepted");
        }
        let [with_fact, beside, with_field] = requests.each_ref().map(|request| request.saga_id);
        first.stop().await;
        let entries = rewind(&world).await;
        let newer = as_newer(&entries, with_fact, with_field);
        put(&world, "entries", "journal:[0, 2]", &newer).await;

        let _workers = Workers::start(&world.client, succeed);
        // From the journal's tail; then, when the checkpoint has passed it, from what was remembered.
        for run in ["second", "third", "fourth"] {
            let orchestrator = world.orchestrator(run).await;
            let reasons = parked(&orchestrator);
            assert_eq!(reasons.keys().copied().collect::<Vec<_>>(), sorted([with_fact, with_field]), "{run}");
            assert!(reasons[&with_fact].contains("unknown variant `ship_launched`"), "{reasons:?}");
            assert!(reasons[&with_field].contains("events.0.mood"), "{reasons:?}");
            for request in [&requests[0], &requests[2]] {
                let problem = world.get(request.saga_id).await.expect_err("parked");
                assert_eq!((problem.code.as_str(), problem.kind), ("record_unread", ProblemKind::Unavailable));
                let problem = start(&world, request).await.expect_err("not a second time");
                assert_eq!(problem.code, "record_unread");
                let saga_id = request.saga_id;
                let history: Result<Vec<HistoryEntry>, _> =
                    world.ask(saga_id, PartitionVerb::History, &SagaRef { saga_id }).await;
                assert_eq!(history.expect_err("parked").code, "record_unread");
            }
            world.until_status(beside, SagaStatus::Completed).await;
            let another = request();
            start(&world, &another).await.expect("accepted");
            world.until_status(another.saga_id, SagaStatus::Completed).await;
            orchestrator.stop().await;
            assert!(world.store.recover(P).await.expect("recovers").tail.iter().all(|record| record.position > 2));
            assert_eq!(blob(&world, "entries", "journal:[0, 2]").await, Some(newer.clone()), "left as it was");
            for saga_id in [with_fact, with_field] {
                assert_eq!(blob(&world, "state", &format!("saga:⟨{saga_id}⟩")).await, None, "nothing half understood");
            }
        }

        // A version comes that knows it all: here, by writing what this one knows.
        put(&world, "entries", "journal:[0, 2]", &rmp_serde::to_vec_named(&entries).expect("written")).await;
        let newest = world.orchestrator("newest").await;
        assert_eq!(parked(&newest), BTreeMap::new());
        for saga_id in [with_fact, with_field] {
            world.until_status(saga_id, SagaStatus::Completed).await;
        }
        newest.stop().await;
        let last = world.orchestrator("last").await;
        world.until_status(with_fact, SagaStatus::Completed).await;
        last.stop().await;
        assert_eq!(world.store.recover(P).await.expect("recovers").parked, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_newer_version_parks_its_saga_and_is_not_written_over() {
    in_time(async {
        let world = World::new().await;
        let first = world.orchestrator("first").await;
        let (newer, beside) = (request(), request());
        for request in [&newer, &beside] {
            start(&world, request).await.expect("accepted");
        }
        first.stop().await;
        let stored = world.store.load(newer.saga_id).await.expect("read").expect("projected");
        let (state, positions) = (&stored.state, stored.positions.as_slice());
        let written =
            rmp_serde::to_vec_named(&Row { state: NewerState { state, moods: 3 }, positions }).expect("written");
        let record = format!("saga:⟨{}⟩", newer.saga_id);
        put(&world, "state", &record, &written).await;

        let _workers = Workers::start(&world.client, succeed);
        for run in ["second", "third"] {
            let orchestrator = world.orchestrator(run).await;
            let status = orchestrator.status();
            let parked: Vec<_> = status.parked().collect();
            assert_eq!(parked.len(), 1, "{parked:?}");
            assert_eq!((parked[0].saga_id, parked[0].definition.as_str()), (newer.saga_id, "four@1"));
            assert!(parked[0].reason.contains("moods"), "{parked:?}");
            assert_eq!(world.get(newer.saga_id).await.expect_err("parked").code, "record_unread");
            world.until_status(beside.saga_id, SagaStatus::Completed).await;
            // What its workers answer meanwhile is not taken, so that they say it again.
            let reply = json!({"saga_id": newer.saga_id, "step": "a", "operation": "do", "attempt": 1,
                "result": {"status": "succeeded", "output": {}}});
            let subject = amends_schemas::subjects::partition(P, PartitionVerb::Reply);
            let answer: Result<Value, Problem> = world.ask_at(&subject, &reply).await;
            assert!(answer.is_err(), "{answer:?}");
            orchestrator.stop().await;
            assert_eq!(blob(&world, "state", &record).await, Some(written.clone()), "left as it was");
        }

        put(&world, "state", &record, &rmp_serde::to_vec_named(&Row { state, positions }).expect("written")).await;
        let newest = world.orchestrator("newest").await;
        assert_eq!(parked(&newest), BTreeMap::new());
        world.until_status(newer.saga_id, SagaStatus::Completed).await;
    })
    .await;
}

fn sorted(mut ids: [SagaId; 2]) -> Vec<SagaId> {
    ids.sort();
    ids.to_vec()
}
