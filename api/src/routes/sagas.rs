//! One saga: asked of the owner of its partition.

use amends_schemas::contract::is_plain_name;
use amends_schemas::ids::SagaId;
use amends_schemas::limits::{HISTORY_PAGE_MAX, NAME_BYTES_MAX, SAGA_INPUT_BYTES_MAX, START_AHEAD_DAYS_MAX, TAGS_MAX};
use amends_schemas::problem::{FieldError, Problem, ProblemKind};
use amends_schemas::saga::{
    CancelSaga, Cancellation, HistoryPage, HistoryQuery, Page as WirePage, Priority, SagaRef, SagaStatus, SagaView,
    StartSaga,
};
use amends_schemas::subjects::PartitionVerb;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::documents::{HistoryEntryDocument, Page, SagaDocument, SagaStatusDocument};
use crate::extract::{JsonBody, OptionalJsonBody, PathOf, QueryOf};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::problems::{ApiProblem, ProblemDocument};
use crate::state::{Api, Outcome, located, ok};
use crate::validation::check_reason;

/// Who cancels, when the caller does not say.
const BY_DEFAULT: &str = "api";

/// A saga to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSaga {
    /// The definition's name.
    #[schema(pattern = "^[a-z][a-z0-9_-]{0,63}$", example = "registration")]
    pub definition: String,
    /// Its version; the newest unless given.
    #[schema(minimum = 1)]
    pub version: Option<u32>,
    /// Checked against the definition's input schema; at most 256 KiB.
    pub input: Value,
    /// Labels to search by: lower-case letters, digits, `-` and `_`, at most 64 bytes each, 16 in all.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub tags: Vec<String>,
    /// When its first step begins, at most ten years ahead; at once unless given. Its deadline counts from then.
    pub start_at: Option<DateTime<Utc>>,
    /// Who comes first where the commands of a contract are limited: the higher number; 5 unless given.
    #[schema(minimum = 0, maximum = 9)]
    pub priority: Option<u8>,
}

/// A saga that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedSaga {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub saga_id: SagaId,
    /// Always `running`: a repeat under the same key is answered as the first time.
    #[schema(value_type = SagaStatusDocument)]
    pub status: SagaStatus,
}

/// Why something is cancelled, and by whom.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CancelRequest {
    /// Why, for the record.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
    /// Who, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// What cancelling did.
#[derive(Debug, Serialize, ToSchema)]
pub struct CancelledSaga {
    /// The saga that was to be cancelled.
    #[schema(value_type = Uuid)]
    pub saga_id: SagaId,
    /// `compensating`: it makes amends. `forward`: the point of no return is passed, another saga cancels. `undecided`: the point of no return is
    /// with a worker; if it did not happen amends are made, if it did another saga cancels, or, where the definition names none, the cancel
    /// comes to nothing. The saga itself tells later: it is `compensating`, or `cancelled_by` another.
    #[schema(example = "compensating")]
    pub effect: &'static str,
    /// The saga that cancels, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, required = false)]
    pub forward_saga_id: Option<SagaId>,
}

impl CancelRequest {
    /// By whom and why, within their bounds.
    ///
    /// # Errors
    /// `invalid_reason`.
    pub fn checked(self) -> Result<(String, String), Problem> {
        let by = self.by.unwrap_or_else(|| BY_DEFAULT.to_owned());
        let reason = self.reason.unwrap_or_default();
        check_reason("/by", &by)?;
        check_reason("/reason", &reason)?;
        Ok((by, reason))
    }
}

/// Start a saga.
#[utoipa::path(post, path = "/v1/sagas", tag = "sagas", params(IdempotencyKeyHeader), request_body = NewSaga,
    responses(
        (status = 202, description = "Accepted; ask for it at Location", body = AcceptedSaga,
            headers(("Location" = String))),
        (status = 404, description = "`definition_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn start_saga(
    State(api): State<Api>,
    key: IdempotencyKey,
    JsonBody { body, .. }: JsonBody<NewSaga>,
) -> Outcome {
    check(&body)?;
    let saga_id = SagaId(key.id("POST /v1/sagas"));
    let NewSaga { definition, version, input, tags, start_at, priority } = body;
    let tags = tags.into_iter().collect();
    let priority = priority.and_then(Priority::new).unwrap_or_default();
    let start = StartSaga { saga_id, definition, version, input, tags, start_at, priority, parent: None };
    let _started: SagaView =
        api.asking.owner(saga_id, PartitionVerb::Start, &start).await.map_err(|problem| key.explain(problem))?;
    let accepted = AcceptedSaga { saga_id, status: SagaStatus::Running };
    located(StatusCode::ACCEPTED, &format!("/v1/sagas/{saga_id}"), accepted)
}

fn check(body: &NewSaga) -> Result<(), Problem> {
    let mut faults = Vec::new();
    let mut fault = |pointer: String, message: String| faults.push(FieldError { pointer, message });
    let plain = format!("must be lower-case letters, digits, - and _, letter first, at most {NAME_BYTES_MAX} bytes");
    if !is_plain_name(&body.definition) {
        fault("/definition".to_owned(), plain.clone());
    }
    if body.version == Some(0) {
        fault("/version".to_owned(), "versions are counted from one".to_owned());
    }
    if body.tags.len() > TAGS_MAX {
        fault("/tags".to_owned(), format!("at most {TAGS_MAX} tags"));
    }
    for (index, _) in body.tags.iter().enumerate().filter(|(_, tag)| !is_plain_name(tag)) {
        fault(format!("/tags/{index}"), plain.clone());
    }
    if body.start_at.is_some_and(|at| at - Utc::now() > TimeDelta::days(START_AHEAD_DAYS_MAX)) {
        fault("/start_at".to_owned(), format!("at most {START_AHEAD_DAYS_MAX} days ahead"));
    }
    if body.priority.is_some_and(|priority| Priority::new(priority).is_none()) {
        fault("/priority".to_owned(), format!("a number from 0 to {}", Priority::MAX));
    }
    if !faults.is_empty() {
        return Err(Problem::invalid("invalid_saga", "The saga cannot be started so; see errors.").with_errors(faults));
    }
    let size = serde_json::to_vec(&body.input).map_or(usize::MAX, |json| json.len());
    if size > SAGA_INPUT_BYTES_MAX {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            "input_too_large",
            format!("The input has {size} bytes; at most {SAGA_INPUT_BYTES_MAX} are taken."),
        ));
    }
    Ok(())
}

