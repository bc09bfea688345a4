//! Commands that cannot be handled: put aside, told to their saga, listed, published again, settled.
#![allow(clippy::unwrap_used)]

mod floor;
mod lab;

use std::sync::Arc;
use std::time::Duration;

use amends_schemas::command::{Command, Operation, StepResult};
use amends_schemas::dead_letter::{
    ActOnDeadLetter, DISCARD, DeadLetter, DeadLetterActed, DeadLetterRef, DeadLetterStatus, DeadLetterVerb, LIST,
    ListDeadLetters, REDRIVE, SHOW,
};
use amends_schemas::ids::SagaId;
use amends_schemas::problem::{Answer, Problem};
use amends_schemas::saga::Page;
use amends_schemas::subjects;
use amends_sdk::WorkerSettings;
use amends_sdk::testing::command;
use amends_test_support::wait::until;
use floor::*;
use lab::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const REPLIES: &str = "amends.test.replies";

fn pour() -> Command {
    command::<Pour>(Operation::Do, SagaId::generate(), PourInput { glass: "a".to_owned(), how: String::new() })
}

fn act(letter: &DeadLetter, reason: &str) -> ActOnDeadLetter {
    let (id, reason) = (letter.id.clone(), reason.to_owned());
    ActOnDeadLetter { id, operation_id: Uuid::now_v7(), by: "ann".to_owned(), reason }
}

