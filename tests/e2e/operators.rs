//! Every verb that an operator has, on sagas whose workers are the test's own hands, so that each moment can be chosen.

use std::process::Command;
use std::time::Duration;

use amends_nats::{Nats, NatsSettings};
use amends_test_support::wait::until;
use amends_test_support::{Client, Platform};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::{BINARY, SAGA_DEADLINE};

/// Waits are long, so that nothing moves by itself.
const HAND: &str = "
saga: hand
version: 1
title: By hand
input: {type: object}
steps:
  - {name: a, call: hand.a@1, kind: compensable, compensate: {undo: {timeout: 10m, retry: {attempts: 1}}}, timeout: 10m, on_unknown: retry, input: {word: {const: hello}}}
  - {name: b, call: hand.b@1, kind: compensable, compensate: {undo: {timeout: 10m, retry: {attempts: 1}}}, timeout: 10m, on_unknown: retry}
  - {name: pay, call: hand.pay@1, kind: pivot, timeout: 10m, retry: {attempts: 5, backoff: 10m, max_backoff: 10m}, on_unknown: probe}
  - {name: tell, call: hand.tell@1, kind: retriable, timeout: 10m, on_unknown: retry}
";

/// Without a point of no return.
const SHORT: &str = "
saga: short
version: 1
title: Short
input: {type: object}
steps:
  - {name: a, call: hand.a@1, kind: compensable, compensate: {undo: {timeout: 10m}}, timeout: 10m, on_unknown: retry}
";

/// Stuck as soon as nobody knows how its step ended.
const ASK: &str = "
saga: ask
version: 1
title: Ask
input: {type: object}
steps:
  - {name: b, call: hand.b@1, kind: compensable, compensate: {undo: {timeout: 10m}}, timeout: 10m, on_unknown: ask}
";

/// A platform with sagas of its own, and a hand on its commands.
pub(crate) struct Stage {
    pub(crate) platform: Platform,
    pub(crate) nats: Nats,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let contracts = folder.path().join("contracts/hand");
        let sagas = folder.path().join("sagas");
        std::fs::create_dir_all(&contracts).expect("a folder");
        std::fs::create_dir_all(&sagas).expect("a folder");
        for step in ["a", "b", "pay", "tell"] {
            let contract = json!({
                "contract": format!("hand.{step}@1"), "title": step, "undo": step != "tell", "probe": step == "pay",
                "input": {"type": "object"},
                "output": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
            });
            std::fs::write(contracts.join(format!("{step}.v1.json")), contract.to_string()).expect("written");
        }
        std::fs::write(sagas.join("hand.yaml"), HAND).expect("written");
        std::fs::write(sagas.join("short.yaml"), SHORT).expect("written");
        std::fs::write(sagas.join("ask.yaml"), ASK).expect("written");
        let platform = Platform::start_with(BINARY, &["--schemas", &folder.path().to_string_lossy()]).await;
        let nats = connect(&platform).await;
        Self { platform, nats, _folder: folder }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.platform.client
    }

    pub(crate) async fn start(&self, definition: &str) -> String {
        let answer = self.client().post("/v1/sagas", &json!({"definition": definition, "input": {}})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.text("saga_id")
    }

    /// Takes the next command of a step off the queue.
    pub(crate) async fn command(&self, step: &str) -> Value {
        let contract = format!("hand.{step}@1").parse().expect("a contract's name");
        until(&format!("a command of {step}"), SAGA_DEADLINE, async || {
            let consumer = self.nats.command_consumer(&contract).await.ok()?;
            let mut batch = consumer.fetch().max_messages(1).expires(Duration::from_secs(1)).messages().await.ok()?;
            let message = batch.next().await?.ok()?;
            message.ack().await.ok()?;
            serde_json::from_slice(&message.payload).ok()
        })
        .await
    }

    /// Answers a command as a worker would; what the owner says to it.
    pub(crate) async fn reply(&self, command: &Value, result: Value) -> String {
        reply(&self.nats, command, result).await
    }

    /// Takes the next command of a step, checks what is asked, answers it.
    pub(crate) async fn work(&self, step: &str, operation: &str, result: Value) -> Value {
        let command = self.command(step).await;
        assert_eq!(command["operation"], operation, "{command}");
        assert_eq!(self.reply(&command, result).await, "+OK");
        command
    }

    /// Goes forward until `pay` is with the workers, and answers it.
    async fn until_paying(&self, result: Value) -> (String, Value) {
        let saga_id = self.start("hand").await;
        self.work("a", "do", succeeded()).await;
        self.work("b", "do", succeeded()).await;
        (saga_id, self.work("pay", "do", result).await)
    }

    async fn act(&self, saga_id: &str, verb: &str, body: Value) -> (u16, Value) {
        let answer = self.client().post(&format!("/v1/sagas/{saga_id}/{verb}"), &body).await;
        (answer.status, answer.body)
    }

    async fn refused(&self, saga_id: &str, verb: &str, body: Value, status: u16, code: &str) {
        let (got, body) = self.act(saga_id, verb, body).await;
        assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{verb}: {body}");
    }

    async fn done(&self, saga_id: &str, verb: &str, body: Value) -> Value {
        let (status, body) = self.act(saga_id, verb, body).await;
        assert_eq!((status, body["verb"].as_str()), (200, Some(verb)), "{body}");
        body
    }

    pub(crate) async fn saga(&self, saga_id: &str) -> Value {
        self.client().get(&format!("/v1/sagas/{saga_id}")).await.body
    }

    async fn events(&self, saga_id: &str) -> Vec<String> {
        let history = self.client().items(&format!("/v1/sagas/{saga_id}/history")).await;
        history.iter().map(|entry| entry["event"].as_str().expect("a name").to_owned()).collect()
    }
}

