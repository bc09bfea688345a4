//! Against a real nats-server: streams are made, lost and made again; publications count when acknowledged; questions are
//! answered or say why not.

use std::time::Duration;

use amends_nats::{Nats, NatsError, NatsSettings};
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::topology::{COMMANDS, EVENTS};
use amends_test_support::nats_server;
use amends_test_support::wait::until;
use async_nats::HeaderMap;
use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

fn settings(url: String) -> NatsSettings {
    NatsSettings { url, name: "test".to_owned(), credentials: None, replicas: 1 }
}

async fn in_time<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test ends in time")
}

#[tokio::test]
async fn streams_are_made_as_specified_and_a_lost_one_has_another_incarnation() {
    in_time(async {
        let server = nats_server().await;
        let nats = Nats::connect(&settings(server.url()), PATIENCE).await.expect("connected");
        assert_eq!(nats.stream_incarnation(&COMMANDS).await.expect("an answer"), None);
        nats.ensure_streams().await.expect("made");
        let first = nats.stream_incarnation(&COMMANDS).await.expect("an answer").expect("a stream");
        nats.ensure_streams().await.expect("again");
        assert_eq!(nats.stream_incarnation(&COMMANDS).await.expect("an answer"), Some(first.clone()));

        let config = nats.jetstream().get_stream(COMMANDS.name).await.expect("there").cached_info().config.clone();
        assert_eq!((config.retention, config.discard), (RetentionPolicy::WorkQueue, DiscardPolicy::New));
        assert_eq!(config.duplicate_window, COMMANDS.duplicate_window);
        let events = nats.jetstream().get_stream(EVENTS.name).await.expect("there").cached_info().config.clone();
        assert_eq!((events.retention, Some(events.max_age)), (RetentionPolicy::Limits, EVENTS.max_age));

        nats.jetstream().delete_stream(COMMANDS.name).await.expect("deleted");
        let contract = "payment.capture@1".parse().expect("a contract");
        let consumer = nats.command_consumer(&contract).await.expect("made with its stream");
        assert_eq!(consumer.cached_info().config.max_deliver, -1);
        let second = nats.stream_incarnation(&COMMANDS).await.expect("an answer").expect("a stream");
        assert_ne!(first, second);
        assert!(matches!(nats.event_consumer("billing", &[]).await, Err(NatsError::Refused(_))));
    })
    .await;
}

#[tokio::test]
async fn a_publication_counts_when_acknowledged_and_only_once() {
    in_time(async {
        let server = nats_server().await;
        let nats = Nats::connect(&settings(server.url()), PATIENCE).await.expect("connected");
        let publish = async |subject: &str, id: &str, payload: Bytes| {
            nats.publish_acked(subject, id, HeaderMap::new(), payload).await
        };
        // No stream yet: it is made on the way.
        publish("amends.cmd.a.b.v1", "1", "x".into()).await.expect("acknowledged");
        publish("amends.cmd.a.b.v1", "1", "x".into()).await.expect("acknowledged again");
        let messages = nats.jetstream().get_stream(COMMANDS.name).await.expect("there").cached_info().state.messages;
        assert_eq!(messages, 1);
        let huge = Bytes::from(vec![b'x'; 2 * 1024 * 1024]);
        assert!(matches!(publish("amends.cmd.a.b.v1", "2", huge).await, Err(NatsError::Refused(_))));
        let nowhere = publish("elsewhere", "3", "x".into()).await;
        assert!(matches!(nowhere, Err(NatsError::TopologyMissing(_))), "{nowhere:?}");
    })
    .await;
}

