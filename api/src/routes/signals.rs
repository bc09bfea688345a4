//! Signals: what sagas wait for from outside.

use amends_schemas::contract::is_plain_name;
use amends_schemas::ids::SagaId;
use amends_schemas::problem::Problem;
use amends_schemas::signal::{SignalReceipt, SignalSaga};
use amends_schemas::subjects::PartitionVerb;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::documents::SignalReceiptDocument;
use crate::extract::{OptionalJsonBody, PathOf};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::problems::{ApiProblem, ProblemDocument};
use crate::state::{Api, Outcome};
use crate::validation::check_reason;

/// Who gives a signal, when the caller does not say.
const BY_DEFAULT: &str = "api";

/// What a signal says.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SignalRequest {
    /// One of the outcomes that the definition declares for it, when it declares any.
    #[schema(max_length = 64)]
    pub outcome: Option<String>,
    /// What comes with it; checked against the definition's schema for it.
    pub data: Value,
    /// Who gives it, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// Give a saga a signal. The first of its name counts; one that comes before its step is kept for it.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/signals/{signal}", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"),
        ("signal" = String, Path, description = "The signal's name, as the definition's `await` says it"), IdempotencyKeyHeader),
    request_body = Option<SignalRequest>,
    responses(
        (status = 202, description = "Taken, or kept for its step", body = SignalReceiptDocument),
        (status = 404, description = "`saga_not_found`, `unknown_signal`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`signal_already_given`, `signal_too_late`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn signal_saga(
    State(api): State<Api>,
    PathOf((saga_id, signal)): PathOf<(SagaId, String)>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<SignalRequest>,
) -> Outcome {
    if !is_plain_name(&signal) {
        return Err(Problem::not_found("unknown_signal", "no definition waits for a signal of such a name").into());
    }
    let SignalRequest { outcome, data, by } = request;
    let by = by.unwrap_or_else(|| BY_DEFAULT.to_owned());
    check_reason("/by", &by)?;
    let signal_id = key.id(&format!("POST /v1/sagas/{saga_id}/signals/{signal}"));
    let request = SignalSaga { saga_id, signal, signal_id, outcome, data, by };
    let receipt: SignalReceipt = api.asking.owner(saga_id, PartitionVerb::Signal, &request).await.map_err(explain)?;
    Ok((StatusCode::ACCEPTED, Json(receipt)).into_response())
}

/// The signal's id is made of the key, so to a client it is the key that was reused.
fn explain(problem: Problem) -> ApiProblem {
    if problem.code == "signal_id_reused" {
        return Problem::conflict(
            "idempotency_key_reused",
            "This Idempotency-Key was used before with another body; use a new key for a new request.",
        )
        .into();
    }
    problem.into()
}
