//! What breaks, broken on purpose: owners, streams, servers.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amends_bus::Orchestrator;
use amends_engine::status::Role;
use amends_schemas::ids::SagaId;
use amends_schemas::saga::SagaStatus;
use amends_test_support::wait::until;
use common::worker::{Workers, succeed};
use common::{Everybodys, FOUR, PATIENCE, STEPS, World, in_time, library_of, owns_all};
use serde_json::json;

/// A worker that holds back: gets commands and answers none until told.
fn held_back(open: Arc<std::sync::atomic::AtomicBool>) -> impl Fn(&serde_json::Value) -> Option<serde_json::Value> {
    move |command| {
        if open.load(std::sync::atomic::Ordering::SeqCst) { succeed(command) } else { None }
    }
}

async fn all_completed(world: &World, sagas: &[SagaId]) {
    for saga_id in sagas {
        world.until_status(*saga_id, SagaStatus::Completed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_go_on_when_their_orchestrator_is_killed_and_started_again() {
    in_time(async {
        let world = World::new().await;
        let first = world.orchestrator("first").await;
        let workers = Workers::start(&world.client, succeed);
        let mut sagas = Vec::new();
        for _ in 0..40 {
            sagas.push(world.start("four").await);
        }
        // Without a word: nothing is finished, nothing given back.
        drop(first);
        let second = world.orchestrator("second").await;
        all_completed(&world, &sagas).await;
        assert_eq!(workers.done().len(), sagas.len() * STEPS.len());
        world.assert_no_saga_was_driven_twice().await;
        let status = second.status();
        assert!(status.partitions.iter().all(|partition| partition.epoch == 2), "{status:?}");
        second.stop().await;

        // Stopped cleanly, nothing is left to replay, and the lease is free at once.
        let third = world.orchestrator("third").await;
        assert!(third.status().partitions.iter().all(|partition| partition.saga_count == 0));
        all_completed(&world, &sagas).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backoff_goes_on_over_a_restart() {
    in_time(async {
        let world = World::new().await;
        let first = world.orchestrator("first").await;
        let workers = Workers::start(&world.client, |command| {
            if command["step"] == "a" && command["attempt"] == 1 {
                return Some(json!({"status": "retry", "error": {"code": "busy", "message": "later"}}));
            }
            succeed(command)
        });
        let saga_id = world.start("four").await;
        until("the step to back off", PATIENCE, async || {
            let view = world.get(saga_id).await.ok()?;
            (view.steps[0].status == amends_schemas::saga::StepStatus::BackingOff).then_some(())
        })
        .await;
        drop(first);
        let _second = world.orchestrator("second").await;
        let view = world.until_status(saga_id, SagaStatus::Completed).await;
        assert_eq!(view.steps[0].attempt, 2);
        assert_eq!(workers.done().len(), STEPS.len());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_is_filled_again() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let sagas = [world.start("four").await, world.start("four").await];
        world.client.jetstream().delete_stream("AMENDS_COMMANDS").await.expect("deleted");
        world.client.jetstream().delete_stream("AMENDS_EVENTS").await.expect("deleted");
        let _workers = Workers::start(&world.client, succeed);
        all_completed(&world, &sagas).await;
        world.assert_no_saga_was_driven_twice().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_go_on_when_the_server_is_killed_and_its_store_deleted() {
    in_time(async {
        let mut world = World::new().await;
        let orchestrator = world.orchestrator("one").await;
        let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let workers = Workers::start(&world.client, held_back(Arc::clone(&open)));
        let mut sagas = Vec::new();
        for _ in 0..10 {
            sagas.push(world.start("four").await);
        }
        until("a worker to hold a command", PATIENCE, async || (!workers.received().is_empty()).then_some(())).await;
        world.nats.kill().await;
        world.nats.delete_store();
        open.store(true, std::sync::atomic::Ordering::SeqCst);
        world.nats.start().await;
        all_completed(&world, &sagas).await;
        world.assert_no_saga_was_driven_twice().await;
        let status = orchestrator.status();
        assert!(status.partitions.iter().all(|partition| partition.epoch == 1), "nobody was replaced: {status:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_the_journal_lets_one_go_on() {
    in_time(async {
        let world = World::new().await;
        let workers = Workers::start(&world.client, succeed);
        let start = async |owner: &str| {
            Orchestrator::start_with(world.parts(owner, library_of(&[FOUR])), |_, _| Arc::new(Everybodys))
                .await
                .expect("it starts")
        };
        let first = start("first").await;
        until("the first to own", PATIENCE, async || owns_all(&first).then_some(())).await;
        // So many that the first is busy writing while the second takes over.
        let mut sagas = Vec::new();
        for _ in 0..60 {
            sagas.push(world.start("four").await);
        }
        let second = start("second").await;
        until("the second to own", PATIENCE, async || owns_all(&second).then_some(())).await;
        // Both take requests now; whoever is fenced answers nothing, so clients ask again.
        until("the first to be fenced everywhere", PATIENCE, async || {
            let mut request = common::start_request("four");
            request.tags = BTreeSet::new();
            sagas.push(request.saga_id);
            for _ in 0..20 {
                let verb = amends_schemas::subjects::PartitionVerb::Start;
                let started: Result<amends_schemas::saga::SagaView, _> =
                    tokio::time::timeout(Duration::from_millis(500), world.ask(request.saga_id, verb, &request))
                        .await
                        .unwrap_or_else(|_| Err(amends_schemas::problem::Problem::unavailable("late", "no answer")));
                if started.is_ok() {
                    break;
                }
            }
            let fenced =
                first.status().partitions.iter().all(
                    |partition| matches!(&partition.role, Role::Fenced { by, epoch: 2 } if by.starts_with("second")),
                );
            fenced.then_some(())
        })
        .await;
        all_completed(&world, &sagas).await;
        assert!(owns_all(&second));
        assert!(!first.status().is_ready());
        assert_eq!(workers.done().len(), sagas.len() * STEPS.len());
        world.assert_no_saga_was_driven_twice().await;
        // It stays so: a lease that was held all along says nothing.
        let epochs: BTreeSet<u64> = world.journal().await.iter().map(|record| record.epoch).collect();
        assert_eq!(epochs, BTreeSet::from([1, 2]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_orchestrator_stands_by_until_the_first_is_gone() {
    in_time(async {
        let world = World::new().await;
        let first = world.orchestrator("first").await;
        let second = Orchestrator::start(world.parts("second", library_of(&[FOUR]))).await.expect("it starts");
        until("the second to stand by", PATIENCE, async || {
            let standing_by = second.status().partitions.iter().all(|partition| {
                matches!(&partition.role, Role::Standby { owner: Some(owner) } if owner.starts_with("first"))
            });
            standing_by.then_some(())
        })
        .await;
        let saga_id = world.start("four").await;
        first.stop().await;
        let _workers = Workers::start(&world.client, succeed);
        world.until_status(saga_id, SagaStatus::Completed).await;
        assert!(second.status().is_ready());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_whose_definition_is_missing_is_parked_and_others_are_served() {
    in_time(async {
        let world = World::new().await;
        let other = FOUR.replace("saga: four", "saga: other");
        let both = || library_of(&[FOUR, &other]);
        let first = world.serving("first", both()).await;
        let parked = world.start("other").await;
        let served = world.start("four").await;
        drop(first);
        // From the journal's tail, and after a clean stop from the view.
        for run in ["second", "third"] {
            let without = world.serving(run, library_of(&[FOUR])).await;
            let status = without.status();
            assert_eq!(status.parked().map(|saga| saga.saga_id).collect::<Vec<_>>(), [parked]);
            let problem = world.get(parked).await.expect_err("parked");
            assert_eq!(problem.code, "definition_missing");
            assert!(world.get(served).await.is_ok());
            without.stop().await;
        }
        let _workers = Workers::start(&world.client, succeed);
        let last = world.serving("last", both()).await;
        assert_eq!(last.status().parked().count(), 0);
        all_completed(&world, &[parked, served]).await;
    })
    .await;
}
