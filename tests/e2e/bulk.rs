//! Many stuck sagas, found by what is wrong with them and retried all at once, across `kill -9`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use amends_test_support::wait::until;
use serde_json::{Value, json};

use crate::operators::{Stage, connect, not, succeeded};
use crate::{BINARY, SAGA_DEADLINE};

/// Sagas that are stuck.
const STUCK: usize = 40;

/// Sagas of the same definition that have long been completed: the verb is illegal there.
const COMPLETED: usize = 3;

/// Slow enough to be killed and paused in the middle.
const PER_SECOND: usize = 8;

impl Stage {
    /// Goes on once the operation is as it should be.
    async fn bulk(&self, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, SAGA_DEADLINE, async || {
            let operation = self.client().get(path).await.body;
            is(&operation).then_some(operation)
        })
        .await
    }

    async fn count(&self, query: &str) -> u64 {
        let answer = self.client().get(&format!("/v1/sagas/count?{query}")).await;
        assert_eq!(answer.body["at_least"], false, "{answer:?}");
        answer.body["count"].as_u64().expect("a count")
    }

    /// Sagas that stand at the step, of which nobody knows whether it happened.
    async fn stuck_sagas(&self) -> BTreeMap<String, u64> {
        for _ in 0..COMPLETED {
            let id = self.start("ask").await;
            self.work("b", "do", succeeded()).await;
            self.client().saga_in(&id, &["completed"], SAGA_DEADLINE).await;
        }
        let mut stuck = BTreeMap::new();
        for _ in 0..STUCK {
            let id = self.start("ask").await;
            self.work("b", "do", not("unknown")).await;
            let saga = self.client().saga_in(&id, &["stuck"], SAGA_DEADLINE).await;
            stuck.insert(id, saga["event_count"].as_u64().expect("a count"));
        }
        until("the view to show them", SAGA_DEADLINE, async || {
            (self.count("status=stuck&definition=ask").await == STUCK as u64).then_some(())
        })
        .await;
        stuck
    }
}

fn known(operation: &Value) -> usize {
    let number = |member: &str| operation[member].as_u64().expect("a number");
    usize::try_from(number("done") + number("refused")).expect("few")
}

#[tokio::test]
async fn stuck_sagas_are_found_and_retried_together_across_a_crash() {
    let mut stage = Stage::set().await;
    let stuck = stage.stuck_sagas().await;
    found_by_what_is_wrong(&stage).await;

    // A dry run tells what would be touched, and touches nothing.
    let filter = json!({"definition": "ask", "version": 1});
    let body = json!({"verb": "retry", "filter": filter, "dry_run": true});
    let preview = stage.client().post("/v1/bulk-operations", &body).await;
    assert_eq!((preview.status, preview.body["status"].as_str()), (200, Some("previewed")), "{preview:?}");
    assert_eq!(preview.body["count"].as_u64(), Some((STUCK + COMPLETED) as u64), "{preview:?}");
    assert_eq!(preview.body["items"].as_array().expect("items").len(), STUCK + COMPLETED);
    assert!(stage.client().items("/v1/bulk-operations").await.is_empty());
    for (id, facts) in &stuck {
        assert_eq!(stage.saga(id).await["event_count"].as_u64(), Some(*facts));
    }

    let body = json!({"verb": "retry", "filter": filter, "reason": "the ledger is back", "by": "ann", "per_second": PER_SECOND});
    let begun = stage.client().post_surely("/v1/bulk-operations", "k", &body, SAGA_DEADLINE).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let path = format!("/v1/bulk-operations/{}", begun.text("bulk_id"));
    stage.bulk(&path, "it to be under way", |operation| known(operation) > 0).await;
    stage.platform.kill_and_restart().await;
    stage.nats = connect(&stage.platform).await;
    let killed = stage.client().get(&path).await.body;
    assert!(killed["status"] == "running" && known(&killed) < STUCK + COMPLETED, "killed in the middle: {killed}");
    let again = stage.client().post_surely("/v1/bulk-operations", "k", &body, SAGA_DEADLINE).await;
    assert_eq!(again.body["bulk_id"], begun.body["bulk_id"], "{again:?}");
    stage.bulk(&path, "it to go on", |operation| known(operation) > known(&killed)).await;

    let paused = stage.client().post(&format!("{path}/pause"), &json!({"by": "bob"})).await;
    assert_eq!((paused.status, paused.body["status"].as_str()), (200, Some("paused")), "{paused:?}");
    assert!(known(&paused.body) < STUCK + COMPLETED, "paused in the middle: {paused:?}");
    let resumed = stage.client().post(&format!("{path}/resume"), &json!({"by": "bob"})).await;
    assert_eq!((resumed.status, resumed.body["status"].as_str()), (200, Some("running")), "{resumed:?}");
    let done = stage.bulk(&path, "it to end", |operation| operation["status"] == "done").await;
    assert_eq!((done["done"].as_u64(), done["refused"].as_u64()), (Some(STUCK as u64), Some(COMPLETED as u64)));
    assert_eq!(done["refusals"], json!([{"code": "illegal_here", "count": COMPLETED}]), "{done}");
    let ended = stage.client().post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!((ended.status, ended.text("code").as_str()), (409, "illegal_here"));

    // Each was retried once, and its history says by whom and why.
    for id in stuck.keys() {
        let history = stage.client().items(&format!("/v1/sagas/{id}/history")).await;
        let orders: Vec<&Value> = history.iter().filter(|entry| entry["event"] == "retry_ordered").collect();
        let [order] = orders[..] else { panic!("{id}: {orders:?}") };
        let reason = format!("the ledger is back (bulk operation {})", begun.text("bulk_id"));
        assert_eq!((&order["data"]["by"], &order["data"]["reason"]), (&json!("ann"), &json!(reason)));
    }
    // What was in flight when the process was killed is dispatched again: a saga may have two commands for one attempt.
    let mut unanswered: BTreeSet<&String> = stuck.keys().collect();
    while !unanswered.is_empty() {
        let command = stage.command("b").await;
        let id = command["saga_id"].as_str().expect("an id").to_owned();
        assert!(stuck.contains_key(&id), "{command}");
        assert_eq!(stage.reply(&command, succeeded()).await, "+OK");
        unanswered.remove(&id);
    }
    until("all of them to be completed", SAGA_DEADLINE, async || {
        (stage.count("status=completed&definition=ask").await == (STUCK + COMPLETED) as u64).then_some(())
    })
    .await;
    assert_eq!(stage.count("error=a_test").await, 0, "nothing is wrong with them any more");
}

