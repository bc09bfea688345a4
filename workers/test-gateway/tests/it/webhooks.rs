//! Webhooks: signed, sent until taken, also after a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends_test_gateway::signature;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::StatusCode as Status;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::{SECRET, start, start_with, within};

/// Takes webhooks after refusing the first so many; returns its URL and what it was sent.
async fn receiver(refuse_first: u32) -> (String, mpsc::UnboundedReceiver<(HeaderMap, String)>) {
    let (sender, received) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicU32::new(0));
    let take = move |headers: HeaderMap, body: String| async move {
        let number = count.fetch_add(1, Ordering::SeqCst);
        sender.send((headers, body)).unwrap();
        if number < refuse_first { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take))).await });
    (url, received)
}

#[tokio::test]
async fn success_arrives_signed_and_is_sent_until_it_is_taken() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let (url, mut received) = receiver(2).await;
        let running = start_with(folder.path(), |settings| settings.webhook_url = Some(url)).await;
        assert_eq!(running.charge("s/pay/do", "tok_webhook").await.0, Status::ACCEPTED);
        let mut ids = Vec::new();
        for _ in 0..3 {
            let (headers, body) = received.recv().await.unwrap();
            let header = headers[signature::HEADER].to_str().unwrap();
            let time = header.strip_prefix("t=").and_then(|rest| rest.split(',').next()).unwrap().parse().unwrap();
            assert_eq!(header, signature::sign(SECRET, time, &body));
            let event: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(event["type"], "intent.captured");
            assert_eq!(event["data"]["intent"]["idempotency_key"], "s/pay/do");
            assert_eq!(event["data"]["intent"]["charge"]["amount"]["amount"], "120.00");
            ids.push(event["id"].clone());
        }
        assert!(ids.iter().all(|id| *id == ids[0]));
        let taken = || std::fs::read_to_string(folder.path().join("ledger.jsonl")).unwrap().contains("webhook_taken");
        while !taken() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(received.try_recv().is_err(), "taken is taken");
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_decline_is_told_too() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let (url, mut received) = receiver(0).await;
        let running = start_with(folder.path(), |settings| settings.webhook_url = Some(url)).await;
        running.charge("k", "tok_webhook_declined").await;
        let event: Value = serde_json::from_str(&received.recv().await.unwrap().1).unwrap();
        assert_eq!(event["type"], "intent.declined");
        assert_eq!(event["data"]["intent"]["decline"]["code"], "card_declined");
        assert!(running.charges().await.is_empty());
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_pending_or_untold_is_told_after_a_restart() {
    within(async {
        let folder = tempfile::tempdir().unwrap();
        let running = start_with(folder.path(), |settings| settings.late_delay = Duration::from_secs(1)).await;
        running.charge("untold", "tok_webhook").await;
        running.charge("pending", "tok_webhook_late").await;
        running.until_status("untold", "captured").await;
        running.stop().await;

        let again = start(folder.path()).await;
        let (url, mut received) = receiver(0).await;
        again.gateway.set_webhook_url(url);
        let mut told = Vec::new();
        for _ in 0..2 {
            let event: Value = serde_json::from_str(&received.recv().await.unwrap().1).unwrap();
            told.push(event["data"]["intent"]["idempotency_key"].as_str().unwrap().to_owned());
        }
        told.sort();
        assert_eq!(told, ["pending", "untold"]);
        assert_eq!(again.charges().await.len(), 2);
        again.stop().await;
    })
    .await;
}
