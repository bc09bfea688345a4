//! The routes. Status codes here are the gateway's own protocol, like those of any foreign system.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::decide::{IntentAnswer, RefundAnswer};
use crate::keeper::{Ask, Gone, Keeper};
use crate::model::{ChargeRequest, ErrorView, IntentView, RefundRequest};
use crate::token::{Behaviour, behaviour};

/// Largest request; ours are a few hundred bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest idempotency key, as with Stripe.
const KEY_BYTES_MAX: usize = 255;

/// What the routes need.
#[derive(Debug, Clone)]
pub struct App {
    pub keeper: Keeper,
    pub slow_delay: Duration,
}

/// Marks a response that must not be sent: the server closes the connection instead.
#[derive(Debug, Clone, Copy)]
pub struct Lost;

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/v1/intents", post(charge))
        .route("/v1/intents/by-key/{key}", get(find))
        .route("/v1/intents/by-key/{key}/void", post(void))
        .route("/v1/refunds", post(refund))
        .route("/v1/refunds/by-key/{key}", get(find_refund))
        .route("/ledger", get(ledger))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}

/// Anything but a plain answer.
enum Trouble {
    BadRequest(ErrorView),
    Gone,
}

impl From<Gone> for Trouble {
    fn from(_: Gone) -> Self {
        Trouble::Gone
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        match self {
            Trouble::BadRequest(view) => error(StatusCode::BAD_REQUEST, view, None),
            Trouble::Gone => {
                error(StatusCode::SERVICE_UNAVAILABLE, ErrorView::new("unavailable", "The ledger is closed."), None)
            }
        }
    }
}

fn error(status: StatusCode, error: ErrorView, intent: Option<Box<IntentView>>) -> Response {
    (status, Json(json!({ "error": error, "intent": intent }))).into_response()
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Trouble> {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("Send an Idempotency-Key header of 1 to {KEY_BYTES_MAX} bytes.");
        return Err(Trouble::BadRequest(ErrorView::new("idempotency_key_missing", message)));
    }
    Ok(key.to_owned())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(body)
        .map_err(|error| Trouble::BadRequest(ErrorView::new("malformed", format!("Not understood: {error}."))))
}

async fn charge(State(app): State<App>, headers: HeaderMap, body: axum::body::Bytes) -> Result<Response, Trouble> {
    let key = idempotency_key(&headers)?;
    let request: ChargeRequest = read(&body)?;
    let behaviour = behaviour(&request.payment_token);
    let answer = app.keeper.ask(|answer| Ask::Charge { key, request, answer }).await?;
    let mut response = intent_response(answer);
    match behaviour {
        Behaviour::Slow => tokio::time::sleep(app.slow_delay).await,
        Behaviour::Lost if response.status().is_success() => {
            response.extensions_mut().insert(Lost);
        }
        Behaviour::Lost | Behaviour::Charge | Behaviour::Flaky | Behaviour::Decline(_) | Behaviour::Pending { .. } => {}
    }
    Ok(response)
}

/// The answer to a charge; of a declined one, 402.
fn intent_response(answer: IntentAnswer) -> Response {
    match answer {
        IntentAnswer::Intent(intent) => match (intent.status, intent.decline.clone()) {
            (_, Some(decline)) => error(StatusCode::PAYMENT_REQUIRED, decline, Some(intent)),
            ("pending", None) => (StatusCode::ACCEPTED, Json(intent)).into_response(),
            (_, None) => Json(intent).into_response(),
        },
        IntentAnswer::Fault => {
            error(StatusCode::INTERNAL_SERVER_ERROR, ErrorView::new("fault", "Something went wrong."), None)
        }
        IntentAnswer::Refused(view, intent) => error(refusal(view.code), view, intent),
        IntentAnswer::NotFound => {
            error(StatusCode::NOT_FOUND, ErrorView::new("not_found", "There is no intent under this key."), None)
        }
    }
}

/// The answer to a question about an intent, however it stands.
fn view_response(answer: IntentAnswer) -> Response {
    match answer {
        IntentAnswer::Intent(intent) => Json(intent).into_response(),
        other => intent_response(other),
    }
}

fn refusal(code: &str) -> StatusCode {
    match code {
        "invalid_amount" | "currency_mismatch" => StatusCode::BAD_REQUEST,
        _ => StatusCode::CONFLICT,
    }
}

async fn find(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Trouble> {
    Ok(view_response(app.keeper.ask(|answer| Ask::Find { key, answer }).await?))
}

async fn void(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Trouble> {
    Ok(view_response(app.keeper.ask(|answer| Ask::Void { key, answer }).await?))
}

async fn refund(State(app): State<App>, headers: HeaderMap, body: axum::body::Bytes) -> Result<Response, Trouble> {
    let key = idempotency_key(&headers)?;
    let request: RefundRequest = read(&body)?;
    Ok(refund_response(app.keeper.ask(|answer| Ask::Refund { key, request, answer }).await?))
}

async fn find_refund(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Trouble> {
    Ok(refund_response(app.keeper.ask(|answer| Ask::FindRefund { key, answer }).await?))
}

fn refund_response(answer: RefundAnswer) -> Response {
    match answer {
        RefundAnswer::Refund(refund) => Json(refund).into_response(),
        RefundAnswer::Refused(view) => error(refusal(view.code), view, None),
        RefundAnswer::NotFound(view) => error(StatusCode::NOT_FOUND, view, None),
    }
}

async fn ledger(State(app): State<App>) -> Result<Response, Trouble> {
    Ok(Json(app.keeper.ask(|answer| Ask::Ledger { answer }).await?).into_response())
}