/// Lists and counts by status, step, code, words and time.
async fn found_by_what_is_wrong(stage: &Stage) {
    for (query, wanted) in [
        ("status=stuck&definition=ask&version=1", STUCK),
        ("status=stuck,completed&definition=ask", STUCK + COMPLETED),
        ("step=b&error=a_test", STUCK),
        ("text=test&definition=ask", STUCK),
        ("text=nothing%20of%20that", 0),
        ("step=a", 0),
        ("definition=ask&older_than=1h", 0),
        ("definition=ask&paused=true", 0),
        ("definition=ask&created_from=2020-01-01T00:00:00Z", STUCK + COMPLETED),
    ] {
        assert_eq!(stage.count(query).await, wanted as u64, "{query}");
        let sagas = stage.client().items(&format!("/v1/sagas?{query}&limit=200&sort=updated")).await;
        assert_eq!(sagas.len(), wanted, "{query}");
        let changed: Vec<&str> = sagas.iter().map(|saga| saga["updated_at"].as_str().expect("a time")).collect();
        assert!(changed.is_sorted(), "{query}: {changed:?}");
    }
    let counts = stage.client().get("/v1/sagas/counts").await.body;
    until("all rows to be counted", SAGA_DEADLINE, async || {
        (stage.client().get("/v1/sagas/counts").await.body["complete"] == true).then_some(())
    })
    .await;
    let of = counts["definitions"].as_array().expect("a list").iter().find(|of| of["definition"] == "ask");
    let statuses = json!([
        {"status": "completed", "count": COMPLETED, "paused": 0},
        {"status": "stuck", "count": STUCK, "paused": 0},
    ]);
    assert_eq!(of.map(|of| &of["statuses"]), Some(&statuses), "{counts}");
}

