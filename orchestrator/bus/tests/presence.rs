//! Who serves what, and what waits: told by an orchestrator over a real nats-server.

mod common;

use std::time::Duration;

use amends_nats::Nats;
use amends_schemas::ids::SagaId;
use amends_schemas::presence::{ContractPresence, QueueView, QueuesView, WorkersView};
use amends_schemas::saga::{ListSagas, Page, SagaStatus, SagaSummary};
use amends_schemas::subjects::{self, SERVICE_PING};
use amends_test_support::wait::until;
use common::worker::{Workers, succeed};
use common::{PATIENCE, World, in_time};
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
        let page: Page<SagaSummary> = world
            .client
            .ask(subjects::ORCHESTRATOR_LIST.to_owned(), &ListSagas::default(), PATIENCE)
            .await
            .expect("a page");
        let listed = page.items.into_iter().find(|item| item.saga_id == saga_id)?.waiting_for?;
        (wanted(&read) && wanted(&listed)).then_some(())
    })
    .await;
}

async fn presence(world: &World) -> ContractPresence {
    let view: WorkersView =
        world.client.ask(subjects::ORCHESTRATOR_WORKERS.to_owned(), &json!({}), PATIENCE).await.expect("an answer");
    view.items.into_iter().find(|item| item.contract.as_ref().is_some_and(|c| c.step() == "a")).expect("it is called")
}

async fn queue(world: &World) -> QueueView {
    let view: QueuesView =
        world.client.ask(subjects::ORCHESTRATOR_QUEUES.to_owned(), &json!({}), PATIENCE).await.expect("an answer");
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
