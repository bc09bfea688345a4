//! Branches, signals, sleeps and later starts, with the real binary.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::json;

use crate::SAGA_DEADLINE;
use crate::hands::{Hands, failed, succeeded};

const BRANCHES: &str = "
saga: branches
version: 1
title: Two at a time
input: {type: object}
steps:
  - {name: first, call: hand.a@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
  - parallel:
      - steps:
          - {name: left, call: hand.left@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
          - {name: further, call: hand.further@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
      - steps:
          - {name: right, call: hand.right@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
  - {name: last, call: hand.last@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
";

const SIGNALS: &str = "
saga: signals
version: 1
title: Waits for a word
input: {type: object}
steps:
  - {name: first, call: hand.a@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
  - name: word
    await: word
    outcomes: [yes, no]
    schema: {type: object, required: [by], properties: {by: {type: string}}}
    timeout: 10m
  - {name: last, when: {step: word, outcome: yes}, call: hand.last@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
";

const HASTY: &str = "
saga: hasty
version: 1
title: Waits a moment
input: {type: object}
steps:
  - {name: word, await: word, timeout: 300ms, on_timeout: late}
  - {name: rest, sleep: 50ms}
output: {outcome: /steps/word/outcome}
";

/// Until a time by the clocks of a place, and some time before it.
const REMIND: &str = "
saga: remind
version: 1
title: Reminds an hour before
input: {type: object, properties: {at: {type: string}, zone: {type: string}}}
steps:
  - {name: wait, sleep: {until: /input/at, time_zone: /input/zone, before: 1h}}
  - {name: last, call: hand.last@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}
";

async fn set() -> Hands {
    let contracts = ["a", "left", "further", "right", "last"].map(|step| (step, json!({})));
    Hands::set(&contracts, &[BRANCHES, SIGNALS, HASTY, REMIND]).await
}

#[tokio::test]
async fn branches_run_at_once_are_joined_and_undone() {
    let hands = set().await;
    let id = hands.start(json!({"definition": "branches", "input": {}})).await;
    hands.work("a", "do", succeeded()).await;
    // Both branches are with the workers; the join waits for the longer one.
    let right = hands.command("right").await;
    hands.work("left", "do", succeeded()).await;
    hands.work("further", "do", succeeded()).await;
    assert_eq!(hands.saga(&id).await["steps"][4]["status"], "pending");
    assert_eq!(hands.reply(&right, succeeded()).await, "+OK");
    hands.work("last", "do", succeeded()).await;
    hands.ends(&id, "completed").await;

    // One branch fails: what is in flight is waited for, then everything is undone.
    let id = hands.start(json!({"definition": "branches", "input": {}})).await;
    hands.work("a", "do", succeeded()).await;
    let left = hands.command("left").await;
    hands.work("right", "do", failed()).await;
    assert_eq!(hands.saga(&id).await["steps"][0]["status"], "succeeded", "nothing is undone while a branch is at work");
    assert_eq!(hands.reply(&left, succeeded()).await, "+OK");
    hands.work("left", "undo", succeeded()).await;
    hands.work("a", "undo", succeeded()).await;
    let saga = hands.ends(&id, "compensated").await;
    assert_eq!(Hands::statuses(&saga), ["undone", "undone", "skipped", "failed", "skipped"], "{saga}");
}

#[tokio::test]
async fn a_signal_early_in_time_twice_and_too_late() {
    let hands = set().await;
    let yes = json!({"outcome": "yes", "data": {"by": "ann"}});
    // Early: kept, and found by its step.
    let id = hands.start(json!({"definition": "signals", "input": {}})).await;
    hands.refused(&id, "signals/word", json!({"outcome": "yes", "data": {}}), 422, "invalid_signal").await;
    hands
        .refused(&id, "signals/word", json!({"outcome": "perhaps", "data": {"by": "ann"}}), 422, "invalid_outcome")
        .await;
    hands.refused(&id, "signals/nobodys", yes.clone(), 404, "unknown_signal").await;
    let path = format!("/v1/sagas/{id}/signals/word");
    let kept = hands.client().post_surely(&path, "k", &yes, SAGA_DEADLINE).await;
    assert_eq!((kept.status, &kept.body["effect"]), (202, &json!("kept")), "{kept:?}");
    assert_eq!(hands.client().post_surely(&path, "k", &yes, SAGA_DEADLINE).await, kept, "twice is once");
    let other = json!({"outcome": "no", "data": {"by": "bob"}});
    let reused = hands.client().post_surely(&path, "k", &other, SAGA_DEADLINE).await;
    assert_eq!((reused.status, reused.text("code").as_str()), (409, "idempotency_key_reused"));
    hands.refused(&id, "signals/word", other.clone(), 409, "signal_already_given").await;
    hands.work("a", "do", succeeded()).await;
    hands.work("last", "do", succeeded()).await;
    let saga = hands.ends(&id, "completed").await;
    assert_eq!((&saga["steps"][1]["outcome"], &saga["steps"][1]["output"]["by"]), (&json!("yes"), &json!("ann")));

    // In time: its step goes on, and the sentence before said what it waited for.
    let id = hands.start(json!({"definition": "signals", "input": {}})).await;
    hands.work("a", "do", succeeded()).await;
    let waiting = hands.step_is(&id, 1, "waiting").await;
    let sentence = waiting["waiting_for"].as_str().expect("a sentence").to_owned();
    assert!(sentence.starts_with("step `word`: waiting for the signal `word` until "), "{sentence}");
    let (status, taken) = hands.post(&id, "signals/word", other.clone()).await;
    assert_eq!((status, &taken["effect"]), (202, &json!("taken")), "{taken}");
    hands.ends(&id, "completed").await;

    // Too late: the saga turned back before its step.
    let id = hands.start(json!({"definition": "signals", "input": {}})).await;
    hands.work("a", "do", failed()).await;
    hands.ends(&id, "compensated").await;
    hands.refused(&id, "signals/word", yes, 409, "signal_too_late").await;
}

#[tokio::test]
async fn a_signal_races_its_timeout_and_what_was_answered_is_what_happens() {
    let hands = set().await;
    let nothing = json!({});
    for round in 0..6_u64 {
        let id = hands.start(json!({"definition": "hasty", "input": {}})).await;
        // Around the moment at which the wait ends, a little before and a little after.
        tokio::time::sleep(std::time::Duration::from_millis(240 + 25 * round)).await;
        let (status, body) = hands.post(&id, "signals/word", nothing.clone()).await;
        let saga = hands.ends(&id, "completed").await;
        match status {
            202 => assert_eq!(saga["steps"][0]["outcome"], json!(null), "{saga}"),
            409 => {
                assert_eq!(body["code"], "signal_too_late");
                assert_eq!(saga["output"]["outcome"], "late", "{saga}");
            }
            other => panic!("{other}: {body}"),
        }
    }
}

#[tokio::test]
async fn a_saga_that_starts_later_starts_then_also_after_a_crash() {
    let mut hands = set().await;
    let at = Utc::now() + TimeDelta::seconds(6);
    let body = json!({"definition": "hasty", "input": {}, "start_at": at, "priority": 9});
    let accepted = hands.client().post_surely("/v1/sagas", "later", &body, SAGA_DEADLINE).await;
    let id = accepted.text("saga_id");
    hands.kill_and_restart().await;
    assert_eq!(hands.client().post_surely("/v1/sagas", "later", &body, SAGA_DEADLINE).await, accepted);
    let mut sooner = body.clone();
    sooner["start_at"] = json!(at - TimeDelta::seconds(1));
    let other = hands.client().post_surely("/v1/sagas", "later", &sooner, SAGA_DEADLINE).await;
    assert_eq!((other.status, other.text("code").as_str()), (409, "idempotency_key_reused"), "{other:?}");
    let far = json!({"definition": "hasty", "input": {}, "start_at": "2126-01-01T00:00:00Z"});
    assert_eq!(hands.client().post("/v1/sagas", &far).await.status, 422);
    let saga = hands.ends(&id, "completed").await;
    let began: chrono::DateTime<Utc> =
        saga["steps"][0]["started_at"].as_str().expect("a time").parse().expect("a time");
    assert!(began >= at, "{saga}");
    // The time has come and gone; a repeat is still known as one.
    assert_eq!(hands.client().post_surely("/v1/sagas", "later", &body, SAGA_DEADLINE).await, accepted);
}

#[tokio::test]
async fn a_sleep_ends_so_long_before_a_time_by_the_clocks_of_a_place() {
    let mut hands = set().await;
    // In Tokyo it is nine hours later all year round.
    let tokyo = |at: DateTime<Utc>| (at + TimeDelta::hours(9)).format("%Y-%m-%dT%H:%M:%S").to_string();
    let body = |at: DateTime<Utc>| json!({"definition": "remind", "input": {"at": tokyo(at), "zone": "Asia/Tokyo"}});
    let due = (Utc::now() + TimeDelta::seconds(8)).trunc_subsecs(0);
    let id = hands.start(body(due + TimeDelta::hours(1))).await;
    let waiting = hands.step_is(&id, 0, "waiting").await;
    let until: DateTime<Utc> = waiting["steps"][0]["until"].as_str().expect("a time").parse().expect("a time");
    assert_eq!((until, &waiting["steps"][1]["status"]), (due, &json!("pending")), "{waiting}");
    hands.kill_and_restart().await;
    hands.work("last", "do", succeeded()).await;
    let saga = hands.ends(&id, "completed").await;
    let went_on: DateTime<Utc> = saga["steps"][1]["started_at"].as_str().expect("a time").parse().expect("a time");
    assert!(went_on >= due, "{saga}");

    // A time that has passed is no wait.
    let id = hands.start(body(due)).await;
    hands.work("last", "do", succeeded()).await;
    hands.ends(&id, "completed").await;
}

#[tokio::test]
async fn a_signal_is_given_on_the_command_line() {
    let hands = set().await;
    let id = hands.start(json!({"definition": "signals", "input": {}})).await;
    let signal = |rest: &[&'static str]| {
        let mut arguments = vec!["saga", "signal"];
        arguments.push(&id);
        arguments.extend(rest);
        hands.amends(&arguments)
    };
    let (ok, text) = signal(&["nobodys"]);
    assert!(!ok && text.contains("unknown_signal"), "{text}");
    let (ok, text) = signal(&["word", "--outcome", "yes", "--data", "{}"]);
    assert!(!ok && text.contains("invalid_signal"), "{text}");
    let yes = ["word", "--outcome", "yes", "--data", r#"{"by": "ann"}"#, "--by", "ann", "--key", "k"];
    let kept = signal(&yes);
    assert!(kept.0 && kept.1.contains("kept until its step is reached"), "{kept:?}");
    assert_eq!(signal(&yes), kept, "twice is once");
    hands.work("a", "do", succeeded()).await;
    hands.work("last", "do", succeeded()).await;
    let saga = hands.ends(&id, "completed").await;
    assert_eq!((&saga["steps"][1]["outcome"], &saga["steps"][1]["output"]), (&json!("yes"), &json!({"by": "ann"})));
}
