//! How many at once, how long, panics, and ending well.

use std::sync::Arc;
use std::time::Duration;

use amends_api::state::ApiState;
use amends_api::telemetry::bound;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::stage::{DEADLINE, Stage, impatient, within};

#[tokio::test]
async fn panics_and_slowness_and_crowds_are_answered() {
    within(async {
        let stage = Stage::set().await;
        let mut settings = impatient();
        settings.request_timeout = Duration::from_millis(200);
        settings.requests_max = 1;
        let api = Arc::new(ApiState::new(settings, stage.nats.clone(), String::new(), CancellationToken::new()));
        let arrived = Arc::new(Notify::new());
        let told = Arc::clone(&arrived);
        let routes = Router::new()
            .route("/boom", get(async || -> &'static str { panic!("as planned") }))
            .route(
                "/slow",
                get(async move || -> &'static str {
                    told.notify_one();
                    std::future::pending().await
                }),
            )
            .layer(from_fn_with_state(api.clone(), bound));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let ask = async |path: &str| {
            let response = stage.http.get(format!("http://{address}{path}")).send().await.expect("answers");
            let status = response.status().as_u16();
            let body: serde_json::Value = response.json().await.expect("a problem");
            assert!(stage.document.component("Problem").is_valid(&body), "{body}");
            (status, body["code"].as_str().expect("a code").to_owned())
        };
        assert_eq!(ask("/boom").await, (500, "internal".to_owned()));
        let crowd = async {
            arrived.notified().await;
            ask("/boom").await
        };
        let (slow, crowded) = tokio::join!(ask("/slow"), crowd);
        assert_eq!(slow, (503, "request_timeout".to_owned()));
        assert_eq!(crowded, (503, "overloaded".to_owned()));
        assert_eq!(ask("/boom").await, (500, "internal".to_owned()), "the place is free again");
    })
    .await;
}

#[tokio::test]
async fn a_request_in_work_ends_well_when_the_process_does() {
    within(async {
        let mut settings = impatient();
        settings.context_patience = Duration::from_secs(20);
        let mut stage = Stage::with(settings).await;
        let asked = stage.play("amends.ctx.events.list", |_, _| None).await;
        let address = stage.address;
        let http = stage.http.clone();
        let waiting = tokio::spawn(async move { http.get(format!("http://{address}/v1/events")).send().await });
        amends_test_support::wait::until("the request to be in work", DEADLINE, async || {
            (!asked.all().is_empty()).then_some(())
        })
        .await;
        stage.shutdown.cancel();
        amends_test_support::wait::until("the door to be shut", DEADLINE, async || {
            tokio::net::TcpStream::connect(address).await.is_err().then_some(())
        })
        .await;
        // Only now somebody answers the repeated question.
        stage.context("events", "list", |_| Ok(json!({"items": []}))).await;
        let response = waiting.await.expect("joined").expect("an answer");
        assert_eq!(response.status(), 200);
        stage.serving.take().expect("serving").await.expect("ends well");
    })
    .await;
}

#[tokio::test]
async fn what_does_not_end_is_dropped_after_the_drain_timeout() {
    within(async {
        let mut settings = impatient();
        settings.context_patience = DEADLINE;
        settings.request_timeout = DEADLINE;
        settings.drain_timeout = Duration::from_millis(200);
        let mut stage = Stage::with(settings).await;
        let asked = stage.play("amends.ctx.events.list", |_, _| None).await;
        let (address, http) = (stage.address, stage.http.clone());
        let waiting = tokio::spawn(async move { http.get(format!("http://{address}/v1/events")).send().await });
        amends_test_support::wait::until("the request to be in work", DEADLINE, async || {
            (!asked.all().is_empty()).then_some(())
        })
        .await;
        stage.shutdown.cancel();
        let serving = stage.serving.take().expect("serving");
        tokio::time::timeout(Duration::from_secs(10), serving).await.expect("soon").expect("ends well");
        assert!(waiting.await.expect("joined").is_err(), "its connection was dropped");
    })
    .await;
}

#[tokio::test]
async fn a_taken_address_is_told() {
    within(async {
        let stage = Stage::set().await;
        let mut settings = impatient();
        settings.listen = stage.address;
        let error = amends_api::serve(settings, stage.nats.clone(), CancellationToken::new()).await.expect_err("taken");
        assert!(error.to_string().contains(&stage.address.to_string()), "{error}");
    })
    .await;
}
