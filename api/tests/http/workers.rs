//! Who serves, what waits, what could not be handled: asked of orchestrators and contexts that are played.

use amends_schemas::problem::Problem;
use serde_json::{Value, json};

use crate::stage::{Stage, within};

const AT: &str = "2026-01-02T10:00:00Z";

fn presence(contract: &str) -> Value {
    json!({
        "context": contract.split('.').next(), "contract": contract, "instance_count": 1, "last_seen_at": AT,
        "instances": [{"id": "i", "version": "1.0.0", "started_at": null}], "unserved_since": null,
    })
}

async fn workers(stage: &Stage, contracts: &'static [&'static str]) {
    let answer = move |_: &str, _| {
        let items: Vec<Value> = contracts.iter().map(|contract| presence(contract)).collect();
        Some(Ok(json!({"watched_since": AT, "looked_at": AT, "items": items})))
    };
    stage.play("amends.orc.workers", answer).await;
}

fn letter(context: &str, id: &str) -> Value {
    json!({
        "id": id, "context": context, "status": "dead", "subject": "amends.cmd.a.b.v1", "contract": "a.b@1",
        "saga_id": "0193a1de-7d41-7cc1-9b5e-0242ac120002", "step": "pay", "code": "malformed_command", "message": "m",
        "payload": "{", "payload_bytes": 1, "redrivable": true, "times": 2, "first_at": AT, "last_at": AT,
        "acts": [{"operation_id": "0193a1de-7d41-7cc1-9b5e-0242ac120003", "verb": "redrive", "by": "b", "reason": "", "at": AT}],
    })
}

