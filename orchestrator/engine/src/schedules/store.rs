//! What schedules need of a store.

use amends_core::schedule::Schedule;
use amends_schemas::saga::Page;
use amends_schemas::schedule::{ListSchedules, ScheduleSummary};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::ports::StoreError;

/// A schedule that is due, by name; or why it cannot be read.
pub type DueSchedule = (String, Result<Schedule, StoreError>);

/// Holds schedules. All methods may be called from many tasks and processes at once.
#[async_trait]
pub trait ScheduleStore: Send + Sync + 'static {
    /// One schedule, also a deleted one.
    async fn schedule(&self, name: &str) -> Result<Option<Schedule>, StoreError>;

    /// Writes a schedule over the one that was written [`Schedule::writes`] times (zero: where there is none), and counts one more;
    /// `false` when somebody else has written meanwhile. After [`StoreError::Unavailable`] nobody knows: read it again.
    async fn put_schedule(&self, schedule: &Schedule) -> Result<bool, StoreError>;

    /// A page of those that are not deleted, by name.
    async fn list_schedules(&self, query: &ListSchedules) -> Result<Page<ScheduleSummary>, StoreError>;

    /// How many are not deleted.
    async fn count_schedules(&self) -> Result<usize, StoreError>;

    /// Up to `limit` of those whose next time is not after `now`, by name and after the name `after`; one that cannot be read does not
    /// keep the others.
    async fn due_schedules(
        &self,
        now: DateTime<Utc>,
        after: &str,
        limit: usize,
    ) -> Result<Vec<DueSchedule>, StoreError>;

    /// Forgets those that were deleted before.
    async fn forget_schedules(&self, before: DateTime<Utc>) -> Result<(), StoreError>;
}