/// Read a saga.
#[utoipa::path(get, path = "/v1/sagas/{saga_id}", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The saga", body = SagaDocument),
        (status = 404, description = "`saga_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_saga(State(api): State<Api>, PathOf(saga_id): PathOf<SagaId>) -> Outcome {
    let saga: SagaView = api.asking.owner(saga_id, PartitionVerb::Get, &SagaRef { saga_id }).await?;
    ok(saga)
}

/// Which facts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HistoryPlace {
    /// Only those behind this one: the `sequence` of the last fact of the page before, which is its `next_cursor`.
    #[param(minimum = 0)]
    after: Option<u64>,
    /// Facts on a page, 1 to 1000; 1000 unless given. A page of large facts may hold fewer.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Read what happened to a saga, fact by fact.
#[utoipa::path(get, path = "/v1/sagas/{saga_id}/history", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which"), HistoryPlace),
    responses(
        (status = 200, description = "Facts, oldest first; with `next_cursor` while there are more. The first is `history_trimmed`, with their `count`, when the oldest are past keeping", body = Page<HistoryEntryDocument>),
        (status = 404, description = "`saga_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_saga_history(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    QueryOf(place): QueryOf<HistoryPlace>,
) -> Outcome {
    let limit = place.limit.unwrap_or(HISTORY_PAGE_MAX);
    if !(1..=HISTORY_PAGE_MAX).contains(&limit) {
        let message = format!("limit is a number from 1 to {HISTORY_PAGE_MAX}.");
        return Err(ApiProblem::bad_request("invalid_query", message));
    }
    let query = HistoryQuery { saga_id, after: place.after.unwrap_or_default(), limit: Some(limit) };
    let HistoryPage { items, more } = api.asking.owner(saga_id, PartitionVerb::History, &query).await?;
    let next_cursor = items.last().filter(|_| more).map(|last| last.sequence.to_string());
    ok(WirePage { items, next_cursor })
}

/// Cancel a saga. Before its pivot it makes amends; afterwards its definition's cancellation saga is started; while the pivot is with a worker it
/// is `undecided` which. Asking twice is one cancellation, whoever asks: it is idempotent by itself, and answered as the first time. An
/// `Idempotency-Key` is not needed and not looked at; the first request's `reason` and `by` stand in the history.
#[utoipa::path(post, path = "/v1/sagas/{saga_id}/cancel", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which")), request_body = Option<CancelRequest>,
    responses(
        (status = 202, description = "Accepted", body = CancelledSaga, headers(("Location" = String))),
        (status = 404, description = "`saga_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`past_pivot`: it only goes forward now or is completed, and its definition names no saga that cancels it; `illegal_here`: an operator has ended it as it stood", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn cancel_saga(
    State(api): State<Api>,
    PathOf(saga_id): PathOf<SagaId>,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    let (by, reason) = request.checked()?;
    let cancellation: Cancellation =
        api.asking.owner(saga_id, PartitionVerb::Cancel, &CancelSaga { saga_id, by, reason, parent: None }).await?;
    let (answer, watch) = match cancellation {
        Cancellation::Compensating { saga_id } => {
            (CancelledSaga { saga_id, effect: "compensating", forward_saga_id: None }, saga_id)
        }
        Cancellation::Forward { saga_id, forward_saga_id } => {
            (CancelledSaga { saga_id, effect: "forward", forward_saga_id: Some(forward_saga_id) }, forward_saga_id)
        }
        Cancellation::Undecided { saga_id, .. } => {
            (CancelledSaga { saga_id, effect: "undecided", forward_saga_id: None }, saga_id)
        }
    };
    located(StatusCode::ACCEPTED, &format!("/v1/sagas/{watch}"), answer)
}
