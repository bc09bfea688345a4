//! What the API asks: deliveries, newest first.

use amends_schemas::ids::RegistrationId;
use amends_schemas::saga::Page;
use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, Paging, UnitOfWork};
use serde::{Deserialize, Serialize};
use serde_json::json;

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
    /// At most this many; bounded as [`Paging`] says.
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
        let question = json!(["deliveries", request.registration_id]);
        let paging = Paging::new(&question, request.cursor.as_deref(), request.limit)?;
        let found = repository::list(work, request.registration_id, &paging).await?;
        Ok(paging.page(found, repository::position))
    }
}