pub(crate) async fn connect(platform: &Platform) -> Nats {
    let settings = NatsSettings { url: platform.nats.clone(), name: "hand".to_owned(), credentials: None, replicas: 1 };
    Nats::connect(&settings, SAGA_DEADLINE).await.expect("NATS is there")
}

async fn reply(nats: &Nats, command: &Value, result: Value) -> String {
    let reply = json!({
        "saga_id": command["saga_id"], "step": command["step"], "operation": command["operation"],
        "attempt": command["attempt"], "result": result,
    });
    let to = command["reply_to"].as_str().expect("somewhere to answer").to_owned();
    let answer = nats.client().request(to, reply.to_string().into()).await.expect("an answer");
    String::from_utf8_lossy(&answer.payload).into_owned()
}

pub(crate) fn succeeded() -> Value {
    json!({"status": "succeeded", "output": {"id": 7}})
}

pub(crate) fn not(status: &str) -> Value {
    json!({"status": status, "error": {"code": "a_test", "message": "A test's."}})
}

fn why() -> Value {
    json!({"by": "ann", "reason": "seen in the ledger"})
}

fn why_and(more: Value) -> Value {
    let mut body = why();
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

#[tokio::test]
async fn pausing_resuming_retrying_and_skipping() {
    let mut stage = Stage::set().await;
    let id = stage.start("hand").await;
    let command = stage.command("a").await;
    let path = format!("/v1/sagas/{id}/pause");
    let paused = stage.client().post_surely(&path, "k", &why(), SAGA_DEADLINE).await;
    assert_eq!((paused.status, paused.body["sequence"].as_u64()), (200, Some(3)), "{paused:?}");
    assert_eq!(stage.client().post_surely(&path, "k", &why(), SAGA_DEADLINE).await, paused);
    let other = stage.client().post_surely(&path, "k", &json!({"by": "bob"}), SAGA_DEADLINE).await;
    assert_eq!((other.status, other.text("code").as_str()), (409, "idempotency_key_reused"));
    stage.refused(&id, "pause", why(), 409, "illegal_here").await;
    let saga = stage.saga(&id).await;
    assert_eq!(
        (&saga["paused"], saga["waiting_for"].as_str()),
        (&json!(true), Some("paused by ann: seen in the ledger"))
    );

    // The answer to what was in flight is taken, and nothing follows; not even after a crash.
    assert_eq!(stage.reply(&command, succeeded()).await, "+OK");
    stage.platform.kill_and_restart().await;
    stage.nats = connect(&stage.platform).await;
    let saga = stage.saga(&id).await;
    assert_eq!((&saga["paused"], &saga["steps"][0]["status"]), (&json!(true), &json!("succeeded")), "{saga}");
    assert_eq!(saga["steps"][1]["status"], "pending", "{saga}");
    assert_eq!(stage.client().post_surely(&path, "k", &why(), SAGA_DEADLINE).await, paused, "known after a crash");
    stage.done(&id, "resume", json!({})).await;
    stage.refused(&id, "resume", json!({}), 409, "illegal_here").await;
    stage.work("b", "do", succeeded()).await;

    // A step that backs off is tried at once; before the pivot it is not skipped.
    stage.work("pay", "do", not("retry")).await;
    stage.refused(&id, "skip", why(), 409, "illegal_here").await;
    stage.refused(&id, "retry", json!({"step": "nobody"}), 404, "step_not_found").await;
    stage.done(&id, "retry", why()).await;
    let command = stage.work("pay", "do", succeeded()).await;
    assert_eq!(command["attempt"], 2);

    // Stuck behind the pivot: again, and then passed over, while its answer is delivered once more.
    stage.work("tell", "do", not("failed")).await;
    stage.client().saga_in(&id, &["stuck"], SAGA_DEADLINE).await;
    stage.done(&id, "retry", why()).await;
    let command = stage.work("tell", "do", not("failed")).await;
    stage.refused(&id, "skip", json!({"by": "ann"}), 422, "reason_required").await;
    let (redelivered, ()) = tokio::join!(stage.reply(&command, not("failed")), async {
        let skipped = stage.done(&id, "skip", why()).await;
        assert_eq!(skipped["step"], "tell");
    });
    assert_eq!(redelivered, "+OK");
    let saga = stage.client().saga_in(&id, &["completed"], SAGA_DEADLINE).await;
    assert_eq!(saga["steps"][3]["status"], "skipped", "{saga}");
    let history = stage.client().items(&format!("/v1/sagas/{id}/history")).await;
    let skip = history.iter().find(|entry| entry["event"] == "step_passed_over").expect("the fact");
    assert_eq!((&skip["data"]["by"], &skip["data"]["reason"]), (&json!("ann"), &json!("seen in the ledger")));
    for verb in ["pause", "retry", "skip"] {
        stage.refused(&id, verb, why(), 409, "illegal_here").await;
    }
}

#[tokio::test]
async fn doubts_and_stuck_undos_are_settled_by_hand() {
    let stage = Stage::set().await;
    let (id, command) = stage.until_paying(not("unknown")).await;
    let preview = stage.client().get(&format!("/v1/sagas/{id}/compensation-preview")).await.body;
    assert_eq!((&preview["pivot"], &preview["cancel"]["effect"]), (&json!("undecided"), &json!("settle_doubt")));
    let steps: Vec<&str> =
        preview["steps"].as_array().expect("steps").iter().map(|step| step["step"].as_str().expect("text")).collect();
    assert_eq!(steps, ["pay", "b", "a"], "{preview}");
    assert_eq!(preview["steps"][2]["input"], json!({"word": "hello"}), "{preview}");
    stage.refused(&id, "skip", why(), 409, "illegal_here").await;
    stage.refused(&id, "resolve", why_and(json!({"as": "succeeded", "output": {}})), 422, "invalid_output").await;
    stage.refused(&id, "resolve", json!({"as": "failed"}), 422, "reason_required").await;
    stage.done(&id, "resolve", why_and(json!({"as": "failed"}))).await;
    assert_eq!(stage.reply(&command, succeeded()).await, "+OK", "too late, and taken off the queue");
    // Its undo does not work: again, then a person has seen to it; the other one is left as it is.
    stage.work("b", "undo", not("failed")).await;
    stage.client().saga_in(&id, &["stuck"], SAGA_DEADLINE).await;
    stage.done(&id, "retry", why()).await;
    stage.work("b", "undo", not("failed")).await;
    stage.done(&id, "resolve", why_and(json!({"as": "succeeded"}))).await;
    stage.work("a", "undo", not("failed")).await;
    stage.done(&id, "skip", why_and(json!({"step": "a"}))).await;
    let saga = stage.client().saga_in(&id, &["compensated"], SAGA_DEADLINE).await;
    let statuses: Vec<&str> =
        saga["steps"].as_array().expect("steps").iter().map(|step| step["status"].as_str().expect("text")).collect();
    assert_eq!(statuses, ["succeeded", "undone", "failed", "skipped"], "{saga}");

    let (id, _) = stage.until_paying(not("unknown")).await;
    stage.done(&id, "resolve", why_and(json!({"as": "succeeded", "output": {"id": 1}}))).await;
    let preview = stage.client().get(&format!("/v1/sagas/{id}/compensation-preview")).await.body;
    assert_eq!((&preview["pivot"], &preview["cancel"]["code"]), (&json!("after"), &json!("past_pivot")), "{preview}");
    stage.work("tell", "do", succeeded()).await;
    stage.client().saga_in(&id, &["completed"], SAGA_DEADLINE).await;
}

#[tokio::test]
async fn operators_workers_and_clients_at_once() {
    let stage = Stage::set().await;
    // Two operators say the opposite: one is heard, and the saga does as he says.
    for _ in 0..5 {
        let (id, _) = stage.until_paying(not("unknown")).await;
        let (yes, no) = tokio::join!(
            stage.act(&id, "resolve", why_and(json!({"as": "succeeded", "output": {"id": 1}}))),
            stage.act(&id, "resolve", why_and(json!({"as": "failed"}))),
        );
        let statuses = [yes.0, no.0];
        assert!(statuses == [200, 409] || statuses == [409, 200], "{yes:?} {no:?}");
        let happened = yes.0 == 200;
        assert_eq!(if happened { no.1["code"].clone() } else { yes.1["code"].clone() }, "illegal_here");
        if happened {
            stage.work("tell", "do", succeeded()).await;
            stage.client().saga_in(&id, &["completed"], SAGA_DEADLINE).await;
        } else {
            stage.work("b", "undo", succeeded()).await;
            stage.work("a", "undo", succeeded()).await;
            stage.client().saga_in(&id, &["compensated"], SAGA_DEADLINE).await;
        }
    }
    // One key many times at once is one act.
    let id = stage.start("short").await;
    let command = stage.command("a").await;
    let path = format!("/v1/sagas/{id}/pause");
    let body = why();
    let answers =
        futures::future::join_all((0..10).map(|_| stage.client().post_surely(&path, "once", &body, SAGA_DEADLINE)))
            .await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body), "{answers:?}");
    assert_eq!(stage.events(&id).await.iter().filter(|event| *event == "saga_paused").count(), 1);
    stage.done(&id, "resume", json!({})).await;
    assert_eq!(stage.reply(&command, succeeded()).await, "+OK");
    stage.client().saga_in(&id, &["completed"], SAGA_DEADLINE).await;

    // A cancel against the completion: whichever is first, what was answered is what happens.
    for _ in 0..5 {
        let id = stage.start("short").await;
        let command = stage.command("a").await;
        let nothing = json!({});
        let path = format!("/v1/sagas/{id}/cancel");
        let (answered, cancelled) =
            tokio::join!(stage.reply(&command, succeeded()), stage.client().post(&path, &nothing));
        assert_eq!(answered, "+OK");
        if cancelled.status == 202 {
            stage.work("a", "undo", succeeded()).await;
            stage.client().saga_in(&id, &["compensated"], SAGA_DEADLINE).await;
        } else {
            assert_eq!((cancelled.status, cancelled.text("code").as_str()), (409, "past_pivot"));
            assert_eq!(stage.saga(&id).await["status"], "completed");
        }
    }
}

