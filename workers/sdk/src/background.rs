//! What a context does by itself, from time to time.

use std::future::Future;
use std::time::Duration;

use amends_database::DatabaseError;

use crate::work::UnitOfWork;

/// Repeated work, such as releasing expired holds. Errors are logged and the next tick tries again. Bounded: one tick
/// handles one bounded batch.
pub trait Background: Send + Sync + 'static {
    /// For logs.
    const NAME: &'static str;

    /// Pause between ticks.
    const EVERY: Duration;

    /// One round. Returns whether there is more to do at once.
    fn tick(&self, work: &mut UnitOfWork) -> impl Future<Output = Result<bool, DatabaseError>> + Send;
}
