//! Sagas that start sagas, with the real binary.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_test_support::wait::until;
use serde_json::{Value, json};

use crate::SAGA_DEADLINE;
use crate::hands::{Hands, failed, succeeded};

const CHILD: &str = "
saga: child
version: 1
title: One of many
input: {type: object}
cancel_with: {saga: back, input: {of: /saga/id}}
steps:
  - {name: job, call: hand.job@1, kind: pivot, input: {n: /input/n}, timeout: 10m, on_unknown: retry}
output: {id: /steps/job/output/id}
";

const BACK: &str = "
saga: back
version: 1
title: Takes one back
input: {type: object}
steps:
  - {name: back, call: hand.back@1, kind: compensable, compensate: {waive: It is itself the way back.}, timeout: 10m, on_unknown: retry}
";

const PARENT: &str = "
saga: parent
version: 1
title: Starts one, then does something
input: {type: object}
steps:
  - {name: child, saga: child, input: {n: {const: 1}}, kind: compensable, compensate: cancel}
  - {name: last, call: hand.last@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
output: {id: /steps/child/output/id}
";

fn many(name: &str, on_failure: &str) -> String {
    format!(
        "
saga: {name}
version: 1
title: One for each
input: {{type: object}}
steps:
  - {{name: each, saga: child, for_each: /input/items, input: {{n: /item}}, concurrency: 20, on_failure: {on_failure}, kind: compensable, compensate: cancel}}
output: {{completed: /steps/each/output/completed, failed: /steps/each/output/failed}}
"
    )
}

async fn set() -> Hands {
    let contracts = [("job", json!({"undo": false})), ("back", json!({"undo": false})), ("last", json!({}))];
    let (stop, go_on, undo) = (many("stop", "stop"), many("go-on", "continue"), many("undo-all", "compensate"));
    Hands::set(&contracts, &[CHILD, BACK, PARENT, &stop, &go_on, &undo]).await
}

fn failing(numbers: &'static [u64]) -> impl Fn(&Value) -> Value {
    move |command| if numbers.iter().any(|n| command["input"]["n"] == *n) { failed() } else { succeeded() }
}

#[tokio::test]
async fn a_child_is_awaited_undone_and_cancelled_with_its_parent() {
    let hands = set().await;
    let id = hands.start(json!({"definition": "parent", "input": {}, "priority": 7})).await;
    let job = hands.command("job").await;
    let saga = hands.saga(&id).await;
    let child_id = job["saga_id"].as_str().expect("an id").to_owned();
    assert_eq!(saga["steps"][0]["children"]["at_work"][0]["saga_id"], child_id, "{saga}");
    let child = hands.saga(&child_id).await;
    assert_eq!((&child["parent"]["saga_id"], &child["parent"]["step"]), (&json!(id), &json!("child")), "{child}");
    assert_eq!(child["priority"], 7, "{child}");
    assert_eq!(hands.reply(&job, succeeded()).await, "+OK");

    // Its parent fails afterwards: the child is taken back by the saga that its definition names.
    hands.work("last", "do", failed()).await;
    let back = hands.work("back", "do", succeeded()).await;
    let saga = hands.ends(&id, "compensated").await;
    assert_eq!(Hands::statuses(&saga), ["undone", "failed"], "{saga}");
    assert_eq!(hands.saga(&child_id).await["cancelled_by"], back["saga_id"]);

    // A parent that is cancelled while its child is at work cancels the child, and waits for it.
    let id = hands.start(json!({"definition": "parent", "input": {}})).await;
    let job = hands.command("job").await;
    let (status, _) = hands.post(&id, "cancel", json!({})).await;
    assert_eq!(status, 202);
    let child_id = job["saga_id"].as_str().expect("an id").to_owned();
    until("the child to be asked", SAGA_DEADLINE, async || {
        let history = hands.client().items(&format!("/v1/sagas/{child_id}/history")).await;
        history.iter().any(|entry| entry["event"] == "cancel_requested").then_some(())
    })
    .await;
    assert_eq!(hands.reply(&job, failed()).await, "+OK");
    hands.ends(&child_id, "compensated").await;
    hands.ends(&id, "compensated").await;
}

#[tokio::test]
async fn children_of_a_saga_that_is_terminated_go_on() {
    let hands = set().await;
    let id = hands.start(json!({"definition": "parent", "input": {}})).await;
    let job = hands.command("job").await;
    let child_id = job["saga_id"].as_str().expect("an id").to_owned();
    let (status, body) = hands.post(&id, "terminate", json!({"force": true, "reason": "a mistake"})).await;
    assert_eq!(status, 200, "{body}");
    let parent = hands.ends(&id, "terminated").await;
    assert_eq!(hands.saga(&child_id).await["status"], "running", "nobody has told it anything");
    assert_eq!(hands.reply(&job, succeeded()).await, "+OK");
    hands.ends(&child_id, "completed").await;
    let history = hands.client().items(&format!("/v1/sagas/{child_id}/history")).await;
    assert!(history.iter().all(|entry| entry["event"] != "cancel_requested"), "{history:?}");
    assert_eq!(hands.saga(&id).await["event_count"], parent["event_count"], "its end is no news to its parent");
    // It is there to be cancelled on its own.
    assert_eq!(hands.post(&child_id, "cancel", json!({})).await.0, 202);
    hands.work("back", "do", succeeded()).await;
}

#[tokio::test]
async fn each_policy_does_with_a_failure_what_it_says() {
    let hands = set().await;
    let jobs = hands.serve("job", Duration::ZERO, failing(&[3, 4]));
    let backs = hands.serve("back", Duration::ZERO, |_| succeeded());
    let items: Vec<u64> = (0..40).collect();
    let body = |definition: &str| json!({"definition": definition, "input": {"items": items}});

    let id = hands.start(body("go-on")).await;
    let saga = hands.ends(&id, "completed").await;
    assert_eq!(saga["output"], json!({"completed": 38, "failed": 2}), "{saga}");
    assert_eq!((saga["steps"][0]["outcome"].as_str(), jobs.keys()), (Some("some"), 40), "{saga}");
    assert_eq!(backs.keys(), 0);

    for definition in ["stop", "undo-all"] {
        let id = hands.start(body(definition)).await;
        let saga = hands.ends(&id, "compensated").await;
        let children = &saga["steps"][0]["children"];
        // Whatever completed is taken back, and no child is left at work or half done.
        assert_eq!((&children["completed"], &children["running"]), (&json!(0), &json!(0)), "{saga}");
        let (failed, undone) = (children["failed"].as_u64(), children["undone"].as_u64());
        assert!(failed >= Some(1) && undone.is_some(), "{saga}");
        assert!(children["waiting"].as_u64() > Some(0), "no more are started: {saga}");
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_many_children_runs_each_once() {
    const COUNT: u64 = 300;
    let mut hands = set().await;
    let items: Vec<u64> = (0..COUNT).collect();
    let jobs = hands.serve("job", Duration::from_millis(5), |_| succeeded());
    let id = hands.start(json!({"definition": "go-on", "input": {"items": items}})).await;
    until("some children to have ended", SAGA_DEADLINE, async || {
        let saga = hands.saga(&id).await;
        saga["steps"][0]["children"]["completed"].as_u64().filter(|completed| *completed >= COUNT / 5)
    })
    .await;
    let before = jobs.order();
    drop(jobs);
    hands.kill_and_restart().await;
    let jobs = hands.serve("job", Duration::from_millis(5), |_| succeeded());
    let saga = hands.ends(&id, "completed").await;
    assert_eq!(saga["output"], json!({"completed": COUNT, "failed": 0}), "{saga}");
    assert!(before.len() < COUNT as usize, "it was in the middle");
    // One saga for each item; a command that was given again has the same key.
    let seen = || before.iter().cloned().chain(jobs.order());
    let keys: BTreeSet<String> = seen().map(|command| command["key"].to_string()).collect();
    let numbers: BTreeSet<u64> = seen().map(|command| command["input"]["n"].as_u64().expect("a number")).collect();
    assert_eq!((keys.len(), numbers.len()), (COUNT as usize, COUNT as usize));
    let page = hands.client().get(&format!("/v1/sagas/{id}/history?limit=100")).await.body;
    assert_eq!((page["items"].as_array().map(Vec::len), &page["next_cursor"]), (Some(100), &json!("100")));
}