fn ids(body: &Value) -> Vec<&str> {
    body["items"].as_array().expect("items").iter().map(|item| item["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn workers_and_queues_are_told_as_an_orchestrator_sees_them() {
    within(async {
        let stage = Stage::set().await;
        assert_eq!(stage.call("GET", "/v1/workers", None).await.status, 503);
        workers(&stage, &["payment.capture@1"]).await;
        let told = stage.call("GET", "/v1/workers", None).await;
        assert_eq!((told.status, &told.body["items"]), (200, &json!([presence("payment.capture@1")])));
        let queue = json!({
            "context": "payment", "contract": "payment.capture@1", "waiting": 3, "with_workers": 2, "redelivered": 1,
            "oldest_at": AT,
        });
        let measured = json!({"measured_at": AT, "items": [queue]});
        stage.play("amends.orc.queues", move |_, _| Some(Ok(measured.clone()))).await;
        let told = stage.call("GET", "/v1/queues", None).await;
        assert_eq!(
            (told.status, &told.body["items"][0]["waiting"], &told.body["next_cursor"]),
            (200, &json!(3), &Value::Null)
        );
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_listed_over_all_contexts_and_who_does_not_answer_is_named() {
    within(async {
        let stage = Stage::set().await;
        workers(&stage, &["alpha.a@1", "beta.b@1", "beta.c@1", "gamma.c@1"]).await;
        for context in ["alpha", "gamma"] {
            // Two letters each, the cursor of the second page being `next`.
            let page = move |question: Value| {
                let from = usize::from(question["cursor"] == "next");
                let left: Vec<Value> = (from..2).map(|n| letter(context, &format!("{context}-{n}"))).collect();
                let limit = usize::try_from(question["limit"].as_u64().expect("a limit")).expect("small");
                let next_cursor = (left.len() > limit).then_some("next");
                Ok(json!({"items": left[..limit.min(left.len())], "next_cursor": next_cursor}))
            };
            stage.context(context, "dead-letters", page).await;
        }
        let whole = stage.call("GET", "/v1/dead-letters", None).await;
        assert_eq!(ids(&whole.body), ["alpha-0", "alpha-1", "gamma-0", "gamma-1"]);
        assert_eq!((&whole.body["unanswered"], &whole.body["next_cursor"]), (&json!(["beta"]), &Value::Null));

        let (mut path, mut seen) = ("/v1/dead-letters?limit=1".to_owned(), Vec::new());
        loop {
            let page = stage.call("GET", &path, None).await;
            assert!(ids(&page.body).len() <= 1, "{page:?}");
            seen.extend(ids(&page.body).into_iter().map(str::to_owned));
            let Some(cursor) = page.body["next_cursor"].as_str() else { break };
            path = format!("/v1/dead-letters?limit=1&cursor={cursor}");
        }
        assert_eq!(seen, ["alpha-0", "alpha-1", "gamma-0", "gamma-1"]);

        let one = stage.call("GET", "/v1/dead-letters?context=gamma&limit=1", None).await;
        assert_eq!((ids(&one.body), &one.body["next_cursor"]), (vec!["gamma-0"], &json!("gamma.next")));
        for (path, status, code) in [
            ("/v1/dead-letters?context=beta", 503, "beta_unavailable"),
            ("/v1/dead-letters?context=a.b", 404, "context_not_found"),
            ("/v1/dead-letters?context=%3E", 404, "context_not_found"),
            ("/v1/dead-letters?status=lost", 400, "invalid_query"),
            ("/v1/dead-letters?cursor=x", 400, "invalid_query"),
            ("/v1/dead-letters?limit=0", 400, "invalid_query"),
            ("/v1/dead-letters/a.b/x", 404, "context_not_found"),
        ] {
            let refused = stage.call("GET", path, None).await;
            assert_eq!((refused.status, refused.code()), (status, code), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn acts_on_dead_letters_carry_who_and_why_under_one_id_per_key() {
    within(async {
        let stage = Stage::set().await;
        stage.context("pay", "dead-letter", |question| Ok(letter("pay", question["id"].as_str().expect("an id")))).await;
        let shown = stage.call("GET", "/v1/dead-letters/pay/l-1", None).await;
        assert_eq!((shown.status, &shown.body["id"]), (200, &json!("l-1")));

        let acted = |verb: &'static str| {
            move |question: Value| match question["id"].as_str() {
                Some("gone") => Err(Problem::not_found("dead_letter_not_found", "no")),
                Some("other") => Err(Problem::conflict("operation_id_reused", "no")),
                _ => Ok(json!({
                    "context": "pay", "id": question["id"], "operation_id": question["operation_id"], "verb": verb, "at": AT,
                })),
            }
        };
        let redriven = stage.context("pay", "redrive-dead-letter", acted("redrive")).await;
        let discarded = stage.context("pay", "discard-dead-letter", acted("discard")).await;
        let body = json!({"by": "ann", "reason": "mended"});
        for _ in 0..2 {
            let path = "/v1/dead-letters/pay/l-1/redrive";
            let answer = stage.call_with("POST", path, &[("idempotency-key", "k")], Some(body.clone())).await;
            assert_eq!((answer.status, &answer.body["verb"]), (200, &json!("redrive")), "{answer:?}");
        }
        let path = "/v1/dead-letters/pay/l-1/discard";
        let answer = stage.call_with("POST", path, &[("idempotency-key", "k")], Some(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let (redriven, discarded) = (redriven.questions(), discarded.questions());
        assert_eq!(redriven[0], redriven[1], "the same key is the same operation");
        assert_ne!(redriven[0]["operation_id"], discarded[0]["operation_id"], "each verb has its own");
        assert_eq!((&redriven[0]["by"], &redriven[0]["reason"]), (&json!("ann"), &json!("mended")));

        let long = json!({"reason": "x".repeat(1025)});
        for (path, body, status, code) in [
            ("/v1/dead-letters/pay/gone/redrive", None, 404, "dead_letter_not_found"),
            ("/v1/dead-letters/pay/other/redrive", None, 409, "idempotency_key_reused"),
            ("/v1/dead-letters/pay/l-1/redrive", Some(long), 422, "invalid_reason"),
            ("/v1/dead-letters/a.b/l-1/discard", None, 404, "context_not_found"),
            ("/v1/dead-letters/nobody/l-1/discard", None, 503, "nobody_unavailable"),
        ] {
            let refused = stage.call("POST", path, body).await;
            assert_eq!((refused.status, refused.code()), (status, code), "{path}");
        }
    })
    .await;
}
