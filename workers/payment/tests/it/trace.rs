//! One trace reaches from the step to the gateway.

use std::time::Duration;

use amends_payment::gateway::{Lookup, PaymentGateway, TestGatewayClient};
use axum::Router;
use axum::http::HeaderMap;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::sync::mpsc;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::within;

#[tokio::test]
async fn calls_to_the_gateway_carry_the_trace() {
    within(async {
        let (sender, mut received) = mpsc::unbounded_channel();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let take = move |headers: HeaderMap| async move { sender.send(headers).unwrap() };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });

        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let subscriber = tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
        let _default = tracing::subscriber::set_default(subscriber);
        let span = tracing::info_span!("step");
        let trace_id = span.context().span().span_context().trace_id();

        let client = TestGatewayClient::new(&url, "secret").unwrap();
        let payment = Lookup { key: "a/b/do".into(), gateway_id: None };
        client
            .find(&payment, Duration::from_secs(5))
            .instrument(span)
            .await
            .expect_err("an empty answer means nothing");
        let headers = received.recv().await.unwrap();
        let traceparent = headers["traceparent"].to_str().unwrap();
        assert!(traceparent.contains(&trace_id.to_string()), "{traceparent}");
    })
    .await;
}
