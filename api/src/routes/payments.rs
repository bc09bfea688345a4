//! Payments, and what gateways report of them: passed on to the payment context.

use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use uuid::Uuid;

use amends_schemas::contract::is_plain_name;
use amends_schemas::problem::Problem;

use crate::documents::{PaymentDocument, WebhookReceipt};
use crate::extract::{PathOf, QueryOf, RawBody};
use crate::problems::{ApiProblem, ProblemDocument};
use crate::state::{Api, Outcome, ok};

const CONTEXT: &str = "payment";

/// The headers in which gateways sign their reports, each as it will. Which one a gateway uses, the payment context need
/// not be told: what is not signed as it expects is forged.
pub const SIGNATURES: [&str; 3] = ["test-gateway-signature", "stripe-signature", "x-amends-signature"];

/// Longest signature taken, in bytes: Stripe's, with several schemes at once, stays below 500.
const SIGNATURE_BYTES_MAX: usize = 1024;

/// Whose payments.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PaymentQuery {
    /// Of this registration.
    registration_id: Uuid,
}

/// List the payments of a registration.
#[utoipa::path(get, path = "/v1/payments", tag = "payments", params(PaymentQuery),
    responses((status = 200, description = "All of them", body = Vec<PaymentDocument>)))]
pub async fn list_payments(State(api): State<Api>, QueryOf(query): QueryOf<PaymentQuery>) -> Outcome {
    let question = json!({"registration_id": query.registration_id});
    let answer: Value = api.asking.context(CONTEXT, "list", &question).await?;
    ok(answer)
}

/// Take a payment gateway's signed report. Sending it again changes nothing.
#[utoipa::path(post, path = "/v1/webhooks/{gateway}", tag = "payments",
    params(
        ("gateway" = String, Path, description = "Which gateway", example = "test"),
        ("test-gateway-signature" = Option<String>, Header, description = "The test gateway's signature over the body"),
        ("stripe-signature" = Option<String>, Header, description = "Stripe's signature over the body"),
    ),
    request_body(content = String, content_type = "application/json", description = "As the gateway sends it"),
    responses(
        (status = 200, description = "Taken", body = WebhookReceipt),
        (status = 403, description = "The signature is missing or wrong; nothing changed", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 404, description = "No such gateway", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn receive_webhook(
    State(api): State<Api>,
    PathOf(gateway): PathOf<String>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Outcome {
    if !is_plain_name(&gateway) {
        return Err(Problem::not_found("gateway_not_found", "There is no such gateway.").into());
    }
    let signature = SIGNATURES
        .iter()
        .find_map(|name| headers.get(*name))
        .and_then(|value| value.to_str().ok())
        .filter(|signature| signature.len() <= SIGNATURE_BYTES_MAX)
        .ok_or_else(|| {
            Problem::new(
                amends_schemas::problem::ProblemKind::Forbidden,
                "invalid_signature",
                "The report bears no usable signature.",
            )
        })?;
    // The signature is over the bytes, so they travel as they came.
    let body = std::str::from_utf8(&body)
        .map_err(|_| ApiProblem::bad_request("malformed_json", "The report is not UTF-8."))?;
    let question = json!({"gateway": gateway, "signature": signature, "body": body});
    let receipt: Value = api.asking.context(CONTEXT, "webhook", &question).await?;
    ok(receipt)
}