#[tokio::test]
async fn bulk_operations_on_the_command_line() {
    let stage = Stage::set().await;
    let mut sagas = Vec::new();
    for _ in 0..3 {
        sagas.push(stage.start("ask").await);
        stage.work("b", "do", not("unknown")).await;
    }
    until("the view to show them", SAGA_DEADLINE, async || {
        (stage.count("status=stuck&definition=ask").await == 3).then_some(())
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
        text
    };
    said(&["saga", "list", "--status", "stuck", "--error", "a_test", "--sort", "-updated"], &sagas[0]);
    said(&["saga", "count", "--step", "b"], "3");
    said(&["saga", "count"], "stuck 3");
    let filter = ["--status", "stuck", "--definition", "ask"];
    let terminate = [&["bulk", "start", "terminate"][..], &filter].concat();
    said(&[&terminate[..], &["--dry-run"]].concat(), "terminate would touch 3 sagas; nothing is changed");
    let (ok, text) = amends(&[&terminate[..], &["--reason", "a mistake"]].concat());
    assert!(!ok && text.contains("force_required"), "{text}");
    let (ok, text) = amends(&["bulk", "start", "terminate", "--force", "--reason", "a mistake"]);
    assert!(!ok && text.contains("filter_required"), "{text}");
    let (ok, text) = amends(&[&terminate[..], &["--force"]].concat());
    assert!(!ok && text.contains("reason_required"), "{text}");
    let text =
        said(&[&terminate[..], &["--force", "--reason", "a mistake", "--by", "ann", "--key", "k"]].concat(), "running");
    let bulk_id = text.split_whitespace().next().expect("an id");
    until("it to end", SAGA_DEADLINE, async || amends(&["bulk", "show", bulk_id]).1.contains("done  ").then_some(()))
        .await;
    said(&["bulk", "show", bulk_id], "3 of 3 done, 0 refused  ann: a mistake");
    said(&["bulk", "list"], bulk_id);
    for id in &sagas {
        assert_eq!(stage.saga(id).await["status"], "terminated");
    }
    let slow = ["bulk", "start", "resume", "--definition", "ask", "--reason", "try", "--per-second", "1"];
    let text = said(&slow, "running");
    let bulk_id = text.split_whitespace().next().expect("an id");
    said(&["bulk", "pause", bulk_id, "--by", "bob", "--reason", "lunch"], "paused");
    said(&["bulk", "resume", bulk_id], "running");
    said(&["bulk", "cancel", bulk_id], "cancelled");
    said(&["bulk", "show", bulk_id], "pause by bob: lunch");
}

impl Stage {
    /// Begins an operation over two sagas and waits until it has done it to both.
    async fn both(&self, definition: &str, act: Value) {
        let mut body = json!({"filter": {"definition": definition}, "reason": "a test's"});
        body.as_object_mut().expect("an object").extend(act.as_object().expect("an object").clone());
        let begun = self.client().post("/v1/bulk-operations", &body).await;
        assert_eq!(begun.status, 202, "{begun:?}");
        let path = format!("/v1/bulk-operations/{}", begun.text("bulk_id"));
        let done = self.bulk(&path, "it to end", |operation| operation["status"] == "done").await;
        assert_eq!((&done["done"], &done["refused"]), (&json!(2), &json!(0)), "{done}");
    }

    /// Works at a step of two sagas, whatever is asked, until both have been done so often.
    async fn work_both(&self, step: &str, operations: &[&str], result: Value) {
        let mut left: BTreeMap<String, usize> =
            operations.iter().map(|operation| ((*operation).to_owned(), 2)).collect();
        while left.values().any(|count| *count > 0) {
            let command = self.command(step).await;
            let operation = command["operation"].as_str().expect("text");
            let count = left.get_mut(operation).unwrap_or_else(|| panic!("{command}"));
            *count = count.checked_sub(1).unwrap_or_else(|| panic!("once more: {command}"));
            assert_eq!(self.reply(&command, result.clone()).await, "+OK");
        }
    }
}

#[tokio::test]
async fn every_verb_over_what_a_filter_finds() {
    let stage = Stage::set().await;
    let start = async |definition: &str| [stage.start(definition).await, stage.start(definition).await];
    let all = async |sagas: &[String; 2], status: &str| {
        for id in sagas {
            stage.client().saga_in(id, &[status], SAGA_DEADLINE).await;
        }
    };

    let short = start("short").await;
    stage.both("short", json!({"verb": "pause"})).await;
    for id in &short {
        assert_eq!(stage.saga(id).await["paused"], true);
    }
    stage.both("short", json!({"verb": "resume"})).await;
    for id in &short {
        assert_eq!(stage.saga(id).await["paused"], false);
    }
    stage.both("short", json!({"verb": "cancel"})).await;
    stage.work_both("a", &["do", "undo"], succeeded()).await;
    all(&short, "compensated").await;

    let ask = start("ask").await;
    stage.work_both("b", &["do"], not("unknown")).await;
    all(&ask, "stuck").await;
    let resolved = json!({"verb": "resolve", "step": "b", "as": "succeeded", "output": {"id": 7}});
    stage.both("ask", resolved).await;
    all(&ask, "completed").await;

    let hand = start("hand").await;
    stage.work_both("a", &["do"], succeeded()).await;
    stage.work_both("b", &["do"], succeeded()).await;
    stage.work_both("pay", &["do"], not("retry")).await;
    stage.both("hand", json!({"verb": "retry_from", "step": "b"})).await;
    stage.work_both("b", &["undo", "do"], succeeded()).await;
    stage.work_both("pay", &["do"], succeeded()).await;
    stage.work_both("tell", &["do"], not("failed")).await;
    all(&hand, "stuck").await;
    stage.both("hand", json!({"verb": "skip"})).await;
    all(&hand, "completed").await;

    let unknown = json!({"verb": "edit_input", "filter": {"definition": "hand"}, "reason": "a test's"});
    let refused = stage.client().post("/v1/bulk-operations", &unknown).await;
    assert_eq!((refused.status, refused.text("code").as_str()), (400, "invalid_body"), "an input belongs to one saga");
}
