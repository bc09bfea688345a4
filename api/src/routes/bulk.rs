//! Bulk operations: an operator's verb over every saga that a filter finds.

use amends_schemas::bulk::{
    BULK_PER_SECOND_DEFAULT, BulkAct, BulkOperation, BulkRef, BulkVerb, CancelAct, ControlBulk, ListBulk, StartBulk,
};
use amends_schemas::command::StepError;
use amends_schemas::ids::BulkId;
use amends_schemas::operate::{OperatorAct, Resolution};
use amends_schemas::problem::Problem;
use amends_schemas::saga::Page as WirePage;
use amends_schemas::search::{Found, SagaFilter};
use amends_schemas::subjects::{
    ORCHESTRATOR_BULK_CONTROL, ORCHESTRATOR_BULK_GET, ORCHESTRATOR_BULK_LIST, ORCHESTRATOR_BULK_PREVIEW,
    ORCHESTRATOR_BULK_START,
};
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::documents::{
    BulkOperationDocument, BulkPreviewDocument, BulkVerbDocument, Page, SagaFilterDocument, StepErrorDocument,
};
use crate::extract::{JsonBody, OptionalJsonBody, PathOf, QueryOf};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::problems::ProblemDocument;
use crate::routes::operate::ResolveAs;
use crate::routes::paging::page;
use crate::routes::sagas::CancelRequest;
use crate::state::{Api, Outcome, located, ok};

/// A bulk operation to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBulkOperation {
    /// What is to be done to each saga.
    pub verb: BulkVerbDocument,
    /// To which sagas. Those accepted after the operation are not meant.
    pub filter: SagaFilterDocument,
    /// Only say what would be touched, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Most sagas operated in a second, 1 to 500; 100 unless given.
    #[schema(minimum = 1, maximum = 500)]
    pub per_second: Option<u32>,
    /// With `retry`, `skip` and `resolve`: the step; the one each saga waits at unless given. `retry_from` needs it.
    #[schema(max_length = 64)]
    pub step: Option<String>,
    /// With `resolve`: how the step really ended.
    #[serde(rename = "as")]
    pub resolution: Option<ResolveAs>,
    /// With `resolve` as `succeeded`: one of the contract's outcomes, when it has several.
    #[schema(max_length = 64)]
    pub outcome: Option<String>,
    /// With `resolve` as `succeeded`: what the step returned.
    #[serde(default)]
    pub output: Value,
    /// With `resolve` as `failed`: why; unless given, that an operator said so.
    #[schema(value_type = Option<StepErrorDocument>)]
    pub error: Option<StepError>,
    /// With `terminate`: must be true.
    #[serde(default)]
    pub force: bool,
    /// Why; it stands in the history of every saga. Required unless it is a dry run.
    #[schema(max_length = 960)]
    pub reason: Option<String>,
    /// Who, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// What would be touched.
#[derive(Debug, Serialize)]
struct BulkPreview {
    status: &'static str,
    #[serde(flatten)]
    found: Found,
}

/// Which bulk operations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct BulkQuery {
    /// Where the last page ended.
    cursor: Option<String>,
    /// Items on a page, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

impl NewBulkOperation {
    /// What is to be done. Members that belong to another verb are refused, for somebody meant something by them.
    fn act(&mut self) -> Result<BulkAct, Problem> {
        let step = self.step.take();
        let (outcome, output, error) = (self.outcome.take(), std::mem::take(&mut self.output), self.error.take());
        let is_resolved = self.resolution.is_some() || outcome.is_some() || !output.is_null() || error.is_some();
        let act = match (self.verb, step, is_resolved, self.force) {
            (BulkVerbDocument::Pause, None, false, false) => OperatorAct::Pause,
            (BulkVerbDocument::Resume, None, false, false) => OperatorAct::Resume,
            (BulkVerbDocument::Retry, step, false, false) => OperatorAct::Retry { step },
            (BulkVerbDocument::RetryFrom, Some(step), false, false) => OperatorAct::RetryFrom { step },
            (BulkVerbDocument::Skip, step, false, false) => OperatorAct::Skip { step },
            (BulkVerbDocument::Terminate, None, false, force) => OperatorAct::Terminate { force },
            (BulkVerbDocument::Cancel, None, false, false) => return Ok(BulkAct::Cancel(CancelAct::Cancel {})),
            (BulkVerbDocument::Resolve, step, _, false) => {
                let resolution = match self.resolution {
                    Some(ResolveAs::Succeeded) if error.is_none() => Resolution::Succeeded { outcome, output },
                    Some(ResolveAs::Failed) if outcome.is_none() && output.is_null() => Resolution::Failed { error },
                    Some(ResolveAs::Succeeded | ResolveAs::Failed) | None => {
                        return Err(Problem::invalid(
                            "invalid_resolution",
                            "Say `as`; what succeeded has no `error`; what failed has neither `outcome` nor `output`.",
                        ));
                    }
                };
                OperatorAct::Resolve { step, resolution }
            }
            (
                BulkVerbDocument::Pause
                | BulkVerbDocument::Resume
                | BulkVerbDocument::Retry
                | BulkVerbDocument::RetryFrom
                | BulkVerbDocument::Skip
                | BulkVerbDocument::Resolve
                | BulkVerbDocument::Cancel
                | BulkVerbDocument::Terminate,
                ..,
            ) => {
                let text = "`step` goes with retry, retry_from (which needs it), skip and resolve; `as`, `outcome`, `output` and `error` with resolve; \
                            `force` with terminate.";
                return Err(Problem::invalid("invalid_act", text));
            }
        };
        Ok(BulkAct::Operate(act))
    }
}

