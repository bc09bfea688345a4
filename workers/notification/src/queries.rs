//! What the API asks: deliveries, newest first.

use amends_schemas::ids::RegistrationId;
use amends_schemas::limits::{NAME_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX};
use amends_schemas::problem::Problem;
use amends_schemas::saga::Page;
use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, UnitOfWork};
use serde::{Deserialize, Serialize};

use crate::domain::Delivery;
use crate::repository;

/// Which page of deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRequest {
    /// Only this registration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_id: Option<RegistrationId>,
    /// Where the last page ended; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many; bounded by [`PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `amends.ctx.notification.list`.
#[derive(Debug, Clone, Copy)]
pub struct ListDeliveries;

impl Endpoint for ListDeliveries {
    const NAME: &'static str = "list";
    type Request = ListRequest;
    type Response = Page<Delivery>;

    async fn handle(&self, work: &mut UnitOfWork, request: ListRequest) -> Result<Page<Delivery>, EndpointError> {
        // A cursor is a place in an order: one that we did not give out still only says where to begin.
        if request.cursor.as_ref().is_some_and(|cursor| cursor.len() > NAME_BYTES_MAX) {
            return Err(Problem::invalid("invalid_cursor", "pass `cursor` as it came in `next_cursor`").into());
        }
        let limit = request.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let mut items = repository::list(work, request.registration_id, request.cursor.as_deref(), limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(repository::position);
        Ok(Page { items, next_cursor })
    }
}
