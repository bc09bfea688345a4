//! Registrations: each is carried by one saga, whose id follows from the registration's. What the registration context does
//! not know yet, the saga does, so that a read right after the 202 sees it.

use amends_schemas::ids::{EventId, RegistrationId};
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{CancelSaga, Cancellation, Priority, SagaRef, SagaStatus, SagaView, StartSaga};
use amends_schemas::subjects::PartitionVerb;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::documents::{AvailabilityDocument, Page, RegistrationDocument, RegistrationStatusDocument};
use crate::extract::{JsonBody, OptionalJsonBody, PathOf, QueryOf};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::problems::ProblemDocument;
use crate::registration_status::{first_error, from_saga, needs_error, of_context};
use crate::routes::events::event;
use crate::routes::paging::{as_page, page, without_nulls};
use crate::routes::sagas::CancelRequest;
use crate::state::{Api, Outcome, located, ok};
use crate::validation::{Attendee, Billing, check_registration};

const CONTEXT: &str = "registration";

/// The saga that registers.
const DEFINITION: &str = "registration";

/// A registration to be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRegistration {
    /// For which event.
    #[schema(value_type = Uuid)]
    pub event_id: EventId,
    /// Who.
    pub attendee: Attendee,
    /// The payment gateway's token for the means of payment. Needed where the event costs something.
    #[schema(min_length = 1, max_length = 200, example = "tok_ok")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_token: Option<String>,
    /// Whom to bill, where it is not the attendee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing: Option<Billing>,
}

/// A registration that was accepted and is being decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedRegistration {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub registration_id: RegistrationId,
    /// The saga that carries it.
    #[schema(value_type = Uuid)]
    pub saga_id: amends_schemas::ids::SagaId,
    /// Always `pending`: a repeat under the same key is answered as the first time.
    #[schema(value_type = RegistrationStatusDocument)]
    pub status: &'static str,
}

/// A cancellation that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedCancellation {
    /// The registration.
    #[schema(value_type = Uuid)]
    pub registration_id: RegistrationId,
    /// The saga to watch: the registration's own, which makes amends, or after the payment the one that cancels forward. While the payment is
    /// under way it is the registration's own, too: it makes amends, or is `cancelled_by` the one that cancels forward.
    #[schema(value_type = Uuid)]
    pub saga_id: amends_schemas::ids::SagaId,
    /// `compensating`, `forward`, or, while the payment is under way, `undecided`: one of the two, once that is known.
    #[schema(example = "forward")]
    pub effect: &'static str,
}

/// Which registrations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RegistrationQuery {
    /// Only for this event.
    event_id: Option<Uuid>,
    /// Only with this status.
    #[param(inline)]
    status: Option<RegistrationStatusDocument>,
    /// Where the last page ended.
    cursor: Option<String>,
    /// Items on a page, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// Register a person for an event.
