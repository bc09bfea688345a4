//! Who serves what, and what waits to be served: asked of any orchestrator.

use amends_schemas::presence::{ContractPresence, QueueView, QueuesView, WorkersView};
use amends_schemas::subjects::{ORCHESTRATOR_QUEUES, ORCHESTRATOR_WORKERS};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use crate::documents::{QueuesDocument, WorkersDocument};
use crate::state::{Api, Outcome, ok};

#[derive(Serialize)]
struct Workers {
    watched_since: Option<DateTime<Utc>>,
    looked_at: Option<DateTime<Utc>>,
    items: Vec<ContractPresence>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Queues {
    measured_at: DateTime<Utc>,
    items: Vec<QueueView>,
    next_cursor: Option<String>,
}

/// Say who serves which contract, and since when nobody does. What an orchestrator has seen since it started; several may differ.
#[utoipa::path(get, path = "/v1/workers", tag = "operations",
    responses((status = 200, description = "All of them, by contract", body = WorkersDocument)))]
pub async fn list_workers(State(api): State<Api>) -> Outcome {
    let WorkersView { watched_since, looked_at, items } =
        api.asking.orchestrator(ORCHESTRATOR_WORKERS, &json!({})).await?;
    ok(Workers { watched_since, looked_at, items, next_cursor: None })
}

/// Say how many commands wait for workers, are with them, came more than once, and since when.
#[utoipa::path(get, path = "/v1/queues", tag = "operations",
    responses((status = 200, description = "All of them, by contract", body = QueuesDocument)))]
pub async fn list_queues(State(api): State<Api>) -> Outcome {
    let QueuesView { measured_at, items } = api.asking.orchestrator(ORCHESTRATOR_QUEUES, &json!({})).await?;
    ok(Queues { measured_at, items, next_cursor: None })
}
