//! Who serves what, and what waits: told by an orchestrator over a real nats-server.

mod common;

use std::time::Duration;

use amends_bus::Orchestrator;
use amends_nats::Nats;
use amends_schemas::ids::SagaId;
use amends_schemas::presence::{ContractPresence, QueueView, QueuesView, WorkersView};
use amends_schemas::saga::{ListSagas, Page, SagaStatus, SagaSummary};
use amends_schemas::subjects::{self, SERVICE_PING};
use amends_schemas::topology::{ACK_PENDING_MAX, ACK_WAIT, COMMANDS};
use amends_test_support::wait::until;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::pull;
use chrono::{TimeDelta, Utc};
use common::worker::{Workers, succeed};
use common::{PATIENCE, STEPS, World, in_time};
use futures::StreamExt;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

/// Within this a change must be told: two looks that miss it, and a projection.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

/// What every sentence begins with while nobody serves the saga's first step.
const NOBODY: &str = "step `a`: no worker has served test.a@1 since ";

/// A process in any language that says it serves the first step, and does not.
async fn announcer(nats: &Nats) -> AbortOnDropHandle<()> {
    let client = nats.client().clone();
    let mut pings = client.subscribe(SERVICE_PING).await.expect("subscribes");
    client.flush().await.expect("the subscription stands");
    AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(ping) = pings.next().await {
            let answer = json!({
                "type": "io.nats.micro.v1.ping_response", "name": "test", "id": "announcer", "version": "7.1.0",
                "metadata": {"contracts": "test.a@1", "started_at": "2026-01-02T10:00:00Z"},
            });
            client.publish(ping.reply.expect("an inbox"), answer.to_string().into()).await.expect("publishes");
        }
    }))
}

/// The saga's sentence where it is read by its id and where it is listed, once both are as wanted.
async fn told(world: &World, saga_id: SagaId, what: &str, wanted: impl Fn(&str) -> bool) {
    until(what, TOLD_WITHIN, async || {
        let read = world.get(saga_id).await.ok()?.waiting_for?;
        let page: Page<SagaSummary> =
            world.ask_at(subjects::ORCHESTRATOR_LIST, &ListSagas::default()).await.expect("a page");
        let listed = page.items.into_iter().find(|item| item.saga_id == saga_id)?.waiting_for?;
        (wanted(&read) && wanted(&listed)).then_some(())
    })
    .await;
}

async fn presence(world: &World) -> ContractPresence {
    let view: WorkersView = world.ask_at(subjects::ORCHESTRATOR_WORKERS, &json!({})).await.expect("an answer");
    view.items.into_iter().find(|item| item.contract.as_ref().is_some_and(|c| c.step() == "a")).expect("it is called")
}

