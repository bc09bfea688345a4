//! Schedules: any orchestrator answers for them. Each verb takes an `Idempotency-Key`: the same key with the same body is done once and
//! answered as the first time.

use amends_schemas::contract::is_plain_name;
use amends_schemas::limits::NAME_BYTES_MAX;
use amends_schemas::problem::{FieldError, Problem};
use amends_schemas::saga::Page as WirePage;
use amends_schemas::schedule::{
    CatchUp, CreateSchedule, ListSchedules, OperateSchedule, SCHEDULE_NAME_BYTES_MAX, ScheduleAct, ScheduleChange,
    ScheduleOperated, ScheduleRef, ScheduleSpec, ScheduleSummary, ScheduleView, given, is_schedule_name,
};
use amends_schemas::subjects::{SCHEDULE_CREATE, SCHEDULE_GET, SCHEDULE_LIST, SCHEDULE_OPERATE};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::documents::{CatchUpDocument, Page, ScheduleDocument, ScheduleOperatedDocument, ScheduleSummaryDocument};
use crate::extract::{JsonBody, OptionalJsonBody, PathOf, QueryOf};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::problems::ProblemDocument;
use crate::routes::operate::explain;
use crate::routes::paging::page;
use crate::routes::sagas::CancelRequest;
use crate::state::{Api, Outcome, located, ok};

/// A schedule to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// Its id: lower-case letters, digits, `-` and `_`, at most 55 bytes.
    #[schema(pattern = "^[a-z][a-z0-9_-]{0,54}$", example = "nightly-report")]
    pub name: String,
    /// The definition whose sagas it starts.
    #[schema(pattern = "^[a-z][a-z0-9_-]{0,63}$")]
    pub definition: String,
    /// Its version; the newest at each time unless given.
    #[schema(minimum = 1)]
    pub version: Option<u32>,
    /// What every saga is started with; checked now against the definition's input schema.
    pub input: Value,
    /// The member of the input that is set to the time for which a saga is started (RFC 3339, UTC).
    #[schema(min_length = 1, max_length = 64)]
    pub time_member: Option<String>,
    /// Labels of every saga, besides `schedule_<name>`.
    #[serde(default)]
    #[schema(max_items = 15)]
    pub tags: Vec<String>,
    /// Minute, hour, day of month, month, day of week; six fields begin with the second.
    #[schema(max_length = 256, example = "30 2 * * *")]
    pub cron: String,
    /// IANA name of the zone in which `cron` is read; UTC unless given.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: Option<String>,
    /// What becomes of times that passed; `skip` unless given.
    #[schema(value_type = Option<CatchUpDocument>)]
    pub catch_up: Option<CatchUp>,
    /// Whether it starts nothing until it is resumed.
    #[serde(default)]
    pub paused: bool,
    /// Why, for the record.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
    /// Who, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// What is to be different; what is left out stays. Another `cron` or `time_zone` counts from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedSchedule {
    /// Another version; null: the newest at each time.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub version: Option<Option<u32>>,
    /// Another input.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Value, required = false)]
    pub input: Option<Value>,
    /// Another member for the time; null: none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    pub time_member: Option<Option<String>>,
    /// Other labels.
    #[schema(max_items = 15)]
    pub tags: Option<Vec<String>>,
    /// Other times.
    #[schema(max_length = 256)]
    pub cron: Option<String>,
    /// Another zone.
    pub time_zone: Option<String>,
    /// Another policy.
    #[schema(value_type = Option<CatchUpDocument>)]
    pub catch_up: Option<CatchUp>,
    /// Only while the schedule has this revision: 409 `schedule_changed` otherwise.
    #[schema(minimum = 1)]
    pub revision: Option<u64>,
    /// Why, for the record.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
    /// Who, for the record.
    #[schema(max_length = 1024)]
    pub by: Option<String>,
}

/// Which schedules.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ScheduleQuery {
    /// Where the last page ended.
    cursor: Option<String>,
    /// Items on a page, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// Why, and who.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Why, for the record.
    #[param(max_length = 1024)]
    reason: Option<String>,
    /// Who, for the record.
    #[param(max_length = 1024)]
    by: Option<String>,
}

