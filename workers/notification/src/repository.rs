//! Where deliveries are kept: the only SurrealQL of this context.

use amends_schemas::ids::{DeliveryId, RegistrationId};
use amends_sdk::database::{Database, DatabaseError, ErrorKind};
use amends_sdk::{Paging, UnitOfWork};
use serde_json::json;

use crate::domain::Delivery;

/// Tables. `position` is the time of creation followed by the id: one index orders lists and ends pages.
pub(crate) const SCHEMA: &str = "
DEFINE TABLE IF NOT EXISTS delivery SCHEMALESS;
DEFINE INDEX IF NOT EXISTS delivery_by_position ON delivery FIELDS position UNIQUE;
DEFINE INDEX IF NOT EXISTS delivery_by_registration ON delivery FIELDS registration_id, position;
";

/// How often a write of its own is repeated when another got in between. Nobody else writes this row, so that one
/// repeat is already more than expected; giving up would send the message again.
const STORE_ATTEMPTS_MAX: u32 = 5;

/// The delivery of this id, as it is now.
pub(crate) async fn find(database: &Database, delivery_id: DeliveryId) -> Result<Option<Delivery>, DatabaseError> {
    database.query("RETURN type::record('delivery', $id).document", json!({"id": delivery_id})).await?.take_first(0)
}

/// Stores a delivery in a commit of its own.
pub(crate) async fn store(database: &Database, delivery: &Delivery) -> Result<(), DatabaseError> {
    let bindings = json!({
        "id": delivery.delivery_id, "position": position(delivery),
        "registration_id": delivery.registration_id, "document": delivery,
    });
    let mut attempt = 1;
    loop {
        let stored = database
            .query(
                "UPSERT type::record('delivery', $id)
                 CONTENT { position: $position, registration_id: $registration_id, document: $document } RETURN NONE",
                &bindings,
            )
            .await;
        match stored {
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < STORE_ATTEMPTS_MAX => attempt += 1,
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The deliveries of a page, newest first.
pub(crate) async fn list(
    work: &mut UnitOfWork,
    registration_id: Option<RegistrationId>,
    paging: &Paging,
) -> Result<Vec<Delivery>, DatabaseError> {
    let of_registration = if registration_id.is_some() { "registration_id = $registration_id AND" } else { "" };
    work.query(
        &format!(
            "SELECT VALUE document FROM
                (SELECT document, position FROM delivery WHERE {of_registration} position < $before
                 ORDER BY position DESC LIMIT $limit)"
        ),
        json!({"registration_id": registration_id, "before": paging.before(), "limit": paging.row_limit()}),
    )
    .await?
    .take(0)
}

/// Its place in lists: sorts as text like its time of creation.
pub(crate) fn position(delivery: &Delivery) -> String {
    format!("{}/{}", delivery.created_at.format("%Y-%m-%dT%H:%M:%SZ"), delivery.delivery_id)
}