/// More than the client takes while it has no connection: whoever is not even taken is told as well.
#[tokio::test]
async fn a_publication_that_nobody_stores_is_told_in_time() {
    in_time(async {
        let server = nats_server().await;
        let nats = Nats::connect(&settings(server.url()), PATIENCE).await.expect("connected");
        let mut foreign = nats.client().subscribe("foreign").await.expect("a subscription");
        nats.client().flush().await.expect("flushed");
        let client = nats.client().clone();
        tokio::spawn(async move {
            while let Some(message) = foreign.next().await {
                client.publish(message.reply.expect("asked"), "{}".into()).await.expect("published");
            }
        });
        let publish = async |subject: &str, n: usize| {
            nats.publish_once(subject, &n.to_string(), HeaderMap::new(), "x".into()).await
        };
        let answer = publish("foreign", 0).await;
        assert!(matches!(answer, Err(NatsError::Unavailable(_))), "no stream said so: {answer:?}");

        drop(server);
        let answers = futures::future::join_all((0..5_000).map(|n| publish("amends.cmd.a.b.v1", n))).await;
        let told = answers.iter().filter(|answer| matches!(answer, Err(NatsError::Unavailable(_)))).count();
        assert_eq!(told, 5_000);
    })
    .await;
}

#[tokio::test]
async fn a_question_is_answered_or_says_why_not() {
    in_time(async {
        let server = nats_server().await;
        let nats = Nats::connect(&settings(server.url()), PATIENCE).await.expect("connected");
        let mut questions = nats.client().subscribe("ask.*").await.expect("a subscription");
        nats.client().flush().await.expect("flushed");
        let client = nats.client().clone();
        tokio::spawn(async move {
            while let Some(question) = questions.next().await {
                let answer = match question.subject.as_str() {
                    "ask.well" => json!({"ok": 42}).to_string(),
                    "ask.badly" => json!({"error": Problem::conflict("taken", "it is taken")}).to_string(),
                    "ask.nonsense" => "nonsense".to_owned(),
                    _ => continue,
                };
                if let Some(reply) = question.reply {
                    client.publish(reply, answer.into()).await.expect("published");
                }
            }
        });
        let ask = async |subject: &str, question: Value| -> Result<u32, Problem> {
            nats.ask(subject.to_owned(), &question, Duration::from_millis(500)).await
        };
        assert_eq!(ask("ask.well", json!({})).await, Ok(42));
        let code = async |subject: &str, question: Value| ask(subject, question).await.expect_err(subject).code;
        assert_eq!(code("ask.badly", json!({})).await, "taken");
        assert_eq!(code("ask.nonsense", json!({})).await, "answer_unreadable");
        assert_eq!(code("ask.never", json!({})).await, "request_timeout");
        assert_eq!(code("nobody.home", json!({})).await, "no_responders");
        let problem = ask("ask.well", json!("x".repeat(2 * 1024 * 1024))).await.expect_err("too large");
        assert_eq!(problem.kind, ProblemKind::TooLarge);
    })
    .await;
}

#[tokio::test]
async fn connecting_waits_for_a_server_and_reconnects_to_it() {
    in_time(async {
        let mut server = nats_server().await;
        let url = server.url();
        server.kill().await;
        let refused = Nats::connect(&settings(url.clone()), Duration::from_millis(300)).await;
        assert!(matches!(refused, Err(NatsError::Unavailable(_))), "{refused:?}");
        let bad = Nats::connect(&settings("not a url at all".to_owned()), PATIENCE).await;
        assert!(matches!(bad, Err(NatsError::Refused(_))), "{bad:?}");

        let (connecting, ()) =
            tokio::join!(async { Nats::connect(&settings(url), PATIENCE).await }, async { server.start().await });
        let nats = connecting.expect("connected once the server is there");
        let mut connections = nats.connections();
        let before = *connections.borrow_and_update();
        server.kill().await;
        until("the loss to be noticed", PATIENCE, async || (!nats.is_connected()).then_some(())).await;
        server.start().await;
        until("another connection", PATIENCE, async || {
            (nats.is_connected() && *nats.connections().borrow() > before).then_some(())
        })
        .await;
        nats.ensure_streams().await.expect("usable");
    })
    .await;
}
