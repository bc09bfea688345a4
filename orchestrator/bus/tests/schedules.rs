//! Schedules over a real nats-server and a real database: who starts what is due, and how often.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amends_bus::transport::NatsTransport;
use amends_engine::chore::Chore;
use amends_engine::ports::Transport;
use amends_engine::schedules::{ScheduleRunner, ScheduleStore};
use amends_schemas::ids::{PartitionCount, PartitionId};
use amends_schemas::problem::ProblemKind;
use amends_schemas::saga::{ListSagas, Page, SagaSummary};
use amends_schemas::schedule::{
    CatchUp, CreateSchedule, OperateSchedule, ScheduleAct, ScheduleOperated, ScheduleRef, ScheduleSpec, ScheduleView,
    schedule_tag,
};
use amends_schemas::search::SagaFilter;
use amends_schemas::subjects::{ORCHESTRATOR_LIST, SCHEDULE_CREATE, SCHEDULE_GET, SCHEDULE_OPERATE};
use amends_test_support::wait::until;
use chrono::{DateTime, TimeDelta, Utc};
use common::{PARTITIONS, PATIENCE, World, in_time, library_of};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

/// Waits for a worker that never comes.
const TICK: &str = "
saga: tick
version: 1
title: Tick
input: {type: object, properties: {at: {type: string}}, additionalProperties: false}
steps:
  - {name: a, call: test.a@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
";

const NAME: &str = "every-second";

/// How long one answer may take before the question is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks as the API does: whoever was asked may be about to end, and then somebody else is.
async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(world: &World, subject: &str, question: &Q) -> A {
    until(subject, PATIENCE, async || match world.client.ask(subject.to_owned(), question, ANSWER_TIMEOUT).await {
        Err(problem) if problem.kind == ProblemKind::Unavailable => None,
        answer => Some(answer.unwrap_or_else(|problem| panic!("{subject}: {problem}"))),
    })
    .await
}

async fn create(world: &World, catch_up: CatchUp) -> ScheduleView {
    let spec = ScheduleSpec {
        definition: "tick".into(),
        version: None,
        input: json!({}),
        time_member: Some("at".into()),
        tags: BTreeSet::new(),
        cron: "* * * * * *".into(),
        time_zone: "UTC".into(),
        catch_up,
    };
    let request = CreateSchedule {
        name: NAME.into(),
        operation_id: Uuid::now_v7(),
        by: "test".into(),
        reason: String::new(),
        paused: false,
        spec,
    };
    ask(world, SCHEDULE_CREATE, &request).await
}

async fn read(world: &World) -> ScheduleView {
    ask(world, SCHEDULE_GET, &ScheduleRef { name: NAME.into() }).await
}

/// Starts what is due, whoever owns what.
fn another_runner(world: &World) -> tokio::task::JoinHandle<()> {
    let transport: Arc<dyn Transport> = Arc::new(NatsTransport::new(world.client.clone()));
    let store = Arc::clone(&world.store) as Arc<dyn ScheduleStore>;
    let partition_count = PartitionCount::new(PARTITIONS).expect("in range");
    let runner = ScheduleRunner { store, transport, partition_count };
    tokio::spawn(async move { runner.run().await })
}

/// The times for which there is a saga, once there is one for `last`; each has one.
async fn times_until(world: &World, last: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
    until("every saga to be listed", PATIENCE, async || {
        let (mut times, mut cursor) = (BTreeSet::new(), None);
        loop {
            let filter = SagaFilter { tag: vec![schedule_tag(NAME)], ..SagaFilter::default() };
            let question = ListSagas { filter, cursor, ..ListSagas::default() };
            let page: Page<SagaSummary> = ask(world, ORCHESTRATOR_LIST, &question).await;
            for summary in page.items {
                let saga = world.get(summary.saga_id).await.expect("it is there");
                let time = saga.input["at"].as_str().expect("a time").parse().expect("a time");
                assert!(times.insert(time), "two sagas for {time}");
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Some(times).filter(|times| times.contains(&last));
            }
        }
    })
    .await
}

fn assert_dense(times: &BTreeSet<DateTime<Utc>>) {
    let (first, last) = (times.first().expect("some"), times.last().expect("some"));
    assert_eq!(i64::try_from(times.len()).expect("few"), (*last - *first).num_seconds() + 1, "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runners_at_once_and_a_lost_record_start_each_time_once() {
    in_time(async {
        let world = World::new().await;
        let parts = world.parts("one", library_of(&[TICK]));
        let orchestrator = amends_bus::Orchestrator::start(parts).await.expect("it starts");
        let other = another_runner(&world);
        create(&world, CatchUp::All).await;
        let reached = until("a few times", PATIENCE, async || read(&world).await.last_at).await;
        let reached = until("more", PATIENCE, async || {
            read(&world).await.last_at.filter(|last| *last - reached >= TimeDelta::seconds(3))
        })
        .await;
        // As if a process had died after it started sagas and before it wrote that down; and with another input by now.
        until("the record to be lost", PATIENCE, async || {
            let mut schedule = world.store.schedule(NAME).await.expect("read").expect("there");
            schedule.settled_until = schedule.created_at;
            schedule.next_at = Some(reached);
            schedule.spec.tags = ["another".to_owned()].into();
            world.store.put_schedule(&schedule).await.expect("written").then_some(())
        })
        .await;
        let last =
            until("it to go on", PATIENCE, async || read(&world).await.last_at.filter(|last| *last > reached)).await;
        other.abort();
        let times = times_until(&world, last).await;
        assert_dense(&times);
        orchestrator.stop().await;
        world.assert_no_saga_was_driven_twice().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_own_the_first_partition_starts_nothing_and_answers_all_the_same() {
    in_time(async {
        let world = World::new().await;
        let first = amends_bus::Orchestrator::start(world.parts("one", library_of(&[TICK]))).await.expect("it starts");
        create(&world, CatchUp::All).await;
        until("a first time", PATIENCE, async || read(&world).await.last_at).await;
        let second = amends_bus::Orchestrator::start(world.parts("two", library_of(&[TICK]))).await.expect("it starts");
        assert!(second.engine().partition(PartitionId(0)).is_none(), "it stands by");
        // Either of them answers.
        for _ in 0..20 {
            read(&world).await;
        }
        first.stop().await;
        let stopped = read(&world).await.last_at.expect("some");
        let last = until("the second to go on", PATIENCE, async || {
            read(&world).await.last_at.filter(|last| *last - stopped >= TimeDelta::seconds(2))
        })
        .await;
        assert_dense(&times_until(&world, last).await);
        // Once it is paused nothing more is due to anybody.
        let pause = OperateSchedule {
            name: NAME.into(),
            operation_id: Uuid::now_v7(),
            by: "test".into(),
            reason: String::new(),
            act: ScheduleAct::Pause,
        };
        let paused: ScheduleOperated = ask(&world, SCHEDULE_OPERATE, &pause).await;
        assert_eq!(read(&world).await.next_at, None);
        let due = world.store.due_schedules(paused.act.at + TimeDelta::days(1), "", 10).await.expect("read");
        assert!(due.is_empty(), "{due:?}");
        second.stop().await;
    })
    .await;
}
