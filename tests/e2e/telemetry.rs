//! One trace from the HTTP request through orchestrator and workers to the gateway, and logs without payloads.

use std::sync::{Arc, Mutex};

use amends_test_support::{Client, Platform, wait};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::Method;

use crate::{BINARY, SAGA_DEADLINE};

/// The trace that the client begins.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

type Spans = Arc<Mutex<Vec<Span>>>;

/// A collector that keeps what it is sent; answers its endpoint.
async fn collector() -> (String, Spans) {
    let spans = Spans::default();
    let keep = async |State(spans): State<Spans>, body: Bytes| {
        let request = ExportTraceServiceRequest::decode(body).expect("OTLP in protobuf");
        let sent =
            request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
        spans.lock().expect("no panic holds it").extend(sent);
    };
    let routes = Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&spans));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (format!("http://{address}/v1/traces"), spans)
}

#[tokio::test]
async fn one_trace_spans_request_orchestrator_workers_and_gateway() {
    let (endpoint, spans) = collector().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("amends.toml");
    std::fs::write(&config, format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\nlog = \"debug\"\n"))
        .expect("written");
    let mut platform = Platform::start_with(BINARY, &["--config", &config.to_string_lossy()]).await;
    let event_id = platform.client.published_event(5, Some("12.00")).await;

    let body = Client::registration_body(&event_id, 4711, Some("tok_ok"));
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let accepted = reqwest::Client::new()
        .request(Method::POST, format!("{}/v1/registrations", platform.client.base))
        .header("traceparent", traceparent)
        .json(&body)
        .send()
        .await
        .expect("the API answers");
    let accepted: serde_json::Value = accepted.json().await.expect("JSON");
    platform.client.saga_in(accepted["saga_id"].as_str().expect("an id"), &["completed"], SAGA_DEADLINE).await;
    assert!(platform.stop().await, "it did not end well:\n{}", platform.log_tail());

    let ours = wait::until("the spans to arrive", SAGA_DEADLINE, async || {
        let spans = spans.lock().expect("no panic holds it");
        let ours: Vec<Span> = spans
            .iter()
            .filter(|span| span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect::<String>() == TRACE)
            .cloned()
            .collect();
        (ours.len() >= 5).then_some(ours)
    })
    .await;
    let names: Vec<&str> = ours.iter().map(|span| span.name.as_str()).collect();
    for wanted in ["POST /v1/registrations", "saga.decide", "command", "gateway"] {
        assert!(names.iter().any(|name| name.contains(wanted)), "no span {wanted} in {names:?}");
    }
    // One tree: every parent but the client's own is a span of the trace.
    for span in &ours {
        let parent_known = ours.iter().any(|other| other.span_id == span.parent_span_id);
        let parent_is_the_client = span.parent_span_id == [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];
        assert!(parent_known || parent_is_the_client, "{} hangs in the air among {names:?}", span.name);
    }

    // At the most talkative level we offer, no payload is in the log.
    let log = platform.log();
    for payload in ["person4711@example.org", "Person 4711", "tok_ok"] {
        assert!(!log.contains(payload), "the log holds {payload}");
    }
}
