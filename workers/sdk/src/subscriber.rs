//! Listens to other contexts' domain events.

use std::future::Future;

use amends_database::DatabaseError;
use amends_schemas::event::CloudEvent;
use serde::de::DeserializeOwned;

use crate::work::UnitOfWork;

/// Serves one type of domain event. Called once per event id (the inbox skips repeats), in any order: compare
/// `event.sequence` with what you hold. An error leaves the event unacknowledged; it comes again.
pub trait Subscriber: Send + Sync + 'static {
    /// Its CloudEvents type, such as `events.EventPublished.v1`.
    const EVENT: &'static str;

    /// The facts this context cares for; unknown members are ignored.
    type Data: DeserializeOwned + Send;

    /// Takes it in. The inbox key commits with the unit of work.
    fn handle(
        &self,
        work: &mut UnitOfWork,
        event: &CloudEvent,
        data: Self::Data,
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send;
}
