//! Limits of contracts, shared by all sagas, with the real binary.

use std::time::Duration;

use serde_json::json;

use crate::hands::{Hands, succeeded};

fn definition(name: &str, contract: &str) -> String {
    format!(
        "
saga: {name}
version: 1
title: Limited
input: {{type: object}}
steps:
  - {{name: job, call: hand.{contract}@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry, input: {{n: /input/n}}}}
"
    )
}

async fn set() -> Hands {
    let contracts = [
        ("five", json!({"limits": {"concurrency": 5}})),
        ("one", json!({"limits": {"concurrency": 1}})),
        ("slow", json!({"limits": {"per_second": 20}})),
    ];
    let sagas =
        [definition("five", "five"), definition("many", "one"), definition("few", "one"), definition("slow", "slow")];
    Hands::set(&contracts, &sagas.each_ref().map(String::as_str)).await
}

#[tokio::test]
async fn never_more_than_the_limit_are_with_the_workers_at_once() {
    let mut hands = set().await;
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(hands.start(json!({"definition": "five", "input": {"n": n}})).await);
    }
    let jobs = hands.serve("five", Duration::from_millis(30), |_| succeeded());
    hands.ends(&ids[0], "completed").await;
    let most = jobs.most_at_once();
    drop(jobs);
    // What is with the workers when it crashes still counts.
    hands.kill_and_restart().await;
    let jobs = hands.serve("five", Duration::from_millis(30), |_| succeeded());
    for id in &ids {
        hands.ends(id, "completed").await;
    }
    assert!(most <= 5 && jobs.most_at_once() <= 5, "{most}, {}", jobs.most_at_once());
    assert!(most.max(jobs.most_at_once()) >= 2, "some at once");
}

#[tokio::test]
async fn priority_comes_first_and_definitions_take_turns() {
    let hands = set().await;
    // One is with the workers; all others wait for its place.
    let first = hands.start(json!({"definition": "many", "input": {"n": 0}})).await;
    let held = hands.command("one").await;
    let mut ids = vec![first];
    for n in 1..=6 {
        ids.push(hands.start(json!({"definition": "many", "input": {"n": n}})).await);
    }
    for n in 11..=12 {
        ids.push(hands.start(json!({"definition": "few", "input": {"n": n}})).await);
    }
    ids.push(hands.start(json!({"definition": "many", "input": {"n": 99}, "priority": 9})).await);
    let saga = hands.step_is(&ids[3], 0, "queued").await;
    let sentence = saga["waiting_for"].as_str().expect("a sentence");
    assert!(sentence.starts_with("step `job`: limited by hand.one@1"), "{sentence}");
    assert_eq!(hands.reply(&held, succeeded()).await, "+OK");
    let jobs = hands.serve("one", Duration::ZERO, |_| succeeded());
    for id in &ids {
        hands.ends(id, "completed").await;
    }
    let order: Vec<u64> =
        jobs.order().iter().map(|command| command["input"]["n"].as_u64().expect("a number")).collect();
    assert_eq!(order, [99, 11, 1, 12, 2, 3, 4, 5, 6]);
    assert_eq!(jobs.most_at_once(), 1);
}

#[tokio::test]
async fn a_rate_spreads_commands_over_time() {
    let hands = set().await;
    let jobs = hands.serve("slow", Duration::ZERO, |_| succeeded());
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(hands.start(json!({"definition": "slow", "input": {"n": n}})).await);
    }
    for id in &ids {
        hands.ends(id, "completed").await;
    }
    let mut sent = Vec::new();
    for id in &ids {
        let history = hands.client().items(&format!("/v1/sagas/{id}/history")).await;
        let dispatched = history.iter().find(|entry| entry["event"] == "step_dispatched").expect("the fact");
        let at: chrono::DateTime<chrono::Utc> = dispatched["at"].as_str().expect("a time").parse().expect("a time");
        sent.push(at);
    }
    sent.sort();
    // Twenty in a second, and a tenth of a second's worth at once after a lull; a little for the clocks of two machines.
    for window in sent.windows(25) {
        assert!(window[24] - window[0] >= chrono::TimeDelta::milliseconds(950), "{window:?}");
    }
    assert_eq!(jobs.keys(), 50);
}
