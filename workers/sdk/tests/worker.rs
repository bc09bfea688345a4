//! A running worker: commands in, replies out, whatever goes wrong in between.
#![allow(clippy::unwrap_used)]

mod floor;
mod lab;

use std::sync::Arc;
use std::time::Duration;

use amends_schemas::command::{Command, Operation, StepResult};
use amends_schemas::ids::SagaId;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::subjects;
use amends_schemas::topology::COMMANDS;
use amends_sdk::WorkerSettings;
use amends_sdk::testing::command;
use amends_test_support::wait::until;
use floor::*;
use lab::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const REPLIES: &str = "amends.test.replies";

fn pour(how: &str) -> Command {
    command::<Pour>(Operation::Do, SagaId::generate(), PourInput { glass: "a".to_owned(), how: how.to_owned() })
}

fn full(run: i64) -> StepResult {
    StepResult::Succeeded { outcome: Some("full".to_owned()), output: json!({ "run": run }) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_done_answered_and_gone_and_a_second_one_is_answered_the_same() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    let command = pour("");
    floor.send(&command).await;
    let reply = owner.take().await;
    assert_eq!((reply.saga_id, reply.attempt, &reply.result), (command.saga_id, 1, &full(1)));
    floor.send(&Command { attempt: 2, ..command }).await;
    let again = owner.take().await;
    assert_eq!((again.attempt, &again.result), (2, &full(1)));
    floor.until_queue_is_empty().await;
    worker.stop().await;
    assert_eq!((floor.watch.runs(), counted(&floor.database, "a").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_not_taken_is_given_again_without_doing_it_again() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    floor.send(&pour("")).await;
    until("the first run", DEADLINE, async || (floor.watch.runs() == 1).then_some(())).await;
    // Nobody owns the partition until now; then an owner that cannot commit; then one that can.
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    assert_eq!(owner.next(Some("-ERR")).await.result, full(1));
    assert_eq!(owner.take().await.result, full(1));
    floor.until_queue_is_empty().await;
    worker.stop().await;
    assert_eq!(floor.watch.runs(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_in_doubt_and_the_worker_lives_on() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    floor.send(&pour("panic")).await;
    let reply = owner.take().await;
    assert!(matches!(reply.result, StepResult::Unknown { error } if error.code == "bug"));
    floor.send(&pour("")).await;
    assert_eq!(owner.take().await.result, full(2));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_takes_longer_than_the_ack_wait_runs_once() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    let other = floor.worker();
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    floor.send(&pour("slow")).await;
    assert_eq!(owner.take().await.result, full(1));
    floor.until_queue_is_empty().await;
    worker.stop().await;
    other.stop().await;
    assert_eq!(floor.watch.runs(), 1, "nobody else was given the command in the meantime");
}

/// The worker's runtime is dropped in the middle of a handler, as a kill would; only the database, in another, goes on.
#[test]
fn a_worker_killed_in_its_handler_leaves_the_command_to_the_next() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let floor = runtime.block_on(Floor::new());
    let doomed = tokio::runtime::Runtime::new().unwrap();
    let (watch, database, url) = (Arc::clone(&floor.watch), floor.database.clone(), floor.server.url());
    doomed.spawn(async move {
        let nats = connect(url).await;
        lab(&watch).run(nats, database, &contracts(), WorkerSettings::default(), CancellationToken::new()).await
    });
    runtime.block_on(async {
        floor.send(&pour("wait")).await;
        tokio::time::timeout(DEADLINE, floor.watch.begun.notified()).await.unwrap();
    });
    doomed.shutdown_timeout(Duration::from_secs(1));

    runtime.block_on(async {
        let worker = floor.worker();
        let mut owner = Owner::new(&floor.nats, REPLIES).await;
        tokio::time::timeout(DEADLINE, floor.watch.begun.notified()).await.expect("another worker begins");
        floor.watch.go_on.notify_one();
        assert_eq!(owner.take().await.result, full(2));
        assert_eq!(counted(&floor.database, "a").await, 1, "begun twice, done once");
        worker.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_has_begun_and_leaves_the_rest() {
    let floor = Floor::new().await;
    let worker = floor.worker_with(WorkerSettings { concurrency: 1, ..WorkerSettings::default() });
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    floor.send(&pour("wait")).await;
    tokio::time::timeout(DEADLINE, floor.watch.begun.notified()).await.unwrap();
    floor.send(&pour("")).await;
    worker.stop.cancel();
    floor.watch.go_on.notify_one();
    assert_eq!(owner.take().await.result, full(1));
    worker.stop().await;
    assert_eq!((floor.watch.runs(), floor.queued().await), (1, 1), "the second was never begun");

    let next = floor.worker();
    assert_eq!(owner.take().await.result, full(2));
    floor.until_queue_is_empty().await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_outlasts_the_drain_is_given_back() {
    let floor = Floor::new().await;
    let drain = Duration::from_millis(100);
    let worker = floor.worker_with(WorkerSettings { drain, ..WorkerSettings::default() });
    floor.send(&pour("wait")).await;
    tokio::time::timeout(DEADLINE, floor.watch.begun.notified()).await.unwrap();
    worker.stop().await;
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    let next = floor.worker();
    tokio::time::timeout(Duration::from_secs(4), floor.watch.begun.notified()).await.expect("sooner than the ack wait");
    floor.watch.go_on.notify_one();
    assert_eq!(owner.take().await.result, full(2));
    next.stop().await;
    assert_eq!(counted(&floor.database, "a").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_when_streams_vanish_and_when_the_server_loses_its_store() {
    let mut floor = Floor::new().await;
    let worker = floor.worker();
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    floor.send(&pour("")).await;
    assert_eq!(owner.take().await.result, full(1));

    floor.nats.jetstream().delete_stream(COMMANDS.name).await.unwrap();
    floor.send(&pour("")).await;
    assert_eq!(owner.take().await.result, full(2));

    floor.server.kill().await;
    floor.server.delete_store();
    floor.server.start().await;
    until("the connection", DEADLINE, async || floor.nats.ensure_streams().await.ok()).await;
    floor.send(&pour("")).await;
    assert_eq!(owner.take().await.result, full(3));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_are_each_done_once_by_two_workers() {
    const COUNT: usize = 300;
    let floor = Floor::new().await;
    let workers = [floor.worker(), floor.worker()];
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    for number in 0..COUNT {
        let glass = format!("glass {number}");
        let input = PourInput { glass, how: String::new() };
        floor.send(&command::<Pour>(Operation::Do, SagaId::generate(), input)).await;
    }
    let mut sagas = std::collections::BTreeSet::new();
    while sagas.len() < COUNT {
        sagas.insert(owner.take().await.saga_id);
    }
    floor.until_queue_is_empty().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(floor.watch.runs() as usize, COUNT);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_served_and_discovered_and_background_work_is_done() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    let subject = subjects::context_endpoint("lab", "count");
    let request = json!({ "glass": "a" });
    let answer: i64 =
        until("an answer", DEADLINE, async || floor.nats.ask(subject.clone(), &request, DEADLINE).await.ok()).await;
    assert_eq!(answer, 1);
    let problem: Problem =
        floor.nats.ask::<_, Value>(subject, &json!({ "glass": "broken" }), DEADLINE).await.unwrap_err();
    assert_eq!((problem.kind, problem.code.as_str()), (ProblemKind::NotFound, "no_such_glass"));

    let info = floor.nats.client().request("$SRV.INFO.lab", "".into()).await.unwrap();
    let info: Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["metadata"]["contracts"], "lab.pour@1,lab.gulp@1");
    assert!(info["endpoints"].as_array().unwrap().iter().any(|endpoint| endpoint["name"] == "count"), "{info}");
    until("a tidy lab", DEADLINE, async || (counted(&floor.database, "tidied").await >= 2).then_some(())).await;
    worker.stop().await;
}
