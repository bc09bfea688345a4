//! Domain events: out of one context's outbox, into another's inbox.
#![allow(clippy::unwrap_used)]

mod floor;
mod lab;

use std::collections::BTreeSet;
use std::time::Duration;

use amends_nats::Nats;
use amends_schemas::command::Operation;
use amends_schemas::dead_letter::{self, ActOnDeadLetter, DeadLetterActed, DeadLetterStatus};
use amends_schemas::event::CloudEvent;
use amends_schemas::ids::SagaId;
use amends_schemas::subjects;
use amends_schemas::topology::EVENTS;
use amends_sdk::testing::{command, event};
use amends_test_support::wait::until;
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull;
use floor::*;
use futures::StreamExt;
use lab::*;
use serde_json::json;
use uuid::Uuid;

async fn publish(nats: &Nats, event: &CloudEvent) {
    nats.ensure_streams().await.unwrap();
    let (subject, payload) = (subjects::domain_event(&event.event_type), serde_json::to_vec(event).unwrap());
    let id = Uuid::now_v7().to_string();
    nats.publish_acked(&subject, &id, HeaderMap::new(), payload.into()).await.unwrap();
}

/// Ids of all `lab` events in the stream, once there are `count`.
async fn in_stream(nats: &Nats, count: usize) -> BTreeSet<Uuid> {
    until("events in the stream", DEADLINE, async || {
        let stream = nats.jetstream().get_stream(EVENTS.name).await.ok()?;
        let config = pull::Config { filter_subject: "amends.evt.lab.>".to_owned(), ..Default::default() };
        let consumer = stream.create_consumer(config).await.ok()?;
        let mut messages = consumer.fetch().max_messages(1000).messages().await.ok()?;
        let mut ids = BTreeSet::new();
        while let Some(Ok(message)) = messages.next().await {
            let event: CloudEvent = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!(message.headers.as_ref().unwrap().get("traceparent").unwrap().as_str(), TRACEPARENT);
            ids.insert(event.id);
        }
        (ids.len() >= count).then_some(ids)
    })
    .await
}

async fn pending(floor: &Floor) -> usize {
    floor.database.query("SELECT * FROM outbox_pending", ()).await.unwrap().take::<serde_json::Value>(0).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_published_after_the_commit_and_again_into_a_new_stream() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    let mut owner = Owner::new(&floor.nats, "amends.test.replies").await;
    for number in 0..20 {
        let input = PourInput { glass: format!("glass {number}"), how: String::new() };
        floor.send(&command::<Pour>(Operation::Do, SagaId::generate(), input)).await;
        owner.take().await;
    }
    let first = in_stream(&floor.nats, 20).await;
    until("no pending event", DEADLINE, async || (pending(&floor).await == 0).then_some(())).await;

    floor.nats.jetstream().delete_stream(EVENTS.name).await.unwrap();
    assert_eq!(in_stream(&floor.nats, 20).await, first, "everything that is kept is published again");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_committed_while_nobody_relays_are_published_by_the_next_worker() {
    let floor = Floor::new().await;
    let harness = amends_sdk::testing::Harness::on(lab(&floor.watch), floor.database.clone(), &contracts()).await;
    for _ in 0..600 {
        harness.execute::<Pour>(SagaId::generate(), json!({ "glass": "a" })).await;
    }
    assert_eq!(pending(&floor).await, 600);
    let worker = floor.worker();
    until("no pending event", DEADLINE, async || (pending(&floor).await == 0).then_some(())).await;
    let stream = floor.nats.jetstream().get_stream(EVENTS.name).await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 600);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_heard_once_by_two_workers_and_comes_again_after_a_bug() {
    let floor = Floor::new().await;
    let workers = [floor.worker(), floor.worker()];
    let news = event("events.EventPublished.v1", "e-1", 1, json!({ "title": "twice" }));
    for _ in 0..5 {
        publish(&floor.nats, &news).await;
    }
    until("it to be heard", DEADLINE, async || (counted(&floor.database, "e-1").await == 1).then_some(())).await;
    let settled = event("events.EventPublished.v1", "e-2", 1, json!({ "title": "after" }));
    publish(&floor.nats, &settled).await;
    until("the next", DEADLINE, async || (counted(&floor.database, "e-2").await == 1).then_some(())).await;
    until("no event left", DEADLINE, async || {
        let stream = floor.nats.jetstream().get_stream(EVENTS.name).await.unwrap();
        let mut consumer = stream.get_consumer::<pull::Config>("events-for-lab").await.unwrap();
        let info = consumer.info().await.unwrap();
        (info.num_ack_pending == 0 && info.num_pending == 0).then_some(())
    })
    .await;
    assert_eq!(counted(&floor.database, "e-1").await, 1);
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_put_aside() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    publish(&floor.nats, &event("events.EventPublished.v1", "e-1", 1, json!({ "name": 5 }))).await;
    floor.nats.ensure_streams().await.unwrap();
    let subject = subjects::domain_event("events.EventPublished.v1");
    floor.nats.publish_acked(&subject, "torn", HeaderMap::new(), "{".into()).await.unwrap();
    let letters = floor.letters(DeadLetterStatus::Dead, 2).await;
    let mut codes: Vec<&str> = letters.iter().map(|letter| letter.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["malformed_event", "unreadable_event"]);
    assert!(letters.iter().all(|letter| letter.subject == subject && letter.contract.is_none()));

    // Published again it fails again; a letter that another context has sent to itself is none of ours.
    let act = ActOnDeadLetter {
        id: letters[0].id.clone(),
        operation_id: Uuid::now_v7(),
        by: "ann".to_owned(),
        reason: String::new(),
    };
    let _: DeadLetterActed = floor.ask(dead_letter::REDRIVE, &act).await.unwrap();
    until("the letter to be dead again", DEADLINE, async || {
        let letters = floor.letters(DeadLetterStatus::Dead, 2).await;
        letters.iter().any(|letter| letter.id == act.id && letter.times == 2).then_some(())
    })
    .await;
    let good = |name: &str| event("events.EventPublished.v1", name, 1, json!({ "title": "good" }));
    let headers = HeaderMap::from_iter([(dead_letter::REDRIVEN_HEADER.parse().unwrap(), "other/1".parse().unwrap())]);
    let payload = serde_json::to_vec(&good("not ours")).unwrap();
    floor.nats.publish_acked(&subject, "for another", headers, payload.into()).await.unwrap();
    publish(&floor.nats, &good("ours")).await;
    until("ours", DEADLINE, async || (counted(&floor.database, "ours").await == 1).then_some(())).await;
    assert_eq!((floor.watch.heard(), counted(&floor.database, "not ours").await), (1, 0));
    tokio::time::timeout(Duration::from_secs(20), worker.stop()).await.unwrap();
}
