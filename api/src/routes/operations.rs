//! For those who run it: alive, ready, figures, the OpenAPI document, an index.

use amends_schemas::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::problems::RETRY_AFTER_SECONDS;
use crate::readiness::Readiness;
use crate::state::{Api, Outcome, ok};

/// Alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
}

/// Say what is served here.
#[utoipa::path(get, path = "/", tag = "operations",
    responses((status = 200, description = "Links", body = Value)))]
pub async fn get_index() -> Outcome {
    ok(json!({
        "name": "amends",
        "version": env!("CARGO_PKG_VERSION"),
        "links": {
            "openapi": "/openapi.json", "health": "/healthz", "readiness": "/readyz", "metrics": "/metrics",
            "events": "/v1/events", "registrations": "/v1/registrations", "invoices": "/v1/invoices",
            "notifications": "/v1/notifications", "sagas": "/v1/sagas", "stuck_sagas": "/v1/sagas?stuck=true",
            "schedules": "/v1/schedules", "definitions": "/v1/definitions", "workers": "/v1/workers",
            "queues": "/v1/queues", "dead_letters": "/v1/dead-letters",
        },
    }))
}

/// Say whether this process lives.
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "It does", body = Health)))]
pub async fn get_health() -> Outcome {
    ok(Health { status: "ok" })
}

/// Say whether requests can be served, and if not, what is missing.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses(
        (status = 200, description = "All is there", body = Readiness),
        (status = 503, description = "Something is missing; it is named", body = Readiness),
    ))]
pub async fn get_readiness(State(api): State<Api>) -> Outcome {
    let readiness = crate::readiness::look(&api).await;
    if readiness.ready {
        return ok(readiness);
    }
    let retry = [(RETRY_AFTER, RETRY_AFTER_SECONDS.to_string())];
    Ok((StatusCode::SERVICE_UNAVAILABLE, retry, Json(readiness)).into_response())
}

/// Read this process's figures, as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Figures", body = String,
        content_type = "application/openmetrics-text")))]
pub async fn get_metrics(State(api): State<Api>) -> Outcome {
    let text = api
        .metrics
        .render()
        .map_err(|_| Problem::internal("metrics_unavailable", "The figures could not be written."))?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

/// Read this document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", body = Value)))]
pub async fn get_openapi(State(api): State<Api>) -> Outcome {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    Ok((headers, api.openapi.clone()).into_response())
}
