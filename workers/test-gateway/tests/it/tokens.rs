//! What each token does, and what holds for all of them.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{start, start_with, within};

#[tokio::test]
async fn tokens_answer_as_the_domain_says() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let running = start(folder.path()).await;
        for (token, status, word) in [
            ("tok_ok", StatusCode::OK, "captured"),
            ("tok_slow", StatusCode::OK, "captured"),
            ("tok_declined", StatusCode::PAYMENT_REQUIRED, "card_declined"),
            ("tok_insufficient_funds", StatusCode::PAYMENT_REQUIRED, "insufficient_funds"),
            ("tok_unheard_of", StatusCode::PAYMENT_REQUIRED, "invalid_token"),
            ("tok_webhook", StatusCode::ACCEPTED, "pending"),
            ("tok_webhook_late", StatusCode::ACCEPTED, "pending"),
            ("tok_webhook_declined", StatusCode::ACCEPTED, "pending"),
        ] {
            let (got, body) = running.charge(&format!("saga/{token}/do"), token).await;
            let said = if got == StatusCode::PAYMENT_REQUIRED { &body["error"]["code"] } else { &body["status"] };
            assert_eq!((got, said.as_str().unwrap()), (status, word), "{token}: {body}");
        }
        running.until_status("saga/tok_webhook/do", "captured").await;
        running.until_status("saga/tok_webhook_declined/do", "declined").await;
        assert_eq!(running.find("saga/tok_webhook_late/do").await.1["status"], "pending");
        let tokens: Vec<_> = running.charges().await.into_iter().map(|charge| charge["token"].clone()).collect();
        assert_eq!(tokens, ["tok_ok", "tok_slow", "tok_webhook"]);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn one_key_twenty_times_at_once_is_one_charge_and_one_answer() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let running = start(folder.path()).await;
        let answers = join_all((0..20).map(|_| running.charge("saga/pay/do", "tok_ok"))).await;
        assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == StatusCode::OK));
        let charges = running.charges().await;
        assert_eq!(charges.len(), 1);
        assert_eq!(charges[0]["idempotency_key"], "saga/pay/do");
        assert_eq!(charges[0]["charge_id"], answers[0].1["charge"]["charge_id"]);
        assert_eq!(charges[0]["amount"], json!({"amount": "120.00", "currency": "EUR"}));
        assert_eq!(charges[0]["refunded"], json!({"amount": "0.00", "currency": "EUR"}));

        let (status, body) = running.charge("saga/pay/do", "tok_declined").await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::CONFLICT, &json!("key_reused")));
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_is_lost_again_and_found_by_its_key() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let running = start(folder.path()).await;
        assert_eq!(running.find("k").await.0, StatusCode::NOT_FOUND);
        for _ in 0..3 {
            let error = running.try_charge("k", "tok_lost").await.expect_err("no answer");
            assert!(!error.is_timeout() && !error.is_connect() && error.status().is_none(), "{error:?}");
        }
        assert_eq!(running.find("k").await.1["status"], "captured");
        assert_eq!(running.charges().await.len(), 1);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_slow_answer_delays_nobody_else() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let running = start_with(folder.path(), |settings| settings.slow_delay = Duration::from_secs(3600)).await;
        let (url, client) = (running.url("/v1/intents"), running.client.clone());
        let body = json!({"amount": {"amount": "1", "currency": "EUR"}, "payment_token": "tok_slow"});
        let slow =
            tokio::spawn(async move { client.post(url).header("idempotency-key", "s").json(&body).send().await });
        running.until_status("s", "captured").await;
        let before = Instant::now();
        assert_eq!(running.charge("k", "tok_ok").await.0, StatusCode::OK);
        assert!(before.elapsed() < Duration::from_secs(10));
        slow.abort();
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn flaky_errs_twice_for_each_key() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let running = start(folder.path()).await;
        for key in ["a", "b"] {
            let mut seen = Vec::new();
            for _ in 0..4 {
                seen.push(running.charge(key, "tok_flaky").await.0.as_u16());
            }
            assert_eq!(seen, [500, 500, 200, 200]);
        }
        assert_eq!(running.charges().await.len(), 2);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_voided_key_is_never_charged_and_a_charged_one_never_voided() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let running = start(folder.path()).await;
        assert_eq!(running.void("s/pay/do").await.0, StatusCode::OK);
        assert_eq!(running.void("s/pay/do").await.1["status"], "voided");
        let (status, body) = running.charge("s/pay/do", "tok_ok").await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::CONFLICT, &json!("voided")));

        running.charge("paid", "tok_ok").await;
        assert_eq!(running.void("paid").await.1["error"]["code"], "already_captured");
        running.charge("pending", "tok_webhook_late").await;
        assert_eq!(running.void("pending").await.1["error"]["code"], "processing");
        running.charge("declined", "tok_declined").await;
        assert_eq!(running.void("declined").await.0, StatusCode::OK);
        assert_eq!(running.charges().await.len(), 1);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn refunds_never_exceed_the_charge() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let running = start(folder.path()).await;
        let charge = running.charge("k", "tok_ok").await.1["charge"]["charge_id"].as_str().unwrap().to_owned();
        let same = join_all((0..20).map(|_| running.refund("r1", &charge, "50"))).await;
        assert!(same.iter().all(|answer| *answer == same[0] && answer.0 == StatusCode::OK));
        let (charge_id, running) = (charge.as_str(), &running);
        let others =
            join_all((0..20).map(|i| async move { running.refund(&format!("o{i}"), charge_id, "40").await.0 }));
        assert_eq!(others.await.into_iter().filter(StatusCode::is_success).count(), 1);
        let code = |answer: (StatusCode, serde_json::Value)| answer.1["error"]["code"].as_str().unwrap().to_owned();
        assert_eq!(code(running.refund("r3", &charge, "30.01").await), "refund_exceeds_captured");
        assert_eq!(code(running.refund("r3", &charge, "-1").await), "invalid_amount");
        assert_eq!(code(running.refund("r3", "ch_none", "1").await), "charge_not_found");
        assert_eq!(code(running.refund("r1", &charge, "1").await), "key_reused");
        assert_eq!(running.refund("r3", &charge, "30").await.0, StatusCode::OK);
        let ledger = running.get("/ledger").await.1;
        assert_eq!(ledger["charges"][0]["refunded"]["amount"], "120.00");
        assert_eq!(ledger["refunds"].as_array().unwrap().len(), 3);
        assert_eq!(running.get("/v1/refunds/by-key/r1").await.1["amount"]["amount"], "50.00");
        assert_eq!(running.get("/v1/refunds/by-key/none").await.0, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let running = start(folder.path()).await;
        let amount = json!({"amount": "1.00", "currency": "EUR"});
        for (key, body) in [
            ("", json!({"amount": amount, "payment_token": "tok_ok"})),
            ("k", json!({"amount": {"amount": "1.001", "currency": "EUR"}, "payment_token": "tok_ok"})),
            ("k", json!({"amount": {"amount": "0", "currency": "EUR"}, "payment_token": "tok_ok"})),
            ("k", json!({"amount": amount})),
            (&"k".repeat(256), json!({"amount": amount, "payment_token": "tok_ok"})),
        ] {
            assert_eq!(running.post("/v1/intents", key, &body).await.unwrap().0, StatusCode::BAD_REQUEST, "{body}");
        }
        assert!(running.charges().await.is_empty());
        running.stop().await;
    })
    .await;
}

