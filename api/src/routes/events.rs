//! Events of the catalog: passed on to the events context.

use amends_schemas::ids::EventId;
use amends_schemas::money::Money;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::documents::{MoneyDocument, Page};
use crate::extract::{JsonBody, PathOf, QueryOf};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::problems::ProblemDocument;
use crate::routes::paging::{as_page, page, without_nulls};
use crate::state::{Api, Outcome, located, ok};

const CONTEXT: &str = "events";

/// An event to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checks the shape at the door; the document goes on as it came")]
pub struct NewEvent {
    /// What it is called.
    #[schema(min_length = 1, max_length = 200, example = "RustConf")]
    title: String,
    /// When it starts.
    starts_at: DateTime<Utc>,
    /// When it ends.
    ends_at: DateTime<Utc>,
    /// IANA name of the zone its clock stands in.
    #[schema(example = "Europe/Paris")]
    timezone: String,
    /// Seats.
    #[schema(minimum = 1)]
    capacity: u32,
    /// What a seat costs, tax included; null or absent is free.
    #[schema(value_type = Option<MoneyDocument>)]
    price: Option<Money>,
    /// The rate of tax within the price as a fraction: `0.20` is 20 %.
    #[schema(value_type = Option<String>, example = "0.20")]
    tax_rate: Option<Value>,
    /// What is given back to a person who cancels; all of it unless said otherwise.
    #[schema(value_type = Option<CancellationPolicy>)]
    cancellation: Option<Value>,
    /// Who invites.
    #[schema(value_type = Option<Organizer>)]
    organizer: Option<Value>,
}

/// What is to be changed; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checks the shape at the door; the document goes on as it came")]
pub struct EventChanges {
    /// What it is called.
    #[schema(min_length = 1, max_length = 200)]
    title: Option<String>,
    /// When it starts.
    starts_at: Option<DateTime<Utc>>,
    /// When it ends.
    ends_at: Option<DateTime<Utc>>,
    /// IANA name of the zone its clock stands in.
    timezone: Option<String>,
    /// Seats.
    #[schema(minimum = 1)]
    capacity: Option<u32>,
    /// What a seat costs; null makes it free.
    #[schema(value_type = Option<MoneyDocument>)]
    price: Option<Money>,
    /// The rate of tax within the price; null for none of its own.
    #[schema(value_type = Option<String>)]
    tax_rate: Option<Value>,
    /// What is given back to a person who cancels.
    #[schema(value_type = Option<CancellationPolicy>)]
    cancellation: Option<Value>,
    /// Who invites; null for nobody in particular.
    #[schema(value_type = Option<Organizer>)]
    organizer: Option<Value>,
}

/// What a person gets back who cancels.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[serde(tag = "policy")]
pub enum CancellationPolicy {
    /// All of it, at any time.
    Full,
    /// All but a fee.
    Fee {
        /// What is kept.
        fee: MoneyDocument,
    },
    /// All of it until so many hours before the start, nothing afterwards.
    Deadline {
        /// Hours before the start.
        #[schema(minimum = 0)]
        deadline_hours: u32,
    },
}

/// Who invites.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub struct Organizer {
    /// As people read it.
    name: String,
}

/// An event.
#[derive(ToSchema)]
#[schema(as = Event)]
#[expect(dead_code, reason = "only described")]
pub struct EventDocument {
    /// Its id.
    event_id: Uuid,
    /// Where it stands.
    status: EventStatus,
    /// What it is called.
    title: String,
    /// When it starts.
    starts_at: DateTime<Utc>,
    /// When it ends.
    ends_at: DateTime<Utc>,
    /// IANA name of the zone its clock stands in.
    timezone: String,
    /// Seats.
    capacity: u32,
    /// Confirmed registrations the catalog has heard of; it may lag by moments.
    seats_sold: u32,
    /// What a seat costs; null is free.
    #[schema(required)]
    price: Option<MoneyDocument>,
    /// The rate of tax within the price.
    #[schema(required)]
    tax_rate: Option<String>,
    /// What is given back to a person who cancels.
    cancellation: CancellationPolicy,
    /// Who invites.
    #[schema(required)]
    organizer: Option<Organizer>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
    /// Counts changes, from 1.
    version: u64,
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only with this status.
    #[param(inline)]
    status: Option<EventStatus>,
    /// Where the last page ended.
    cursor: Option<String>,
    /// Items on a page, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, Deserialize, serde::Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// Only its organiser knows it.
    Draft,
    /// Open for registration.
    Published,
    /// Takes place, but nobody registers any more.
    Closed,
    /// It is over.
    Ended,
    /// It will not take place.
    Cancelled,
}

