//! What operators do with a saga by hand, and what a cancel would do. Each verb takes an `Idempotency-Key`: the same key with the same
//! body is done once and answered as the first time.

use amends_schemas::command::StepError;
use amends_schemas::ids::SagaId;
use amends_schemas::operate::{CompensationPreview, OperateSaga, Operated, OperatorAct, OperatorVerb, Resolution};
use amends_schemas::problem::Problem;
use amends_schemas::saga::SagaRef;
use amends_schemas::subjects::PartitionVerb;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::documents::{CompensationPreviewDocument, OperatedDocument, StepErrorDocument};
use crate::extract::{JsonBody, OptionalJsonBody, PathOf};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::problems::{ApiProblem, ProblemDocument};
use crate::routes::sagas::CancelRequest;
use crate::state::{Api, Outcome, ok};

/// Which step to act on, why and who.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepRequest {
    /// The step; the one the saga waits at unless given.
    #[schema(max_length = 64)]
    pub step: Option<String>,
    /// Why, for the record.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
    /// Who, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// To which step to go back, why and who.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryFromRequest {
    /// The step; not one within a `parallel`.
    #[schema(max_length = 64)]
    pub step: String,
    /// Why, for the record.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
    /// Who, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// Another input for a step that did not happen.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditInputRequest {
    /// The step; the one the saga waits at unless given.
    #[schema(max_length = 64)]
    pub step: Option<String>,
    /// All of the input, as the step's contract takes it.
    pub input: Value,
    /// Why, for the record.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
    /// Who, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// How a step really ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// The step; the one the saga waits at unless given.
    #[schema(max_length = 64)]
    pub step: Option<String>,
    /// `succeeded`: it happened, or was undone where its undo is stuck. `failed`: it did not happen and will not.
    #[serde(rename = "as")]
    pub resolution: ResolveAs,
    /// With `succeeded`: one of the contract's outcomes, when it has several.
    #[schema(max_length = 64)]
    pub outcome: Option<String>,
    /// With `succeeded`: what the step returned, as its contract says.
    #[serde(default)]
    pub output: Value,
    /// With `failed`: why; unless given, that an operator said so.
    #[schema(value_type = Option<StepErrorDocument>)]
    pub error: Option<StepError>,
    /// Why, for the record.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
    /// Who, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// How a step really ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolveAs {
    /// It happened.
    Succeeded,
    /// It did not and will not.
    Failed,
}

/// The end of a saga without amends.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TerminateRequest {
    /// Must be true: what the saga has done stays as it is.
    pub force: bool,
    /// Why, for the record.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
    /// Who, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// Pause a saga: nothing more is dispatched and timers wait until it is resumed; answers to what is in flight are taken.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/pause", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "It is paused", body = OperatedDocument),
        (status = 404, description = "`saga_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn pause_saga(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    operate(&api, saga_id, &key, request, OperatorAct::Pause).await
}

/// Resume a saga that was paused. What came due meanwhile, its deadline too, is done at once.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/resume", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "It goes on", body = OperatedDocument),
        (status = 404, description = "`saga_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn resume_saga(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    operate(&api, saga_id, &key, request, OperatorAct::Resume).await
}

