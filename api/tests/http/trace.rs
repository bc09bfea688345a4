//! The caller's trace goes on to those who are asked.

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;

use crate::stage::{Stage, within};

#[tokio::test]
async fn the_callers_trace_is_the_parent_of_what_is_asked() {
    within(async {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let subscriber = tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
        // The only test of this binary that sets one.
        tracing::subscriber::set_global_default(subscriber).expect("none was set");
        let stage = Stage::set().await;
        let asked = stage.context("events", "list", |_| Ok(json!({"items": []}))).await;
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
        let reply = stage.call_with("GET", "/v1/events", &[("traceparent", &parent)], None).await;
        assert_eq!(reply.status, 200);
        let (_, _, headers) = asked.all().pop().expect("asked");
        let passed_on = headers.get("traceparent").expect("a context").as_str().to_owned();
        assert!(passed_on.contains(trace_id), "{passed_on}");
        assert!(!passed_on.contains("00f067aa0ba902b7"), "our own span stands between: {passed_on}");
        // Nonsense is no parent, and no failure.
        let reply = stage.call_with("GET", "/v1/events", &[("traceparent", "nonsense")], None).await;
        assert_eq!(reply.status, 200);
    })
    .await;
}
