//! Handlers called as the worker calls them, on a real database, without NATS.
#![allow(clippy::unwrap_used)]

mod lab;

use std::sync::Arc;

use amends_schemas::command::{Operation, StepResult};
use amends_schemas::ids::SagaId;
use amends_schemas::problem::ProblemKind;
use amends_sdk::testing::{Harness, command, event};
use lab::*;
use serde_json::{Value, json};

async fn harness() -> (Harness, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    (Harness::with_contracts(lab(&watch), &contracts()).await, watch)
}

fn full(run: i64) -> StepResult {
    StepResult::Succeeded { outcome: Some("full".to_owned()), output: json!({ "run": run }) }
}

fn undone() -> StepResult {
    StepResult::Succeeded { outcome: None, output: Value::Null }
}

fn code(result: &StepResult) -> (&'static str, &str) {
    match result {
        StepResult::Failed { error } => ("failed", &error.code),
        StepResult::Retry { error, .. } => ("retry", &error.code),
        StepResult::Unknown { error } => ("unknown", &error.code),
        StepResult::Succeeded { .. } => ("succeeded", ""),
        StepResult::NotHappened => ("not_happened", ""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_do_happens_once_however_often_it_is_asked() {
    let (harness, watch) = harness().await;
    let saga = SagaId::generate();
    for _ in 0..3 {
        assert_eq!(harness.execute::<Pour>(saga, json!({ "glass": "a" })).await, full(1));
    }
    assert_eq!(watch.runs(), 1);
    assert_eq!(counted(harness.database(), "a").await, 1);
    let events = harness.published().await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].event_type.as_str(), events[0].source.as_str(), events[0].sequence),
        ("lab.Poured.v1", "/amends/lab", 1)
    );
    assert_eq!(harness.probe::<Pour>(saga, json!({ "glass": "a" })).await, full(1), "a probe asks the inbox first");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_twenty_times_at_once_runs_once() {
    let (harness, watch) = harness().await;
    let harness = Arc::new(harness);
    let saga = SagaId::generate();
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let harness = Arc::clone(&harness);
            tokio::spawn(async move { harness.execute::<Pour>(saga, json!({ "glass": "a" })).await })
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), full(1));
    }
    assert_eq!((watch.runs(), counted(harness.database(), "a").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_before_its_do_succeeds_and_bars_it() {
    let (harness, watch) = harness().await;
    let saga = SagaId::generate();
    let input = json!({ "glass": "a" });
    assert_eq!(harness.undo::<Pour>(saga, &input).await, undone());
    assert_eq!(code(&harness.execute::<Pour>(saga, &input).await), ("failed", "undone_before"));
    assert_eq!(code(&harness.probe::<Pour>(saga, &input).await), ("failed", "undone_before"));
    assert_eq!(harness.undo::<Pour>(saga, &input).await, undone());
    assert_eq!((watch.runs(), watch.undos()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_is_given_the_recorded_output_and_happens_once() {
    let (harness, watch) = harness().await;
    let saga = SagaId::generate();
    let input = json!({ "glass": "a" });
    harness.execute::<Pour>(saga, &input).await;
    for _ in 0..2 {
        assert_eq!(harness.undo::<Pour>(saga, &input).await, undone());
    }
    assert_eq!((watch.undos(), counted(harness.database(), "undone").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_failed_is_not_remembered_but_its_work_is() {
    let (harness, watch) = harness().await;
    let saga = SagaId::generate();
    let input = json!({ "glass": "a", "how": "retry_once" });
    assert_eq!(code(&harness.execute::<Pour>(saga, &input).await), ("retry", "later"));
    assert_eq!(counted(harness.database(), "a").await, 0, "nothing commits with a retry");
    assert_eq!(harness.execute::<Pour>(saga, &input).await, full(2));
    assert_eq!(code(&harness.undo::<Pour>(saga, &input).await), ("failed", "empty"));
    assert_eq!(counted(harness.database(), "refused undo").await, 1);
    assert_eq!(harness.undo::<Pour>(saga, &input).await, undone());
    assert_eq!(watch.undos(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_orchestrator_knows_to_have_happened_is_undone_though_the_inbox_forgot() {
    let (harness, watch) = harness().await;
    let mut undo = command::<Pour>(Operation::Undo, SagaId::generate(), json!({ "glass": "a" }));
    undo.output = Some(json!({ "run": 5 }));
    let mut late = undo.clone();
    assert_eq!(harness.command(undo).await, undone());
    assert_eq!(watch.undos(), 1);
    late.operation = Operation::Do;
    assert_eq!(code(&harness.command(late).await), ("failed", "undone_before"));
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_handler_ends_is_how_the_command_is_answered() {
    let cases = [
        ("panic", ("unknown", "bug"), 0),
        ("bug", ("unknown", "bug"), 0),
        ("empty", ("failed", "empty"), 1),
        ("retry", ("retry", "later"), 0),
        ("unknown", ("unknown", "lost"), 0),
        ("no_outcome", ("unknown", "bug"), 0),
        ("bad_output", ("unknown", "bug"), 0),
        ("swallow", ("unknown", "bug"), 0),
        ("exists", ("failed", "empty"), 0),
    ];
    let (harness, _) = harness().await;
    for (how, expected, committed) in cases {
        let answer = harness.execute::<Pour>(SagaId::generate(), json!({ "glass": how, "how": how })).await;
        assert_eq!(code(&answer), expected, "{how}");
        assert_eq!(counted(harness.database(), how).await, committed, "{how}");
    }
    assert_eq!(harness.published().await.len(), 1, "only the clean failure committed, with its event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_failure_is_final() {
    let (harness, watch) = harness().await;
    let saga = SagaId::generate();
    let input = json!({ "glass": "a", "how": "empty" });
    for _ in 0..2 {
        assert_eq!(code(&harness.execute::<Pour>(saga, &input).await), ("failed", "empty"));
    }
    assert_eq!(watch.runs(), 1);
    assert_eq!(harness.undo::<Pour>(saga, &input).await, undone(), "there is nothing to undo");
    assert_eq!(watch.undos(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_breaks_the_contract_fails_with_the_place_and_without_the_value() {
    let (harness, watch) = harness().await;
    let answer = harness.execute::<Pour>(SagaId::generate(), json!({ "glass": 4711 })).await;
    let StepResult::Failed { error } = answer else { panic!("{answer:?}") };
    assert_eq!(error.code, "invalid_input");
    assert!(error.message.contains("/glass") && !error.message.contains("4711"), "{}", error.message);
    assert_eq!(watch.runs(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_conflict_runs_the_handler_again() {
    let (harness, watch) = harness().await;
    let input = json!({ "glass": "a", "how": "contended" });
    assert_eq!(harness.execute::<Pour>(SagaId::generate(), &input).await, full(3));
    assert_eq!((watch.runs(), counted(harness.database(), "a").await), (3, 201));
    assert_eq!(harness.published().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_finds_it_done_is_remembered_as_the_do() {
    let (harness, watch) = harness().await;
    let saga = SagaId::generate();
    assert_eq!(harness.probe::<Pour>(saga, json!({ "glass": "a" })).await, StepResult::NotHappened);
    let half = StepResult::Succeeded { outcome: Some("half".to_owned()), output: json!({ "run": 77 }) };
    assert_eq!(harness.probe::<Pour>(saga, json!({ "glass": "a", "how": "happened" })).await, half);
    assert_eq!(harness.execute::<Pour>(saga, json!({ "glass": "a" })).await, half);
    assert_eq!(watch.runs(), 0);
}

/// The do is in its handler in one process while the undo comes to another; both touch the row of the do's key.
#[tokio::test(flavor = "multi_thread")]
async fn a_do_and_an_undo_without_do_at_once_exclude_each_other() {
    for _ in 0..5 {
        let (harness, watch) = harness().await;
        let other = Harness::on(lab(&watch), harness.database().clone(), &contracts()).await;
        let saga = SagaId::generate();
        let input = json!({ "glass": "a", "how": "wait" });
        let doing = {
            let input = input.clone();
            tokio::spawn(async move { (harness.execute::<Gulp>(saga, input).await, harness) })
        };
        watch.begun.notified().await;
        assert_eq!(other.undo::<Gulp>(saga, &input).await, undone());
        assert_eq!(watch.undos(), 1, "this step is asked even when its do is unknown");
        watch.go_on.notify_one();
        let (answer, harness) = doing.await.unwrap();
        assert_eq!(code(&answer), ("failed", "undone_before"));
        assert_eq!(counted(harness.database(), "a").await, 0, "the do left nothing behind");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_without_do_that_fails_leaves_no_tombstone() {
    let (harness, _) = harness().await;
    let saga = SagaId::generate();
    let input = json!({ "glass": "a", "how": "refuse" });
    assert_eq!(code(&harness.undo::<Gulp>(saga, &input).await), ("failed", "empty"));
    assert_eq!(harness.execute::<Gulp>(saga, &input).await, full(1));
    assert_eq!(harness.undo::<Gulp>(saga, &input).await, undone());
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_answer_or_say_why_not() {
    let (harness, _) = harness().await;
    assert_eq!(harness.ask::<Count>(json!({ "glass": "a" })).await, Ok(json!(1)));
    assert_eq!(harness.ask::<Count>(json!({ "glass": "a" })).await, Ok(json!(2)));
    let problem = async |request: Value| harness.ask::<Count>(request).await.unwrap_err();
    assert_eq!(problem(json!({ "glass": "broken" })).await.code, "no_such_glass");
    assert_eq!(problem(json!({ "glas": "a" })).await.code, "malformed_request");
    assert_eq!(problem(json!({ "glass": "panic" })).await.kind, ProblemKind::Internal);
    assert_eq!(problem(json!({ "glass": "x".repeat(300_000) })).await.kind, ProblemKind::TooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_called_fifty_times_at_once_on_one_record_loses_nothing() {
    let (harness, _) = harness().await;
    let harness = Arc::new(harness);
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let harness = Arc::clone(&harness);
            tokio::spawn(async move { harness.ask::<Count>(json!({ "glass": "a" })).await })
        })
        .collect();
    let mut counted_well = 0;
    for answer in asked {
        match answer.await.unwrap() {
            Ok(_) => counted_well += 1,
            Err(problem) => assert_eq!(problem.code, "write_conflict"),
        }
    }
    assert_eq!(counted(harness.database(), "a").await, counted_well);
    assert!(counted_well >= 25, "conflicts should mostly pass: {counted_well} of 50");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_heard_once() {
    let (harness, watch) = harness().await;
    let news = event("events.EventPublished.v1", "e-1", 1, json!({ "title": "RustConf" }));
    harness.deliver(news.clone()).await.unwrap();
    harness.deliver(news.clone()).await.unwrap();
    assert_eq!((watch.heard(), counted(harness.database(), "e-1").await), (1, 1));
    let wrong = event("events.EventPublished.v1", "e-1", 1, json!({ "name": "RustConf" }));
    assert!(harness.deliver(wrong).await.is_err());
    assert!(harness.tick::<Tidy>().await.is_ok_and(|more| !more));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_that_promises_what_it_cannot_keep_does_not_start() {
    let watch = Arc::new(Watch::default());
    let (_harness, _) = harness().await;
    let twice = lab(&watch).endpoint(Count);
    let failed = tokio::spawn(async move { Harness::with_contracts(twice, &contracts()).await.published().await });
    assert!(failed.await.is_err_and(|error| error.is_panic()));
    let unknown = lab(&watch);
    let failed = tokio::spawn(async move { Harness::new(unknown).await.published().await });
    assert!(failed.await.is_err_and(|error| error.is_panic()), "the shipped registry has no lab contracts");
}
