//! Messages to people: passed on to the notification context.

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::documents::{NotificationDocument, Page};
use crate::extract::QueryOf;
use crate::routes::paging::{as_page, page, without_nulls};
use crate::state::{Api, Outcome, ok};

const CONTEXT: &str = "notification";

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NotificationQuery {
    /// Only about this registration.
    registration_id: Option<Uuid>,
    /// Where the last page ended.
    cursor: Option<String>,
    /// Items on a page, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// List messages and what became of them.
#[utoipa::path(get, path = "/v1/notifications", tag = "notifications", params(NotificationQuery),
    responses((status = 200, description = "A page", body = Page<NotificationDocument>)))]
pub async fn list_notifications(State(api): State<Api>, QueryOf(query): QueryOf<NotificationQuery>) -> Outcome {
    let (cursor, limit) = page(query.cursor, query.limit)?;
    let question = without_nulls(json!({"registration_id": query.registration_id, "cursor": cursor, "limit": limit}));
    ok(as_page(api.asking.context(CONTEXT, "list", &question).await?))
}