async fn refused(floor: &Floor, endpoint: &str, act: &ActOnDeadLetter) -> String {
    floor.ask::<Value>(endpoint, act).await.expect_err("refused").code
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_becomes_a_dead_letter_and_its_saga_is_told() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    floor.nats.ensure_streams().await.unwrap();
    let contract = "lab.pour@1".parse().unwrap();
    let subject = subjects::command(&contract);
    let torn: [(&str, Vec<u8>); 3] = [
        ("one", b"{\"saga_id\": \"secret\"}".into()),
        ("two", "x".repeat(100_000).into()),
        ("three", b"{\"\xff\"}".into()),
    ];
    for (id, payload) in torn {
        floor.nats.publish_acked(&subject, id, Default::default(), payload.into()).await.unwrap();
    }
    let foreign = Command { key: "somebody's".to_owned(), ..pour() };
    floor.send(&foreign).await;
    let reply = owner.take().await;
    let StepResult::Unknown { error } = reply.result else { panic!("{reply:?}") };
    assert_eq!((reply.saga_id, reply.attempt, error.code.as_str()), (foreign.saga_id, 1, "dead_letter"));

    let letters = floor.letters(DeadLetterStatus::Dead, 4).await;
    assert!(letters.iter().all(|letter| letter.code == "malformed_command" && letter.subject == subject));
    assert!(letters.iter().all(|letter| letter.contract.as_ref() == Some(&contract) && letter.times == 1));
    assert!(letters.iter().all(|letter| !letter.message.contains("secret")));
    let ours = letters.iter().find(|letter| letter.saga_id == Some(foreign.saga_id)).expect("it names its saga");
    assert!(error.message.contains(&ours.id) && ours.step.as_deref() == Some("pour"), "{error:?}");
    let long = letters.iter().find(|letter| letter.payload_bytes == 100_000).expect("it is there");
    let shown: DeadLetter = floor.ask(SHOW, &DeadLetterRef { id: long.id.clone() }).await.unwrap();
    assert!(long.payload.len() < shown.payload.len() && shown.payload.len() < 100_000);
    let unreadable = letters.iter().find(|letter| !letter.redrivable).expect("bytes that are no text");
    assert_eq!(refused(&floor, REDRIVE, &act(unreadable, "")).await, "not_redrivable");

    let mut cursor = None;
    let mut ids = Vec::new();
    loop {
        let question = ListDeadLetters { cursor, limit: Some(3), ..ListDeadLetters::default() };
        let page: Page<DeadLetter> = floor.ask(LIST, &question).await.unwrap();
        ids.extend(page.items.into_iter().map(|letter| letter.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids, letters.iter().map(|letter| letter.id.clone()).collect::<Vec<_>>());

    floor.until_queue_is_empty().await;
    floor.send(&pour()).await;
    assert!(matches!(owner.take().await.result, StepResult::Succeeded { .. }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_answer_nobody_takes_is_put_aside_and_handled_once_when_it_is_sent_again() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    let command = pour();
    // An owner whose journal is older than the queue: it does not know the saga.
    let answer: Answer<()> = Answer::Error(Problem::not_found("saga_not_found", "there is no such saga"));
    let answer: &'static str = serde_json::to_string(&answer).unwrap().leak();
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    floor.send(&command).await;
    let client = floor.nats.client().clone();
    let ignorant = tokio::spawn(async move {
        loop {
            owner.next(Some(answer)).await;
        }
    });
    let letters = floor.letters(DeadLetterStatus::Dead, 1).await;
    ignorant.abort();
    let _ = ignorant.await;
    let letter = &letters[0];
    assert_eq!(
        (letter.code.as_str(), letter.saga_id, letter.step.as_deref()),
        ("reply_refused", Some(command.saga_id), Some("pour"))
    );
    assert!(letter.message.contains("saga_not_found") && letter.redrivable, "{letter:?}");
    assert_eq!(serde_json::from_str::<Command>(&letter.payload).unwrap(), command);
    floor.until_queue_is_empty().await;

    // The cause is gone. The same request twice at once, and once more later, sends it once.
    client.flush().await.unwrap();
    let mut owner = Owner::new(&floor.nats, REPLIES).await;
    let redrive = act(letter, "the journal was restored");
    let sent = async || floor.ask::<DeadLetterActed>(REDRIVE, &redrive).await;
    let (one, two) = tokio::join!(sent(), sent());
    let one = one.unwrap();
    assert_eq!((one.verb, one.operation_id, &one.id), (DeadLetterVerb::Redrive, redrive.operation_id, &letter.id));
    assert_eq!(two.unwrap(), one);
    assert!(matches!(owner.take().await.result, StepResult::Succeeded { .. }));
    floor.until_queue_is_empty().await;
    assert_eq!(floor.ask::<DeadLetterActed>(REDRIVE, &redrive).await.unwrap(), one);
    assert_eq!(floor.queued().await, 0, "a repeat sends nothing");
    let letters = floor.letters(DeadLetterStatus::Redriven, 1).await;
    let acts: Vec<_> = letters[0].acts.iter().map(|act| (act.verb, act.by.as_str(), act.reason.as_str())).collect();
    assert_eq!(acts, [(DeadLetterVerb::Redrive, "ann", "the journal was restored")]);
    worker.stop().await;
    assert_eq!((floor.watch.runs(), counted(&floor.database, "a").await), (1, 1), "handled once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_again_is_dead_again_until_somebody_settles_it() {
    let floor = Floor::new().await;
    let worker = floor.worker();
    floor.nats.ensure_streams().await.unwrap();
    let subject = subjects::command(&"lab.pour@1".parse().unwrap());
    floor.nats.publish_acked(&subject, "torn", Default::default(), "{".into()).await.unwrap();
    let letter = floor.letters(DeadLetterStatus::Dead, 1).await.remove(0);

    let redrive = act(&letter, "");
    floor.ask::<DeadLetterActed>(REDRIVE, &redrive).await.unwrap();
    let again = until("the letter to be dead again", DEADLINE, async || {
        floor.letters(DeadLetterStatus::Dead, 1).await.into_iter().find(|letter| letter.times == 2)
    })
    .await;
    assert_eq!(
        (&again.id, again.first_at, again.acts.len()),
        (&letter.id, letter.first_at, 1),
        "it is the same letter"
    );
    assert!(again.last_at > letter.last_at);

    assert_eq!(refused(&floor, DISCARD, &act(&letter, " ")).await, "reason_required");
    let other = ActOnDeadLetter { reason: "another".to_owned(), ..redrive.clone() };
    assert_eq!(refused(&floor, REDRIVE, &other).await, "operation_id_reused");
    assert_eq!(refused(&floor, DISCARD, &other).await, "operation_id_reused");
    let absent = ActOnDeadLetter { id: "none".to_owned(), ..act(&letter, "x") };
    assert_eq!(refused(&floor, DISCARD, &absent).await, "dead_letter_not_found");
    let long = ActOnDeadLetter { by: "x".repeat(2000), ..act(&letter, "x") };
    assert_eq!(refused(&floor, REDRIVE, &long).await, "reason_too_long");

    let discard = act(&letter, "nobody misses it");
    let settled = async || floor.ask::<DeadLetterActed>(DISCARD, &discard).await;
    let (one, two) = tokio::join!(settled(), settled());
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(refused(&floor, DISCARD, &act(&letter, "again")).await, "illegal_here");
    assert_eq!(refused(&floor, REDRIVE, &act(&letter, "after all")).await, "illegal_here");
    let settled = floor.letters(DeadLetterStatus::Discarded, 1).await.remove(0);
    assert_eq!(
        settled.acts.iter().map(|act| act.verb).collect::<Vec<_>>(),
        [DeadLetterVerb::Redrive, DeadLetterVerb::Discard]
    );
    let question = json!({ "status": "dead" });
    assert!(floor.ask::<Page<DeadLetter>>(LIST, &question).await.unwrap().items.is_empty());
    worker.stop().await;
}

#[test]
fn a_command_that_kills_its_workers_is_put_aside_before_the_next() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let floor = runtime.block_on(Floor::new());
    let input = PourInput { glass: "a".to_owned(), how: "wait".to_owned() };
    let poison = command::<Pour>(Operation::Do, SagaId::generate(), input);
    runtime.block_on(floor.send(&poison));
    // Two die unnoticed, three leave a trace. Each is a process of its own as far as it knows, ended without a word.
    for _ in 0..5 {
        let doomed = tokio::runtime::Runtime::new().unwrap();
        let (watch, database, url) = (Arc::clone(&floor.watch), floor.database.clone(), floor.server.url());
        doomed.spawn(async move {
            let nats = connect(url).await;
            lab(&watch).run(nats, database, &contracts(), WorkerSettings::default(), CancellationToken::new()).await
        });
        runtime.block_on(async {
            tokio::time::timeout(DEADLINE, floor.watch.begun.notified()).await.expect("another worker begins");
        });
        doomed.shutdown_timeout(Duration::from_secs(1));
    }
    runtime.block_on(async {
        let mut owner = Owner::new(&floor.nats, REPLIES).await;
        let survivor = floor.worker();
        let StepResult::Unknown { error } = owner.take().await.result else { panic!("in doubt") };
        let letter = floor.letters(DeadLetterStatus::Dead, 1).await.remove(0);
        assert_eq!((letter.code.as_str(), letter.saga_id), ("worker_lost", Some(poison.saga_id)));
        assert!(error.code == "dead_letter" && error.message.contains(&letter.id), "{error:?}");
        floor.until_queue_is_empty().await;
        assert_eq!(floor.watch.runs(), 5);

        // Sent again by hand it has its chance.
        floor.ask::<DeadLetterActed>(REDRIVE, &act(&letter, "mended")).await.unwrap();
        tokio::time::timeout(DEADLINE, floor.watch.begun.notified()).await.expect("it is tried");
        floor.watch.go_on.notify_one();
        assert!(matches!(owner.take().await.result, StepResult::Succeeded { .. }));
        survivor.stop().await;
        assert_eq!(counted(&floor.database, "a").await, 1, "done once");
    });
}