#[utoipa::path(post, path = "/v1/registrations", tag = "registrations", params(IdempotencyKeyHeader),
    request_body = NewRegistration,
    responses(
        (status = 202, description = "Accepted; ask for it at Location", body = AcceptedRegistration,
            headers(("Location" = String))),
        (status = 404, description = "`event_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`event_not_open`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn create_registration(
    State(api): State<Api>,
    key: IdempotencyKey,
    JsonBody { body, .. }: JsonBody<NewRegistration>,
) -> Outcome {
    check_registration(&body)?;
    let registration_id = RegistrationId(key.id("POST /v1/registrations"));
    let saga_id = registration_id.saga();
    if let Err(refusal) = check_event_open(&api, body.event_id).await {
        // A repeat of what was accepted is answered as the first time, whatever became of the event since.
        let known = key.is_some() && saga_is_known(&api, registration_id).await;
        if !known {
            return Err(refusal.into());
        }
    }
    // Nothing in it may differ between repeats of one request.
    let mut input = json!(body);
    input["registration_id"] = json!(registration_id);
    let start = StartSaga {
        saga_id,
        definition: DEFINITION.to_owned(),
        version: None,
        input,
        tags: [format!("event_{}", body.event_id)].into(),
        start_at: None,
        priority: Priority::default(),
        parent: None,
    };
    let _started: SagaView = api
        .asking
        .owner(saga_id, PartitionVerb::Start, &start)
        .await
        .map_err(|problem| key.explain(within_body(problem)))?;
    let accepted = AcceptedRegistration { registration_id, saga_id, status: "pending" };
    located(StatusCode::ACCEPTED, &format!("/v1/registrations/{registration_id}"), accepted)
}

/// The saga's input is the body with an id added, so what is wrong at `/input/…` is wrong at `/…` to the client.
fn within_body(mut problem: Problem) -> Problem {
    for error in &mut problem.errors {
        if let Some(rest) = error.pointer.strip_prefix("/input") {
            error.pointer = rest.to_owned();
        }
    }
    problem
}

async fn check_event_open(api: &Api, event_id: EventId) -> Result<(), Problem> {
    let event = event(api, event_id).await?;
    match event.get("status").and_then(Value::as_str) {
        Some("published") => Ok(()),
        status => Err(Problem::conflict(
            "event_not_open",
            format!("The event is not open for registration: it is {}.", status.unwrap_or("in an unknown state")),
        )),
    }
}

async fn saga_is_known(api: &Api, registration_id: RegistrationId) -> bool {
    saga_of(api, registration_id).await.is_ok()
}

async fn saga_of(api: &Api, registration_id: RegistrationId) -> Result<SagaView, Problem> {
    let saga_id = registration_id.saga();
    api.asking.owner(saga_id, PartitionVerb::Get, &SagaRef { saga_id }).await
}

/// Read a registration.
#[utoipa::path(get, path = "/v1/registrations/{registration_id}", tag = "registrations",
    params(("registration_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The registration", body = RegistrationDocument),
        (status = 404, description = "`registration_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_registration(State(api): State<Api>, PathOf(registration_id): PathOf<RegistrationId>) -> Outcome {
    if let Some(known) = known_to_context(&api, registration_id).await? {
        return ok(with_error(&api, registration_id, known).await);
    }
    let saga = saga_of(&api, registration_id).await.map_err(|problem| not_found(problem, registration_id))?;
    match saga.status {
        SagaStatus::Running
        | SagaStatus::Compensating
        | SagaStatus::Stuck
        | SagaStatus::Compensated
        | SagaStatus::Terminated => ok(from_saga(registration_id, &saga)),
        // It was reserved and decided between the two questions.
        SagaStatus::Completed => {
            let known = known_to_context(&api, registration_id).await?;
            ok(known.ok_or_else(|| no_such_registration(registration_id))?)
        }
    }
}

/// Adds why a registration was rejected where only its saga knows, such as a declined card. A reader is better served
/// without the reason than not at all.
async fn with_error(api: &Api, registration_id: RegistrationId, mut known: Value) -> Value {
    if needs_error(&known)
        && let Ok(saga) = saga_of(api, registration_id).await
        && let Some(error) = first_error(&saga)
    {
        known["error"] = error;
    }
    known
}

async fn known_to_context(api: &Api, registration_id: RegistrationId) -> Result<Option<Value>, Problem> {
    let question = json!({"registration_id": registration_id});
    match api.asking.context::<_, Value>(CONTEXT, "get", &question).await {
        Ok(answer) => Ok(Some(of_context(registration_id, answer))),
        Err(problem) if problem.kind == ProblemKind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// List registrations.
#[utoipa::path(get, path = "/v1/registrations", tag = "registrations", params(RegistrationQuery),
    responses((status = 200, description = "A page", body = Page<RegistrationDocument>)))]
pub async fn list_registrations(State(api): State<Api>, QueryOf(query): QueryOf<RegistrationQuery>) -> Outcome {
    let (cursor, limit) = page(query.cursor, query.limit)?;
    let question = without_nulls(json!({
        "event_id": query.event_id, "status": query.status, "cursor": cursor, "limit": limit,
    }));
    let mut answer = as_page(api.asking.context(CONTEXT, "list", &question).await?);
    for item in answer.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(id) = item.get("registration_id").and_then(Value::as_str).and_then(|id| id.parse().ok()) {
            *item = of_context(id, item.take());
        }
    }
    ok(answer)
}

/// Say how many seats an event has left.
#[utoipa::path(get, path = "/v1/events/{event_id}/availability", tag = "registrations",
    params(("event_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "What is left", body = AvailabilityDocument),
        (status = 404, description = "`event_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_availability(State(api): State<Api>, PathOf(event_id): PathOf<EventId>) -> Outcome {
    let answer: Value = api.asking.context(CONTEXT, "availability", &json!({"event_id": event_id})).await?;
    ok(answer)
}

/// Cancel a registration. Before the payment its saga makes amends; afterwards a saga of its own frees the seat, credits
/// the invoice and gives the money back; while the payment is under way it is `undecided` which. Asking twice is one cancellation.
#[utoipa::path(post, path = "/v1/registrations/{registration_id}/cancel", tag = "registrations",
    params(("registration_id" = Uuid, Path, description = "Which")), request_body = Option<CancelRequest>,
    responses(
        (status = 202, description = "Accepted; watch the saga", body = AcceptedCancellation,
            headers(("Location" = String))),
        (status = 404, description = "`registration_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`past_pivot`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn cancel_registration(
    State(api): State<Api>,
    PathOf(registration_id): PathOf<RegistrationId>,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    let saga_id = registration_id.saga();
    let (by, reason) = request.checked()?;
    let cancellation: Cancellation = api
        .asking
        .owner(saga_id, PartitionVerb::Cancel, &CancelSaga { saga_id, by, reason, parent: None })
        .await
        .map_err(|problem| not_found(problem, registration_id))?;
    let (saga_id, effect) = match cancellation {
        Cancellation::Compensating { saga_id } => (saga_id, "compensating"),
        Cancellation::Forward { forward_saga_id, .. } => (forward_saga_id, "forward"),
        Cancellation::Undecided { saga_id, .. } => (saga_id, "undecided"),
    };
    let accepted = AcceptedCancellation { registration_id, saga_id, effect };
    located(StatusCode::ACCEPTED, &format!("/v1/sagas/{saga_id}"), accepted)
}

fn not_found(problem: Problem, registration_id: RegistrationId) -> Problem {
    if problem.kind == ProblemKind::NotFound { no_such_registration(registration_id) } else { problem }
}

fn no_such_registration(registration_id: RegistrationId) -> Problem {
    Problem::not_found("registration_not_found", format!("There is no registration {registration_id}."))
}
