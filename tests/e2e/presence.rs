//! Who is there, what waits, what could not be handled: with every role a process of its own, and with the real binary's command line.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use amends_nats::{Nats, NatsSettings};
use amends_schemas::subjects;
use amends_schemas::topology::COMMANDS;
use amends_test_support::wait::until;
use amends_test_support::{Client, Platform, Roles};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::{BINARY, SAGA_DEADLINE};

const NOBODY: &str = "no worker has served payment.capture@1 since ";

async fn connect(url: String) -> Nats {
    let settings = NatsSettings { url, name: "test".to_owned(), credentials: None, replicas: 1 };
    Nats::connect(&settings, SAGA_DEADLINE).await.expect("NATS is there")
}

/// The line of a list that is about this contract.
async fn of_contract(client: &Client, path: &str, contract: &str) -> Value {
    let items = client.items(path).await;
    items.into_iter().find(|item| item["contract"] == contract).unwrap_or_else(|| panic!("{contract} is not in {path}"))
}

async fn capture(client: &Client, path: &str) -> Value {
    of_contract(client, path, "payment.capture@1").await
}

/// What the command line says.
fn amends(client: &Client, arguments: &[&str]) -> String {
    let output = Command::new(BINARY).args(arguments).args(["--api", &client.base]).output().expect("runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_missed_by_name_until_it_is_back_and_what_it_cannot_read_is_put_aside() {
    let mut roles = Roles::start(BINARY).await;
    let client = roles.client.clone();
    let event_id = client.published_event(5, Some("49.90")).await;
    let there = until("the payment worker to be seen", SAGA_DEADLINE, async || {
        let item = capture(&client, "/v1/workers").await;
        (item["instance_count"] == 1).then_some(item)
    })
    .await;
    assert_eq!(there["instances"][0]["version"], env!("CARGO_PKG_VERSION"), "{there}");
    assert!(there["instances"][0]["started_at"].is_string() && there["unserved_since"].is_null(), "{there}");

    roles.kill("payment").await;
    let saga_id = client.register(&event_id, 1, Some("tok_ok")).await.text("saga_id");
    let sentence = until("the saga to say so", SAGA_DEADLINE, async || {
        let saga = client.get(&format!("/v1/sagas/{saga_id}")).await.body;
        saga["waiting_for"].as_str().filter(|said| said.contains(NOBODY)).map(str::to_owned)
    })
    .await;
    assert!(!sentence.contains("at least"), "it was seen before: {sentence}");
    until("the list to say so", SAGA_DEADLINE, async || {
        let sagas = client.items("/v1/sagas?status=running").await;
        sagas.iter().any(|saga| saga["waiting_for"].as_str().is_some_and(|said| said.contains(NOBODY))).then_some(())
    })
    .await;
    let gone = capture(&client, "/v1/workers").await;
    assert_eq!((&gone["instance_count"], gone["unserved_since"].is_string()), (&json!(0), true), "{gone}");
    assert!(amends(&client, &["workers"]).contains("payment.capture@1: nobody since "));
    assert!(amends(&client, &["workers"]).contains("registration.reserve@1: 1 process\n"));
    let queue = capture(&client, "/v1/queues").await;
    assert!(queue["waiting"].as_u64() >= Some(1) && queue["oldest_at"].is_string(), "{queue}");
    assert!(amends(&client, &["queues"]).contains("payment.capture@1: "));

    // What the worker will find is a command that it cannot read.
    let nats = connect(roles.nats.url()).await;
    let subject = subjects::command(&"payment.capture@1".parse().expect("a name"));
    let stream = nats.jetstream().get_stream(COMMANDS.name).await.expect("a stream");
    let sent = stream.get_first_raw_message_by_subject(&subject, 1).await.expect("a command");
    stream.purge().filter(&subject).await.expect("purges");
    let mut torn: Value = serde_json::from_slice(&sent.payload).expect("JSON");
    torn["key"] = json!("another's");
    nats.publish_acked(&subject, "torn", Default::default(), torn.to_string().into()).await.expect("publishes");
    roles.launch("payment");
    let saga = client.saga_in(&saga_id, &["completed", "compensated", "stuck"], SAGA_DEADLINE).await;
    assert_eq!((saga["status"].as_str(), &saga["waiting_for"]), (Some("completed"), &Value::Null), "{saga}");
    assert_eq!(roles.ledger().await["charges"].as_array().map(Vec::len), Some(1));

    let letters = client.items("/v1/dead-letters?context=payment").await;
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((&letter["saga_id"], &letter["step"]), (&json!(saga_id), &json!("pay")));
    assert!(letter["payload"].as_str().is_some_and(|payload| payload.contains("another's")), "{letter}");
    until("its worker to be seen and the queue to be empty", SAGA_DEADLINE, async || {
        let (item, queue) = (capture(&client, "/v1/workers").await, capture(&client, "/v1/queues").await);
        let empty = queue["waiting"] == 0 && queue["with_workers"] == 0 && queue["oldest_at"].is_null();
        (item["instance_count"] == 1 && item["unserved_since"].is_null() && empty).then_some(())
    })
    .await;
}

/// An owner of a saga that at first does not know it.
struct Owner {
    knows: Arc<AtomicBool>,
    took: Arc<AtomicU32>,
}

impl Owner {
    async fn at(nats: &Nats, subject: &'static str) -> Self {
        let owner = Self { knows: Arc::default(), took: Arc::default() };
        let (knows, took, client) = (Arc::clone(&owner.knows), Arc::clone(&owner.took), nats.client().clone());
        let mut replies = client.subscribe(subject).await.expect("subscribes");
        client.flush().await.expect("the subscription stands");
        tokio::spawn(async move {
            while let Some(reply) = replies.next().await {
                let refusal =
                    json!({"error": {"kind": "not_found", "code": "saga_not_found", "message": "no such saga"}});
                let answer = if knows.load(Ordering::SeqCst) {
                    took.fetch_add(1, Ordering::SeqCst);
                    "+OK".to_owned()
                } else {
                    refusal.to_string()
                };
                client.publish(reply.reply.expect("an inbox"), answer.into()).await.expect("publishes");
            }
        });
        owner
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_command_is_listed_sent_again_once_its_cause_is_gone_and_handled_once() {
    let platform = Platform::start(BINARY).await;
    let (client, nats) = (&platform.client, connect(platform.nats.clone()).await);
    let owner = Owner::at(&nats, "test.owner").await;
    let charges = async || platform.ledger().await["charges"].as_array().expect("charges").len();
    let saga_id = uuid::Uuid::now_v7();
    let command = json!({
        "saga_id": saga_id, "definition": "lost@1", "step": "pay", "contract": "payment.capture@1", "operation": "do",
        "attempt": 1, "key": format!("{saga_id}/pay/do"), "reply_to": "test.owner", "expires_at": "2020-01-01T00:00:00Z",
        "input": {
            "registration_id": uuid::Uuid::now_v7(), "amount": {"amount": "12.00", "currency": "EUR"},
            "payment_token": "tok_ok", "payer": {"name": "Ada", "email": "ada@example.org"},
        },
    });
    let subject = subjects::command(&"payment.capture@1".parse().expect("a name"));
    nats.publish_acked(&subject, "lost", Default::default(), command.to_string().into()).await.expect("publishes");
    let letter = until("the command to be put aside", SAGA_DEADLINE, async || {
        client.items("/v1/dead-letters").await.into_iter().next()
    })
    .await;
    assert_eq!((letter["code"].as_str(), &letter["saga_id"]), (Some("reply_refused"), &json!(saga_id)), "{letter}");
    let id = letter["id"].as_str().expect("an id");
    let listed = amends(client, &["dead-letters", "list"]);
    assert!(listed.contains(id) && listed.contains("saga_not_found"), "{listed}");
    assert!(amends(client, &["dead-letters", "show", "payment", id]).contains("ada@example.org"));

    owner.knows.store(true, Ordering::SeqCst);
    let path = format!("/v1/dead-letters/payment/{id}/redrive");
    let body = json!({"by": "ann", "reason": "the journal is restored"});
    let first = client.post_surely(&path, "k", &body, SAGA_DEADLINE).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(client.post_surely(&path, "k", &body, SAGA_DEADLINE).await, first, "the same key, the same answer");
    let other = client.post_surely(&path, "k", &json!({"by": "bob"}), SAGA_DEADLINE).await;
    assert_eq!((other.status, other.text("code").as_str()), (409, "idempotency_key_reused"));
    until("the owner to have its answer", SAGA_DEADLINE, async || {
        (owner.took.load(Ordering::SeqCst) == 1).then_some(())
    })
    .await;
    until("the queue to be empty", SAGA_DEADLINE, async || {
        let queue = capture(client, "/v1/queues").await;
        (queue["waiting"] == 0 && queue["with_workers"] == 0).then_some(())
    })
    .await;
    assert_eq!((charges().await, owner.took.load(Ordering::SeqCst)), (1, 1), "handled once");
    assert!(client.items("/v1/dead-letters").await.is_empty());
    let settled = client.items("/v1/dead-letters?status=redriven").await;
    assert_eq!((settled.len(), &settled[0]["acts"][0]["by"]), (1, &json!("ann")));

    // One that nothing can be done with.
    nats.publish_acked(&subject, "torn", Default::default(), "{".into()).await.expect("publishes");
    let letter =
        until("it to be put aside", SAGA_DEADLINE, async || client.items("/v1/dead-letters").await.into_iter().next())
            .await;
    let id = letter["id"].as_str().expect("an id");
    let discarded = amends(client, &["dead-letters", "discard", "payment", id, "--reason", "a test's"]);
    assert!(discarded.contains(" settled at "), "{discarded}");
    assert!(client.items("/v1/dead-letters").await.is_empty());
}
