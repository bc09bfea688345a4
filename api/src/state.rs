//! What every handler shares. No state of the domain is among it.

use std::sync::Arc;

use amends_nats::Nats;
use amends_schemas::problem::Problem;
use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::asking::Asking;
use crate::metrics::Metrics;
use crate::problems::ApiProblem;
use crate::readiness::Measured;
use crate::settings::ApiSettings;

/// Shared by all handlers.
#[derive(Debug)]
pub struct ApiState {
    /// Asks over NATS.
    pub asking: Asking,
    /// How to behave.
    pub settings: ApiSettings,
    /// Counts.
    pub metrics: Metrics,
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
    /// Bounds requests in work.
    pub requests: Semaphore,
    /// Bounds open streams.
    pub streams: Arc<Semaphore>,
    /// The last look at what is ready.
    pub readiness: Mutex<Option<Measured>>,
    /// The OpenAPI document.
    pub openapi: axum::body::Bytes,
}

/// As handlers get it.
pub type Api = Arc<ApiState>;

/// What a handler comes to.
pub type Outcome = Result<Response, ApiProblem>;

impl ApiState {
    /// Nothing asked yet.
    pub fn new(settings: ApiSettings, nats: Nats, openapi: String, shutdown: CancellationToken) -> Self {
        Self {
            asking: Asking::new(nats, settings.orchestrator_patience, settings.context_patience),
            metrics: Metrics::default(),
            shutdown,
            requests: Semaphore::new(settings.requests_max),
            streams: Arc::new(Semaphore::new(settings.streams_max)),
            readiness: Mutex::new(None),
            openapi: openapi.into(),
            settings,
        }
    }
}

/// 200 with a body.
pub fn ok(body: impl Serialize) -> Outcome {
    Ok(Json(body).into_response())
}

/// A status with a body and the place of what came to be.
pub fn located(status: StatusCode, location: &str, body: impl Serialize) -> Outcome {
    let mut response = (status, Json(body)).into_response();
    let location = HeaderValue::from_str(location)
        .map_err(|_| Problem::internal("bad_location", "An id cannot stand in a header."))?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