/// Make a schedule.
#[utoipa::path(post, path = "/v1/schedules", tag = "schedules", params(IdempotencyKeyHeader), request_body = NewSchedule,
    responses(
        (status = 201, description = "It is there", body = ScheduleDocument, headers(("Location" = String))),
        (status = 404, description = "`definition_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`schedule_exists`: another has this name; `idempotency_key_reused`, `too_many_schedules`",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_cron`, `unknown_time_zone`, `invalid_schedule`, `invalid_input`, `invalid_tags`",
            body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub async fn create_schedule(
    State(api): State<Api>,
    key: IdempotencyKey,
    JsonBody { body, .. }: JsonBody<NewSchedule>,
) -> Outcome {
    check(&body)?;
    let (by, reason) = CancelRequest { reason: body.reason, by: body.by }.checked()?;
    let NewSchedule { name, definition, version, input, time_member, tags, cron, time_zone, catch_up, paused, .. } =
        body;
    let spec = ScheduleSpec {
        definition,
        version,
        input,
        time_member,
        tags: tags.into_iter().collect(),
        cron,
        time_zone: time_zone.unwrap_or_else(|| "UTC".to_owned()),
        catch_up: catch_up.unwrap_or_default(),
    };
    let operation_id = key.id(&format!("POST /v1/schedules {name}"));
    let request = CreateSchedule { name, operation_id, by, reason, paused, spec };
    let made: ScheduleView = api.asking.orchestrator(SCHEDULE_CREATE, &request).await.map_err(explain)?;
    located(StatusCode::CREATED, &format!("/v1/schedules/{}", made.name), made)
}

fn check(body: &NewSchedule) -> Result<(), Problem> {
    let mut faults = Vec::new();
    let mut fault = |pointer: &str, message: String| faults.push(FieldError { pointer: pointer.to_owned(), message });
    let plain =
        |bytes: usize| format!("must be lower-case letters, digits, - and _, letter first, at most {bytes} bytes");
    if !is_schedule_name(&body.name) {
        fault("/name", plain(SCHEDULE_NAME_BYTES_MAX));
    }
    if !is_plain_name(&body.definition) {
        fault("/definition", plain(NAME_BYTES_MAX));
    }
    if body.version == Some(0) {
        fault("/version", "versions are counted from one".to_owned());
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid("invalid_schedule", "The schedule cannot be made so; see errors.").with_errors(faults))
}

/// List schedules, by name.
#[utoipa::path(get, path = "/v1/schedules", tag = "schedules", params(ScheduleQuery),
    responses((status = 200, description = "A page", body = Page<ScheduleSummaryDocument>)))]
pub async fn list_schedules(State(api): State<Api>, QueryOf(query): QueryOf<ScheduleQuery>) -> Outcome {
    let (cursor, limit) = page(query.cursor, query.limit)?;
    let question = ListSchedules { cursor, limit: Some(limit) };
    let schedules: WirePage<ScheduleSummary> = api.asking.orchestrator(SCHEDULE_LIST, &question).await?;
    ok(schedules)
}

/// Read a schedule: what it starts and when, its next times, what it last started, what people did with it.
#[utoipa::path(get, path = "/v1/schedules/{name}", tag = "schedules",
    params(("name" = String, Path, description = "Which")),
    responses(
        (status = 200, description = "The schedule", body = ScheduleDocument),
        (status = 404, description = "`schedule_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_schedule(State(api): State<Api>, PathOf(name): PathOf<String>) -> Outcome {
    let schedule: ScheduleView = api.asking.orchestrator(SCHEDULE_GET, &ScheduleRef { name: named(name)? }).await?;
    ok(schedule)
}

/// Change a schedule: what it starts, or when.
#[utoipa::path(patch, path = "/v1/schedules/{name}", tag = "schedules",
    params(("name" = String, Path, description = "Which"), IdempotencyKeyHeader), request_body = ChangedSchedule,
    responses(
        (status = 200, description = "It is different", body = ScheduleOperatedDocument),
        (status = 404, description = "`schedule_not_found`, `definition_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`schedule_changed`: it has another revision by now; `idempotency_key_reused`",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_cron`, `unknown_time_zone`, `invalid_schedule`, `invalid_input`, `invalid_tags`",
            body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub async fn change_schedule(
    State(api): State<Api>,
    PathOf(name): PathOf<String>,
    key: IdempotencyKey,
    JsonBody { body, .. }: JsonBody<ChangedSchedule>,
) -> Outcome {
    let ChangedSchedule { version, input, time_member, tags, cron, time_zone, catch_up, revision, reason, by } = body;
    let tags = tags.map(|tags| tags.into_iter().collect());
    let change = ScheduleChange { version, input, time_member, tags, cron, time_zone, catch_up };
    operate(&api, name, &key, CancelRequest { reason, by }, ScheduleAct::Change { revision, change }).await
}

/// Delete a schedule. The sagas that it started go on.
#[utoipa::path(delete, path = "/v1/schedules/{name}", tag = "schedules",
    params(("name" = String, Path, description = "Which"), AuditQuery, IdempotencyKeyHeader),
    responses(
        (status = 200, description = "It is gone", body = ScheduleOperatedDocument),
        (status = 404, description = "`schedule_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn delete_schedule(
    State(api): State<Api>,
    PathOf(name): PathOf<String>,
    key: IdempotencyKey,
    QueryOf(AuditQuery { reason, by }): QueryOf<AuditQuery>,
) -> Outcome {
    operate(&api, name, &key, CancelRequest { reason, by }, ScheduleAct::Delete).await
}

/// Pause a schedule: it starts nothing until it is resumed, and what passes meanwhile is never caught up.
#[utoipa::path(post, path = "/v1/schedules/{name}/pause", tag = "schedules",
    params(("name" = String, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "It is paused", body = ScheduleOperatedDocument),
        (status = 404, description = "`schedule_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn pause_schedule(
    State(api): State<Api>,
    PathOf(name): PathOf<String>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    operate(&api, name, &key, request, ScheduleAct::Pause).await
}

/// Resume a schedule, from now on.
#[utoipa::path(post, path = "/v1/schedules/{name}/resume", tag = "schedules",
    params(("name" = String, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "It goes on", body = ScheduleOperatedDocument),
        (status = 404, description = "`schedule_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`illegal_here`, `idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn resume_schedule(
    State(api): State<Api>,
    PathOf(name): PathOf<String>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    operate(&api, name, &key, request, ScheduleAct::Resume).await
}

/// Start one saga now, whether the schedule is paused or not. Its times stay as they are.
#[utoipa::path(post, path = "/v1/schedules/{name}/run", tag = "schedules",
    params(("name" = String, Path, description = "Which"), IdempotencyKeyHeader),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "The saga is started", body = ScheduleOperatedDocument),
        (status = 404, description = "`schedule_not_found`, `definition_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "`idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn run_schedule(
    State(api): State<Api>,
    PathOf(name): PathOf<String>,
    key: IdempotencyKey,
    OptionalJsonBody(request): OptionalJsonBody<CancelRequest>,
) -> Outcome {
    operate(&api, name, &key, request, ScheduleAct::Run).await
}

async fn operate(api: &Api, name: String, key: &IdempotencyKey, request: CancelRequest, act: ScheduleAct) -> Outcome {
    let name = named(name)?;
    let (by, reason) = request.checked()?;
    let operation_id = key.id(&format!("{} /v1/schedules/{name}", act.verb().as_str()));
    let request = OperateSchedule { name, operation_id, by, reason, act };
    let operated: ScheduleOperated = api.asking.orchestrator(SCHEDULE_OPERATE, &request).await.map_err(explain)?;
    ok(operated)
}

/// A name that a schedule may have.
fn named(name: String) -> Result<String, Problem> {
    if is_schedule_name(&name) {
        Ok(name)
    } else {
        Err(Problem::not_found("schedule_not_found", "No schedule has a name like this."))
    }
}
