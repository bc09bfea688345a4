//! Around every request: one server span with the caller's trace as parent, one line in the access log, the figures; and
//! the bounds: how many at once, how long, and that a panic is an answer too.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use amends_schemas::problem::Problem;
use async_nats::HeaderMap as NatsHeaders;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::{Instrument, Span, debug, error, field, info, info_span};

use crate::problems::{ApiProblem, ProblemCode};
use crate::state::Api;

/// Headers of W3C trace context.
const TRACE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// Label of requests that match no route: their paths are the callers' invention.
const UNMATCHED: &str = "unmatched";

/// Asked by machines every few seconds: they would drown what people look for in the log.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Span, access log and figures.
pub async fn observe(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| UNMATCHED.to_owned(), |matched| matched.as_str().to_owned());
    let span = info_span!(
        "http request",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = %route,
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
    );
    amends_nats::trace::set_parent(&span, Some(&trace_headers(request.headers())));
    let in_flight = api.metrics.begin();
    let response = next.run(request).instrument(span.clone()).await;
    drop(in_flight);
    let took = started.elapsed();
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    api.metrics.observe(method, &route, status.as_u16(), took);
    log(&span, method, &route, &response, took.as_secs_f64() * 1000.0);
    response
}

/// The access log: what was asked of which route and how it ended, never with what.
fn log(span: &Span, method: &str, route: &str, response: &Response, took_ms: f64) {
    let _entered = span.enter();
    let status = response.status().as_u16();
    let code = response.extensions().get::<ProblemCode>().map(|code| code.0.as_str());
    if PROBES.contains(&route) {
        debug!(target: "amends_api::access", method, route, status, code, took_ms, "request answered");
    } else {
        info!(target: "amends_api::access", method, route, status, code, took_ms, "request answered");
    }
}

/// The bounds.
pub async fn bound(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Ok(_permit) = api.requests.try_acquire() else {
        return ApiProblem::from(Problem::unavailable("overloaded", "Too many requests at once; send it again later."))
            .into_response();
    };
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(api.settings.request_timeout, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let text = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            error!(panic = text, "a handler panicked");
            ApiProblem::from(Problem::internal("internal", "Our own fault; it has been noted.")).into_response()
        }
        Err(_) => ApiProblem::from(Problem::unavailable(
            "request_timeout",
            "The request took too long. It may or may not have been carried out: send it again with the same \
             Idempotency-Key.",
        ))
        .into_response(),
    }
}

fn trace_headers(headers: &HeaderMap) -> NatsHeaders {
    let mut found = NatsHeaders::new();
    for name in TRACE_HEADERS {
        if let Some(Ok(value)) = headers.get(name).map(|value| value.to_str()) {
            found.insert(name, value);
        }
    }
    found
}

/// The method as a label of bounded variety.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