/// The file as it is when the answers are out is what a process killed right then would leave.
#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    within(async {
        let (folder, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let running = start(folder.path()).await;
        let (all, _) = tokio::join!(
            join_all((0..100).map(|i| running.charge(["a", "b"][i % 2], "tok_ok"))),
            join_all((0..50).map(|_| running.charge("declined", "tok_declined"))),
        );
        let charge = all[0].1["charge"]["charge_id"].as_str().unwrap();
        running.refund("r", charge, "20").await;
        running.void("barred").await;
        running.charge("flaky", "tok_flaky").await;
        let file = std::fs::read(folder.path().join("ledger.jsonl")).unwrap();
        std::fs::write(after.path().join("ledger.jsonl"), file).unwrap();

        let again = start(after.path()).await;
        assert_eq!(again.get("/ledger").await, running.get("/ledger").await);
        assert_eq!(again.charge("a", "tok_ok").await, all[0]);
        assert_eq!(again.charge("barred", "tok_ok").await.1["error"]["code"], "voided");
        assert_eq!(again.charge("flaky", "tok_flaky").await.0, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(again.charge("flaky", "tok_flaky").await.0, StatusCode::OK);
        assert_eq!(again.charges().await.len(), 3);
        again.stop().await;
        running.stop().await;
    })
    .await;
}