/// Begin a bulk operation, or with `dry_run` only say what it would touch. It goes through the sagas that the filter finds, oldest first,
/// operates each once, and can be paused, resumed and ended; a crash does not end it. The verbs are those for a single saga: `pause`, `resume`,
/// `retry`, `retry_from`, `skip`, `resolve`, `cancel` and `terminate`. There is no `edit_input`: an input belongs to one saga, and is checked for it.
#[utoipa::path(post, path = "/v1/bulk-operations", tag = "bulk operations", params(IdempotencyKeyHeader),
    request_body = NewBulkOperation,
    responses(
        (status = 200, description = "A dry run: what would be touched", body = BulkPreviewDocument),
        (status = 202, description = "It is under way; ask for it at Location", body = BulkOperationDocument,
            headers(("Location" = String))),
        (status = 409, description = "`idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn start_bulk_operation(
    State(api): State<Api>,
    key: IdempotencyKey,
    JsonBody { mut body, .. }: JsonBody<NewBulkOperation>,
) -> Outcome {
    let act = body.act()?;
    let filter = SagaFilter::from(body.filter);
    if body.dry_run {
        let found: Found = api.asking.orchestrator(ORCHESTRATOR_BULK_PREVIEW, &filter).await?;
        return ok(BulkPreview { status: "previewed", found });
    }
    let bulk_id = BulkId(key.id("POST /v1/bulk-operations"));
    let (by, reason) = CancelRequest { reason: body.reason, by: body.by }.checked()?;
    let per_second = body.per_second.unwrap_or(BULK_PER_SECOND_DEFAULT);
    let request = StartBulk { bulk_id, act, filter, by, reason, per_second };
    let operation: BulkOperation =
        api.asking.orchestrator(ORCHESTRATOR_BULK_START, &request).await.map_err(|problem| key.explain(problem))?;
    located(StatusCode::ACCEPTED, &format!("/v1/bulk-operations/{bulk_id}"), operation)
}

/// List bulk operations, the latest first.
#[utoipa::path(get, path = "/v1/bulk-operations", tag = "bulk operations", params(BulkQuery),
    responses((status = 200, description = "A page", body = Page<BulkOperationDocument>)))]
pub async fn list_bulk_operations(State(api): State<Api>, QueryOf(query): QueryOf<BulkQuery>) -> Outcome {
    let (cursor, limit) = page(query.cursor, query.limit)?;
    let question = ListBulk { cursor, limit: Some(limit) };
    let operations: WirePage<BulkOperation> = api.asking.orchestrator(ORCHESTRATOR_BULK_LIST, &question).await?;
    ok(operations)
}

/// Read a bulk operation: how far it is, and which sagas refused.
#[utoipa::path(get, path = "/v1/bulk-operations/{bulk_id}", tag = "bulk operations",
    params(("bulk_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The bulk operation", body = BulkOperationDocument),
        (status = 404, description = "`bulk_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_bulk_operation(State(api): State<Api>, PathOf(bulk_id): PathOf<BulkId>) -> Outcome {
    let operation: BulkOperation = api.asking.orchestrator(ORCHESTRATOR_BULK_GET, &BulkRef { bulk_id }).await?;
    ok(operation)
}

/// Pause a bulk operation: sagas that are being operated are finished, no further one is begun. Twice is once.
#[utoipa::path(post, path = "/v1/bulk-operations/{bulk_id}/pause", tag = "bulk operations",
    params(("bulk_id" = Uuid, Path, description = "Which")), request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "It is paused", body = BulkOperationDocument),
        (status = 404, description = "`bulk_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`: it has ended", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn pause_bulk_operation(
    State(api): State<Api>,
    PathOf(bulk_id): PathOf<BulkId>,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    control(&api, bulk_id, BulkVerb::Pause, request).await
}

/// Resume a bulk operation that was paused. Twice is once.
#[utoipa::path(post, path = "/v1/bulk-operations/{bulk_id}/resume", tag = "bulk operations",
    params(("bulk_id" = Uuid, Path, description = "Which")), request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "It goes on", body = BulkOperationDocument),
        (status = 404, description = "`bulk_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`: it has ended", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn resume_bulk_operation(
    State(api): State<Api>,
    PathOf(bulk_id): PathOf<BulkId>,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    control(&api, bulk_id, BulkVerb::Resume, request).await
}

/// End a bulk operation where it is. What is done stays done. Twice is once.
#[utoipa::path(post, path = "/v1/bulk-operations/{bulk_id}/cancel", tag = "bulk operations",
    params(("bulk_id" = Uuid, Path, description = "Which")), request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "It is ended", body = BulkOperationDocument),
        (status = 404, description = "`bulk_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`: it is done", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn cancel_bulk_operation(
    State(api): State<Api>,
    PathOf(bulk_id): PathOf<BulkId>,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    control(&api, bulk_id, BulkVerb::Cancel, request).await
}

async fn control(api: &Api, bulk_id: BulkId, verb: BulkVerb, request: CancelRequest) -> Outcome {
    let (by, reason) = request.checked()?;
    let question = ControlBulk { bulk_id, verb, by, reason };
    let operation: BulkOperation = api.asking.orchestrator(ORCHESTRATOR_BULK_CONTROL, &question).await?;
    ok(operation)
}