#[tokio::test]
async fn terminating_and_the_command_line() {
    let stage = Stage::set().await;
    let id = stage.start("hand").await;
    stage.work("a", "do", succeeded()).await;
    let command = stage.command("b").await;
    stage.refused(&id, "terminate", why(), 422, "force_required").await;
    stage.refused(&id, "terminate", json!({"force": true}), 422, "reason_required").await;
    stage.done(&id, "terminate", why_and(json!({"force": true}))).await;
    let saga = stage.saga(&id).await;
    assert_eq!((saga["status"].as_str(), &saga["waiting_for"]), (Some("terminated"), &Value::Null), "{saga}");
    let facts = saga["event_count"].clone();
    assert_eq!(stage.reply(&command, succeeded()).await, "+OK", "too late, and taken off the queue");
    assert_eq!(stage.saga(&id).await["event_count"], facts);
    stage.refused(&id, "cancel", json!({}), 409, "illegal_here").await;
    until("the list to show it", SAGA_DEADLINE, async || {
        let listed = stage.client().items("/v1/sagas?status=terminated").await;
        listed.iter().any(|item| item["saga_id"] == json!(id)).then_some(())
    })
    .await;

    let amends = |arguments: &[&str]| {
        let output = Command::new(BINARY).args(arguments).args(["--api", &stage.client().base]).output().expect("runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), format!("{out}{err}"))
    };
    let said = |arguments: &[&str], wanted: &str| {
        let (ok, text) = amends(arguments);
        assert!(ok && text.contains(wanted), "{arguments:?}: {text}");
    };
    let (id, _) = stage.until_paying(not("unknown")).await;
    said(&["saga", "preview", &id], "a cancel would first settle whether `pay` happened and then undo b, then a");
    said(&["saga", "pause", &id, "--reason", "lunch", "--by", "ann", "--key", "k"], "pause saga");
    said(&["saga", "pause", &id, "--reason", "lunch", "--by", "ann", "--key", "k"], "pause saga");
    said(&["saga", "show", &id], "paused by ann: lunch");
    let (ok, text) = amends(&["saga", "skip", &id, "--reason", "why not"]);
    assert!(!ok && text.contains("illegal_here"), "{text}");
    said(&["saga", "resolve", &id, "succeeded", "--output", r#"{"id": 3}"#, "--reason", "seen"], "resolve pay of saga");
    said(&["saga", "resume", &id], "resume saga");
    stage.work("tell", "do", not("failed")).await;
    said(&["saga", "retry", &id, "--step", "tell"], "retry tell of saga");
    stage.work("tell", "do", not("failed")).await;
    said(&["saga", "skip", &id, "--reason", "told by telephone"], "skip tell of saga");
    stage.client().saga_in(&id, &["completed"], SAGA_DEADLINE).await;
    let id = stage.start("hand").await;
    let (ok, text) = amends(&["saga", "terminate", &id, "--reason", "a mistake"]);
    assert!(!ok && text.contains("force_required"), "{text}");
    said(&["saga", "terminate", &id, "--reason", "a mistake", "--force"], "terminate saga");
}