async fn queue(world: &World) -> QueueView {
    let view: QueuesView = world.ask_at(subjects::ORCHESTRATOR_QUEUES, &json!({})).await.expect("an answer");
    view.items.into_iter().find(|item| item.contract.step() == "a").expect("it is called")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_says_since_when_nobody_serves_its_contract_where_it_is_read_and_where_it_is_listed() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let saga_id = world.start("four").await;
        told(&world, saga_id, "that nobody was ever there", |said| {
            said.starts_with(NOBODY) && said.contains(" at least; sent at ")
        })
        .await;
        let before = presence(&world).await;
        assert_eq!((before.instance_count, before.last_seen_at), (0, None));
        assert!(before.unserved_since.is_some(), "{before:?}");
        let waiting = queue(&world).await;
        assert_eq!((waiting.waiting, waiting.with_workers, waiting.redelivered), (1, 0, 0));
        assert!(waiting.oldest_at.is_some());

        let announced = announcer(&world.client).await;
        told(&world, saga_id, "that somebody is there", |said| said.starts_with("step `a`: sent to its workers at "))
            .await;
        let there = presence(&world).await;
        assert_eq!(
            there.instances.iter().map(|i| (i.id.as_str(), i.version.as_str())).collect::<Vec<_>>(),
            [("announcer", "7.1.0")]
        );
        assert!(there.instances[0].started_at.is_some() && there.last_seen_at.is_some());
        assert_eq!(there.unserved_since, None);

        drop(announced);
        told(&world, saga_id, "that they are gone", |said| said.starts_with(NOBODY) && !said.contains("at least"))
            .await;
        let gone = presence(&world).await;
        assert_eq!(gone.instance_count, 0);
        assert_eq!(gone.unserved_since, gone.last_seen_at, "since it was last seen");

        // These pull without a word; the consumer tells of them, and what they do shows in the queue.
        let workers = Workers::start(&world.client, |command| {
            (command["contract"] != "test.a@1" || command["attempt"] != 1).then(|| succeed(command)).flatten()
        });
        told(&world, saga_id, "that somebody pulls", |said| said.starts_with("step `a`: sent to its workers at "))
            .await;
        let with_workers = until("the command to be with a worker", TOLD_WITHIN, async || {
            let queue = queue(&world).await;
            (queue.with_workers == 1).then_some(queue)
        })
        .await;
        assert_eq!((with_workers.waiting, with_workers.oldest_at), (0, waiting.oldest_at));
        let redelivered = async || (queue(&world).await.redelivered == 1).then_some(());
        until("what its worker never answers to be delivered again", PATIENCE, redelivered).await;

        drop(workers);
        let _workers = Workers::start(&world.client, succeed);
        world.until_status(saga_id, SagaStatus::Completed).await;
        let done = until("the queue to be empty", TOLD_WITHIN, async || {
            let queue = queue(&world).await;
            (queue.waiting + queue.with_workers == 0).then_some(queue)
        })
        .await;
        assert_eq!(done.oldest_at, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_silently_at_work_at_a_command_is_there() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let saga_id = world.start("four").await;
        // It answers no ping, takes one command, and says now and then that it is in progress.
        let consumer = world.client.command_consumer(&"test.a@1".parse().expect("a name")).await.expect("a consumer");
        let mut batch = consumer.batch().max_messages(1).expires(PATIENCE).messages().await.expect("pulls");
        let message = batch.next().await.expect("a command").expect("delivered");
        drop(batch);
        let taken_at = Utc::now();
        let working = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                message.ack_with(AckKind::Progress).await.expect("sent");
                tokio::time::sleep(ACK_WAIT - Duration::from_millis(500)).await;
            }
        }));
        told(&world, saga_id, "that it is sent", |said| said.starts_with("step `a`: sent to its workers at ")).await;
        until("looks enough to have missed it", PATIENCE, async || {
            let seen = presence(&world).await;
            assert_eq!((seen.unserved_since, queue(&world).await.with_workers), (None, 1), "{seen:?}");
            (seen.last_seen_at? - taken_at > TimeDelta::from_std(2 * ACK_WAIT).expect("short")).then_some(())
        })
        .await;
        let view = world.get(saga_id).await.expect("it is there");
        assert!(view.waiting_for.is_some_and(|said| said.starts_with("step `a`: sent to its workers at ")));

        drop(working);
        told(&world, saga_id, "that it is lost", |said| said.starts_with(NOBODY) && !said.contains("at least")).await;
        assert_eq!(queue(&world).await.with_workers, 1, "nobody has it, and it waits to be given to another");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_worker_in_any_language_finds_a_consumer_also_after_a_loss() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let _another = Orchestrator::start(world.parts("another", common::library())).await.expect("beside it");
        let found = async || {
            let stream = world.client.jetstream().get_stream(COMMANDS.name).await.ok()?;
            let mut consumers = Vec::new();
            for step in STEPS {
                consumers.push(stream.get_consumer::<pull::Config>(&format!("test-{step}-v1")).await.ok()?);
            }
            Some(consumers)
        };
        let consumers = found().await.expect("they are made before anything is served");
        let made = consumers[0].cached_info().config.clone();
        assert_eq!((made.ack_wait, made.max_deliver, made.max_ack_pending), (ACK_WAIT, -1, ACK_PENDING_MAX));
        assert_eq!(made.filter_subject, "amends.cmd.test.a.v1");
        let nobody = presence(&world).await;
        assert_eq!((nobody.instance_count, nobody.last_seen_at), (0, None), "a consumer is nobody's word: {nobody:?}");
        let empty = queue(&world).await;
        assert_eq!((empty.waiting, empty.with_workers, empty.oldest_at), (0, 0, None));

        world.client.jetstream().delete_stream(COMMANDS.name).await.expect("deleted");
        let saga_id = world.start("four").await;
        let consumers = until("them to be made again", PATIENCE, found).await;
        told(&world, saga_id, "that nobody was ever there", |said| {
            said.starts_with(NOBODY) && said.contains("at least")
        })
        .await;
        // What was sent into the old stream, or before the new one was noticed to be one, is sent again, in its own time.
        until("a command to wait", PATIENCE, async || (queue(&world).await.waiting >= 1).then_some(())).await;
        for consumer in consumers {
            let mut batch = consumer.batch().max_messages(1).expires(PATIENCE).messages().await.expect("pulls");
            let message = batch.next().await.expect("a command").expect("delivered");
            let command = serde_json::from_slice(&message.payload).expect("JSON");
            let answer = succeed(&command).expect("it answers");
            assert_eq!(common::worker::reply(&world.client, &command, answer).await, "+OK");
            message.ack().await.expect("acknowledged");
        }
        world.until_status(saga_id, SagaStatus::Completed).await;
    })
    .await;
}