/// Create an event, as a draft.
#[utoipa::path(post, path = "/v1/events", tag = "events", params(IdempotencyKeyHeader), request_body = NewEvent,
    responses(
        (status = 201, description = "A draft", body = EventDocument, headers(("Location" = String))),
        (status = 409, description = "`idempotency_key_reused`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn create_event(
    State(api): State<Api>,
    key: IdempotencyKey,
    JsonBody { document, .. }: JsonBody<NewEvent>,
) -> Outcome {
    let event_id = key.id("POST /v1/events");
    let created: Value = api
        .asking
        .context(CONTEXT, "create", &with_id(document, event_id))
        .await
        .map_err(|problem| key.explain(problem))?;
    located(StatusCode::CREATED, &format!("/v1/events/{event_id}"), created)
}

/// List events.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, description = "A page", body = Page<EventDocument>)))]
pub async fn list_events(State(api): State<Api>, QueryOf(query): QueryOf<EventQuery>) -> Outcome {
    let (cursor, limit) = page(query.cursor, query.limit)?;
    let question = without_nulls(json!({"status": query.status, "cursor": cursor, "limit": limit}));
    ok(as_page(api.asking.context(CONTEXT, "list", &question).await?))
}

/// Read an event.
#[utoipa::path(get, path = "/v1/events/{event_id}", tag = "events",
    params(("event_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The event", body = EventDocument),
        (status = 404, description = "`event_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_event(State(api): State<Api>, PathOf(event_id): PathOf<EventId>) -> Outcome {
    ok(event(&api, event_id).await?)
}

/// Change an event.
#[utoipa::path(patch, path = "/v1/events/{event_id}", tag = "events", request_body = EventChanges,
    params(("event_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The event as it is now", body = EventDocument),
        (status = 404, description = "`event_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "Its status or the seats sold do not allow it", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn update_event(
    State(api): State<Api>,
    PathOf(event_id): PathOf<EventId>,
    JsonBody { document, .. }: JsonBody<EventChanges>,
) -> Outcome {
    let updated: Value = api.asking.context(CONTEXT, "update", &with_id(document, event_id.uuid())).await?;
    ok(updated)
}

/// Open an event for registration. Doing it twice is doing it once.
#[utoipa::path(post, path = "/v1/events/{event_id}/publish", tag = "events",
    params(("event_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The event, published", body = EventDocument),
        (status = 404, description = "`event_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "Its status does not allow it", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn publish_event(State(api): State<Api>, PathOf(event_id): PathOf<EventId>) -> Outcome {
    transition(&api, event_id, "publish").await
}

/// Take no more registrations for an event. Doing it twice is doing it once.
#[utoipa::path(post, path = "/v1/events/{event_id}/close", tag = "events",
    params(("event_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The event, closed", body = EventDocument),
        (status = 404, description = "`event_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "Its status does not allow it", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn close_event(State(api): State<Api>, PathOf(event_id): PathOf<EventId>) -> Outcome {
    transition(&api, event_id, "close").await
}

/// Call an event off. Doing it twice is doing it once.
#[utoipa::path(post, path = "/v1/events/{event_id}/cancel", tag = "events",
    params(("event_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The event, cancelled", body = EventDocument),
        (status = 404, description = "`event_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "Its status does not allow it", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn cancel_event(State(api): State<Api>, PathOf(event_id): PathOf<EventId>) -> Outcome {
    transition(&api, event_id, "cancel").await
}

/// The event as its context tells it.
///
/// # Errors
/// `event_not_found`, `events_unavailable`.
pub async fn event(api: &Api, event_id: EventId) -> Result<Value, amends_schemas::problem::Problem> {
    api.asking.context(CONTEXT, "get", &json!({"event_id": event_id})).await
}

async fn transition(api: &Api, event_id: EventId, endpoint: &str) -> Outcome {
    let event: Value = api.asking.context(CONTEXT, endpoint, &json!({"event_id": event_id})).await?;
    ok(event)
}

fn with_id(mut document: Value, event_id: Uuid) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.insert("event_id".to_owned(), json!(event_id));
    }
    document
}
