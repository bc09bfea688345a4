//! Going back to a step, another input, and doing a step anew that its worker has recorded as failed, with the real binary.

use serde_json::json;

use crate::hands::{Hands, failed, succeeded, why};

const BACK: &str = "
saga: road
version: 1
title: There and back
input: {type: object}
steps:
  - {name: a, call: hand.a@1, kind: compensable, compensate: {undo: {timeout: 10m, retry: {attempts: 1}}}, timeout: 10m, on_unknown: retry}
  - {name: b, call: hand.b@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry, input: {word: {const: hello}}}
  - {name: pay, call: hand.pay@1, kind: pivot, timeout: 10m, retry: {attempts: 5, backoff: 10m, max_backoff: 10m}, on_unknown: retry}
  - {name: tell, call: hand.tell@1, kind: retriable, timeout: 10m, on_unknown: retry, input: {word: {const: hello}}}
";

async fn set() -> Hands {
    let worded = json!({"input": {"type": "object", "properties": {"word": {"type": "string"}}}});
    Hands::set(&[("a", json!({})), ("b", json!({})), ("pay", json!({})), ("tell", worded)], &[BACK]).await
}

fn with(more: serde_json::Value) -> serde_json::Value {
    let mut body = why();
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

#[tokio::test]
async fn going_back_undoes_and_does_anew_under_new_keys() {
    let hands = set().await;
    let id = hands.start(json!({"definition": "road", "input": {}})).await;
    hands.work("a", "do", succeeded()).await;
    let first = hands.work("b", "do", succeeded()).await;
    hands.work("pay", "do", json!({"status": "retry", "error": {"code": "busy", "message": "Busy."}})).await;
    hands.refused(&id, "retry-from", json!({"step": "b"}), 422, "reason_required").await;
    hands.refused(&id, "retry-from", with(json!({"step": "nobody"})), 404, "step_not_found").await;
    let (status, body) = hands.post(&id, "retry-from", with(json!({"step": "b"}))).await;
    assert_eq!((status, body["verb"].as_str()), (200, Some("retry_from")), "{body}");
    hands.work("b", "undo", succeeded()).await;
    let again = hands.work("b", "do", succeeded()).await;
    assert_eq!(again["key"], format!("{id}/b~1/do"));
    assert_eq!(first["key"], format!("{id}/b/do"));
    hands.work("pay", "do", succeeded()).await;
    hands.work("tell", "do", succeeded()).await;
    let saga = hands.ends(&id, "completed").await;
    assert_eq!(Hands::statuses(&saga), ["succeeded"; 4], "{saga}");
}

#[tokio::test]
async fn a_step_that_failed_gets_another_input_and_another_key() {
    let hands = set().await;
    let id = hands.start(json!({"definition": "road", "input": {}})).await;
    for step in ["a", "b", "pay"] {
        hands.work(step, "do", succeeded()).await;
    }
    let first = hands.work("tell", "do", failed()).await;
    hands.ends(&id, "stuck").await;
    // A worker's inbox has recorded the failure under the first key: a retry must bear another.
    assert_eq!(hands.post(&id, "retry", why()).await.0, 200);
    let second = hands.work("tell", "do", failed()).await;
    assert_eq!((&first["key"], &second["key"]), (&json!(format!("{id}/tell/do")), &json!(format!("{id}/tell~1/do"))));
    hands.ends(&id, "stuck").await;
    hands.refused(&id, "edit-input", with(json!({"input": {"word": 7}})), 422, "invalid_input").await;
    hands.refused(&id, "edit-input", json!({"input": {"word": "x"}}), 422, "reason_required").await;
    let (status, body) = hands.post(&id, "edit-input", with(json!({"input": {"word": "goodbye"}}))).await;
    assert_eq!((status, body["step"].as_str()), (200, Some("tell")), "{body}");
    if hands.saga(&id).await["status"] == "stuck" {
        assert_eq!(hands.post(&id, "retry", why()).await.0, 200);
    }
    let third = hands.work("tell", "do", succeeded()).await;
    assert_eq!((&third["input"], &third["key"]), (&json!({"word": "goodbye"}), &json!(format!("{id}/tell~2/do"))));
    hands.ends(&id, "completed").await;
}

#[tokio::test]
async fn going_back_and_another_input_on_the_command_line() {
    let hands = set().await;
    let id = hands.start(json!({"definition": "road", "input": {}})).await;
    hands.work("a", "do", succeeded()).await;
    hands.work("b", "do", succeeded()).await;
    hands.work("pay", "do", json!({"status": "retry", "error": {"code": "busy", "message": "Busy."}})).await;
    hands.unwilling(&["saga", "retry-from", &id, "b"], "reason_required");
    hands.unwilling(&["saga", "retry-from", &id, "nobody", "--reason", "why"], "step_not_found");
    let back = ["saga", "retry-from", &id, "b", "--reason", "another seat", "--by", "ann", "--key", "k"];
    hands.said(&back, "b of saga");
    hands.said(&back, "b of saga");
    hands.work("b", "undo", succeeded()).await;
    assert_eq!(hands.work("b", "do", succeeded()).await["key"], format!("{id}/b~1/do"));
    hands.work("pay", "do", succeeded()).await;
    hands.work("tell", "do", failed()).await;
    hands.ends(&id, "stuck").await;
    hands.unwilling(&["saga", "edit-input", &id, r#"{"word": 7}"#, "--reason", "why"], "invalid_input");
    hands.unwilling(&["saga", "edit-input", &id, r#"{"word": "goodbye"}"#], "reason_required");
    let edit = ["saga", "edit-input", &id, r#"{"word": "goodbye"}"#, "--step", "tell", "--reason", "said wrong"];
    hands.said(&edit, "tell of saga");
    if hands.saga(&id).await["status"] == "stuck" {
        hands.said(&["saga", "retry", &id], "tell of saga");
    }
    assert_eq!(hands.work("tell", "do", succeeded()).await["input"], json!({"word": "goodbye"}));
    hands.ends(&id, "completed").await;
    hands.said(&["saga", "show", &id, "--history"], "another seat");
}
