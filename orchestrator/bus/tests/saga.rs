//! Sagas over a real nats-server and a real database, with workers of another language.

mod common;

use std::time::Duration;

use amends_schemas::ids::{PartitionCount, SagaId};
use amends_schemas::problem::ProblemKind;
use amends_schemas::saga::{
    CancelSaga, Cancellation, DefinitionView, HistoryEntry, ListSagas, OrchestratorInfo, Page, SagaRef, SagaStatus,
    SagaSummary, SagaView,
};
use amends_schemas::search::SagaFilter;
use amends_schemas::subjects::{self, PartitionVerb};
use amends_test_support::wait::until;
use common::worker::{Workers, reply, succeed};
use common::{PARTITIONS, PATIENCE, STEPS, World, in_time, start_request, word};
use futures::StreamExt;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_goes_through_its_steps_and_can_be_read_at_any_time() {
    in_time(async {
        let world = World::new().await;
        let orchestrator = world.orchestrator("one").await;
        let workers = Workers::start(&world.client, succeed);
        let saga_id = world.start("four").await;
        assert!(world.get(saga_id).await.is_ok(), "what was answered can be read");
        let view = world.until_status(saga_id, SagaStatus::Completed).await;
        assert_eq!(view.output, Some(word()));
        assert_eq!(workers.done(), STEPS.map(|step| format!("do {step}")));

        let history: Vec<HistoryEntry> =
            world.ask(saga_id, PartitionVerb::History, &SagaRef { saga_id }).await.expect("a history");
        let sequences: Vec<u64> = history.iter().map(|entry| entry.sequence).collect();
        assert_eq!(sequences, (1..=view.event_count).collect::<Vec<_>>());
        assert_eq!(history.first().map(|entry| entry.event.as_str()), Some("saga_started"));
        assert_eq!(history.last().map(|entry| entry.event.as_str()), Some("saga_completed"));

        let listed = until("the saga to be listed as completed", PATIENCE, async || {
            let filter = SagaFilter { status: vec![SagaStatus::Completed], ..SagaFilter::default() };
            let question = ListSagas { filter, ..ListSagas::default() };
            let page: Page<SagaSummary> = world.ask_at(subjects::ORCHESTRATOR_LIST, &question).await.expect("a page");
            page.items.into_iter().next()
        })
        .await;
        assert_eq!(listed.saga_id, saga_id);
        // It has left memory by now, and reads the same.
        assert_eq!(world.get(saga_id).await.expect("still there"), view);
        assert_eq!(orchestrator.status().partitions.iter().map(|p| p.saga_count).sum::<usize>(), 0);
        orchestrator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_orchestrator_says_what_it_serves() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let info: OrchestratorInfo = world.ask_at(subjects::ORCHESTRATOR_INFO, &json!({})).await.expect("an answer");
        assert_eq!(Some(info.partition_count), PartitionCount::new(PARTITIONS));
        let definitions: Vec<DefinitionView> =
            world.ask_at(subjects::ORCHESTRATOR_DEFINITIONS, &json!({})).await.expect("an answer");
        assert_eq!(definitions.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["four"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_again_is_answered_as_the_first_time_and_another_body_is_refused() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let workers = Workers::start(&world.client, succeed);
        let request = start_request("four");
        let saga_id = request.saga_id;
        let answers = futures::future::join_all(
            (0..20).map(|_| world.ask::<_, SagaView>(saga_id, PartitionVerb::Start, &request)),
        )
        .await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|view| view.saga_id == saga_id)), "{answers:?}");
        world.until_status(saga_id, SagaStatus::Completed).await;
        assert_eq!(workers.done().len(), STEPS.len());
        until("the saga to leave memory", PATIENCE, async || {
            (_orchestrator.status().partitions.iter().map(|p| p.saga_count).sum::<usize>() == 0).then_some(())
        })
        .await;
        let again: SagaView = world.ask(saga_id, PartitionVerb::Start, &request).await.expect("the same");
        assert_eq!(again.status, SagaStatus::Completed);
        let mut other = request.clone();
        other.input = json!({"word": "other"});
        let problem = world.ask::<_, SagaView>(saga_id, PartitionVerb::Start, &other).await.expect_err("another body");
        assert_eq!((problem.kind, problem.code.as_str()), (ProblemKind::Conflict, "idempotency_conflict"));
        assert_eq!(workers.done().len(), STEPS.len());
        world.assert_no_saga_was_driven_twice().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_at_the_door() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let refused = async |verb, question: Value, code: &str| {
            let saga_id = question["saga_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(SagaId::generate());
            let problem = world.ask::<_, Value>(saga_id, verb, &question).await.expect_err(code);
            assert_eq!(problem.code, code, "{problem}");
        };
        let body = |change: Value| {
            let mut body = serde_json::to_value(start_request("four")).expect("json");
            body.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            body
        };
        refused(PartitionVerb::Start, body(json!({"definition": "five"})), "definition_not_found").await;
        refused(PartitionVerb::Start, body(json!({"version": 9})), "definition_not_found").await;
        refused(PartitionVerb::Start, body(json!({"input": {"word": 1}})), "invalid_input").await;
        refused(PartitionVerb::Start, body(json!({"tags": ["Not A Tag"]})), "invalid_tags").await;
        refused(PartitionVerb::Start, body(json!({"input": "x".repeat(400_000)})), "request_too_large").await;
        refused(PartitionVerb::Start, body(json!({"input": {"word": "x".repeat(262_144)}})), "input_too_large").await;
        refused(PartitionVerb::Start, json!({"saga_id": 1}), "malformed_request").await;
        refused(PartitionVerb::Get, json!({"saga_id": SagaId::generate()}), "saga_not_found").await;
        refused(PartitionVerb::Watch, json!({"saga_id": SagaId::generate()}), "saga_not_found").await;
        refused(PartitionVerb::History, json!({"saga_id": SagaId::generate()}), "saga_not_found").await;
        refused(PartitionVerb::Cancel, json!({"saga_id": SagaId::generate()}), "saga_not_found").await;
        let reason = json!({"saga_id": SagaId::generate(), "reason": "x".repeat(2000)});
        refused(PartitionVerb::Cancel, reason, "saga_not_found").await;

        let request = start_request("four");
        let elsewhere = PartitionCount::new(PARTITIONS)
            .expect("in range")
            .iter()
            .find(|partition| {
                *partition != request.saga_id.partition(PartitionCount::new(PARTITIONS).expect("in range"))
            })
            .expect("another partition");
        let problem = world
            .ask_at::<_, Value>(&subjects::partition(elsewhere, PartitionVerb::Start), &request)
            .await
            .expect_err("not its partition");
        assert_eq!(problem.code, "wrong_partition");
        assert!(world.journal().await.iter().all(|record| record.entries.is_empty()), "nothing was half started");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_given_twice_is_committed_once_and_one_for_an_unknown_saga_is_not_acknowledged() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let workers =
            Workers::start(&world.client, |command| if command["step"] == "b" { None } else { succeed(command) });
        let saga_id = world.start("four").await;
        let command = until("the command of the second step", PATIENCE, async || {
            workers.received().into_iter().find(|command| command["step"] == "b")
        })
        .await;
        let result = json!({"status": "succeeded", "output": command["input"]});
        // The answer to the first was lost, say.
        assert_eq!(reply(&world.client, &command, result.clone()).await, "+OK");
        assert_eq!(reply(&world.client, &command, result.clone()).await, "+OK");
        world.until_status(saga_id, SagaStatus::Completed).await;
        // Long done, and out of memory after a while: the saga no longer cares.
        assert_eq!(reply(&world.client, &command, result.clone()).await, "+OK");
        world.assert_no_saga_was_driven_twice().await;

        let mut stranger = command.clone();
        let unknown = std::iter::repeat_with(SagaId::generate)
            .find(|id| {
                let count = PartitionCount::new(PARTITIONS).expect("in range");
                id.partition(count) == saga_id.partition(count)
            })
            .expect("half of all ids");
        stranger["saga_id"] = json!(unknown);
        let answer = reply(&world.client, &stranger, result).await;
        assert!(answer.contains("saga_not_found"), "{answer}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_undoes_in_reverse_and_says_so() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let workers = Workers::start(&world.client, |command| {
            if command["step"] == "c" {
                return Some(json!({"status": "failed", "error": {"code": "no", "message": "not today"}}));
            }
            succeed(command)
        });
        let saga_id = world.start("four").await;
        let view = world.until_status(saga_id, SagaStatus::Compensated).await;
        assert_eq!(view.waiting_for, None);
        assert_eq!(workers.done(), ["do a", "do b", "do c", "undo b", "undo a"]);
        let question = CancelSaga { saga_id, by: "test".to_owned(), reason: "enough".to_owned(), parent: None };
        let answer: Cancellation = world.ask(saga_id, PartitionVerb::Cancel, &question).await.expect("already so");
        assert_eq!(answer, Cancellation::Compensating { saga_id });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_reach_whoever_watches() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let saga_id = world.start("four").await;
        let mut changes =
            world.client.client().subscribe(subjects::saga_changes(saga_id)).await.expect("a subscription");
        let now: SagaView = world.ask(saga_id, PartitionVerb::Watch, &SagaRef { saga_id }).await.expect("watched");
        let _workers = Workers::start(&world.client, succeed);
        let mut seen = now.event_count;
        loop {
            let change = tokio::time::timeout(PATIENCE, changes.next()).await.expect("in time").expect("a change");
            let view: SagaView = serde_json::from_slice(&change.payload).expect("a view");
            assert!(view.event_count > seen, "changes come in order");
            seen = view.event_count;
            if view.status == SagaStatus::Completed {
                break;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_through() {
    in_time(async {
        let world = World::new().await;
        let _orchestrator = world.orchestrator("one").await;
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("traceparent", traceparent);
        let request = start_request("four");
        let partition = request.saga_id.partition(PartitionCount::new(PARTITIONS).expect("in range"));
        let question = async_nats::Request::new()
            .headers(headers)
            .payload(serde_json::to_vec(&request).expect("json").into())
            .timeout(Some(Duration::from_secs(10)));
        world
            .client
            .client()
            .send_request(subjects::partition(partition, PartitionVerb::Start), question)
            .await
            .expect("accepted");
        let contract = "test.a@1".parse().expect("a contract");
        let consumer = world.client.command_consumer(&contract).await.expect("a consumer");
        let mut messages = consumer.messages().await.expect("messages");
        let message = messages.next().await.expect("a command").expect("a command");
        let found = message.headers.as_ref().and_then(|headers| headers.get("traceparent"));
        assert_eq!(found.map(|value| value.as_str()), Some(traceparent));
    })
    .await;
}