/// Try a step that backs off or is stuck again now, with a new budget; its undo as well.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/retry", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = Option<StepRequest>,
    responses(
        (status = 200, description = "It is tried again", body = OperatedDocument),
        (status = 404, description = "`saga_not_found`, `step_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn retry_saga(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<StepRequest>,
) -> Outcome {
    let StepRequest { step, reason, by } = request;
    operate(&api, saga_id, &key, CancelRequest { reason, by }, OperatorAct::Retry { step }).await
}

/// Go back to a step: what has succeeded from it on is undone where it can be, and all of it is done again, under new idempotency keys.
/// Needs a reason.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/retry-from", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = RetryFromRequest,
    responses(
        (status = 200, description = "It goes back", body = OperatedDocument),
        (status = 404, description = "`saga_not_found`, `step_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn retry_saga_from(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    key: IdempotencyKey,
    JsonBody { body, .. }: JsonBody<RetryFromRequest>,
) -> Outcome {
    let RetryFromRequest { step, reason, by } = body;
    operate(&api, saga_id, &key, CancelRequest { reason, by }, OperatorAct::RetryFrom { step }).await
}

/// Give a step another input. It takes a step that backs off or is stuck, not in doubt, of a saga that goes forward; the next attempt, under a
/// new idempotency key, takes it: when the backoff ends, or after a `retry`. Needs a reason.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/edit-input", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = EditInputRequest,
    responses(
        (status = 200, description = "It has that input", body = OperatedDocument),
        (status = 404, description = "`saga_not_found`, `step_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn edit_saga_input(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    key: IdempotencyKey,
    JsonBody { body, .. }: JsonBody<EditInputRequest>,
) -> Outcome {
    let EditInputRequest { step, input, reason, by } = body;
    operate(&api, saga_id, &key, CancelRequest { reason, by }, OperatorAct::EditInput { step, input }).await
}

/// Pass over a step that cleanly failed behind the point of no return, or leave a step as it is whose undo does not work. Needs a
/// reason; never a step in doubt.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/skip", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = Option<StepRequest>,
    responses(
        (status = 200, description = "It is passed over", body = OperatedDocument),
        (status = 404, description = "`saga_not_found`, `step_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn skip_saga(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<StepRequest>,
) -> Outcome {
    let StepRequest { step, reason, by } = request;
    operate(&api, saga_id, &key, CancelRequest { reason, by }, OperatorAct::Skip { step }).await
}

/// Say how a step in doubt, a stuck one, or a stuck undo really ended. Of a step whose children were terminated it says how those ended; with
/// `for_each` the step counts them itself and takes neither `outcome` nor `output`. Needs a reason.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/resolve", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = ResolveRequest,
    responses(
        (status = 200, description = "It counts so", body = OperatedDocument),
        (status = 404, description = "`saga_not_found`, `step_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn resolve_saga(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    key: IdempotencyKey,
    JsonBody { body, .. }: JsonBody<ResolveRequest>,
) -> Outcome {
    let ResolveRequest { step, resolution, outcome, output, error, reason, by } = body;
    let resolution = match resolution {
        ResolveAs::Succeeded if error.is_none() => Resolution::Succeeded { outcome, output },
        ResolveAs::Failed if outcome.is_none() && output.is_null() => Resolution::Failed { error },
        ResolveAs::Succeeded | ResolveAs::Failed => {
            return Err(Problem::invalid(
                "invalid_resolution",
                "What succeeded has no `error`; what failed has neither `outcome` nor `output`.",
            )
            .into());
        }
    };
    operate(&api, saga_id, &key, CancelRequest { reason, by }, OperatorAct::Resolve { step, resolution }).await
}

/// End a saga as it stands, without amends. Its children are sagas of their own and go on: `children_left` says how many; cancel or terminate
/// them one by one, or all together by an operation. A saga that waits for this one's end is told, and its step is in doubt. Needs `force` and a reason.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/terminate", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = Option<TerminateRequest>,
    responses(
        (status = 200, description = "It is ended", body = OperatedDocument),
        (status = 404, description = "`saga_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn terminate_saga(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<TerminateRequest>,
) -> Outcome {
    let TerminateRequest { force, reason, by } = request;
    operate(&api, saga_id, &key, CancelRequest { reason, by }, OperatorAct::Terminate { force }).await
}

/// Say what a cancel would do now: what would be undone, in which order and with what, and what could not.
#[utoipa::path(get, path = "/v1/sagas/{saga_id}/compensation-preview", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "What would happen", body = CompensationPreviewDocument),
        (status = 404, description = "`saga_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_compensation_preview(State(api): State<Api>, PathOf(saga_id): PathOf<SagaId>) -> Outcome {
    let preview: CompensationPreview = api.asking.owner(saga_id, PartitionVerb::Preview, &SagaRef { saga_id }).await?;
    ok(preview)
}

async fn operate(
    api: &Api,
    saga_id: SagaId,
    key: &IdempotencyKey,
    request: CancelRequest,
    act: OperatorAct,
) -> Outcome {
    let (by, reason) = request.checked()?;
    let operation_id = key.id(&route(saga_id, act.verb()));
    let request = OperateSaga { saga_id, operation_id, by, reason, act };
    let operated: Operated = api.asking.owner(saga_id, PartitionVerb::Operate, &request).await.map_err(explain)?;
    ok(operated)
}

/// One key leads to one operation for each saga and verb.
fn route(saga_id: SagaId, verb: OperatorVerb) -> String {
    format!("POST /v1/sagas/{saga_id}/{}", verb.as_str())
}

/// The operation's id is made of the key, so to a client it is the key that was reused.
pub fn explain(problem: Problem) -> ApiProblem {
    if problem.code == "operation_id_reused" {
        return Problem::conflict(
            "idempotency_key_reused",
            "This Idempotency-Key was used before with another body; use a new key for a new request.",
        )
        .into();
    }
    problem.into()
}
