//! What bulk operations need of the world.

use amends_schemas::bulk::{BulkOperation, BulkStatus, ListBulk};
use amends_schemas::ids::{BulkId, SagaId};
use amends_schemas::operate::OperateSaga;
use amends_schemas::problem::Problem;
use amends_schemas::saga::{CancelSaga, Page};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ports::StoreError;

/// A bulk operation with how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BulkRecord {
    /// As people read it.
    pub operation: BulkOperation,
    /// Sagas that have been taken up and of which nothing is known yet.
    pub page: Vec<SagaId>,
    /// Where the next page begins; the first page when there is none.
    pub cursor: Option<String>,
    /// There is no next page.
    pub exhausted: bool,
    /// One more with each change; from one.
    #[serde(skip)]
    pub revision: u64,
}

impl BulkRecord {
    /// Whether somebody is to go on with it.
    pub fn is_running(&self) -> bool {
        self.operation.status == BulkStatus::Running
    }
}

/// Holds bulk operations. All methods may be called from many tasks and processes at once.
#[async_trait]
pub trait BulkStore: Send + Sync + 'static {
    /// Adds one. When there is one of this id already, that one is given back and nothing is changed.
    async fn create_bulk(&self, record: &BulkRecord) -> Result<Option<BulkRecord>, StoreError>;

    /// One, as it is now.
    async fn load_bulk(&self, bulk_id: BulkId) -> Result<Option<BulkRecord>, StoreError>;

    /// A page, the latest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that no page gave.
    async fn list_bulk(&self, query: &ListBulk) -> Result<Page<BulkOperation>, StoreError>;

    /// Those that are to go on, the earliest first; at most so many.
    async fn running_bulk(&self, most: usize) -> Result<Vec<BulkRecord>, StoreError>;

    /// Puts a record in the place of the one of the revision before; `false` when somebody else has changed it since. After
    /// [`StoreError::Unavailable`] it is unknown whether it did.
    async fn replace_bulk(&self, record: &BulkRecord) -> Result<bool, StoreError>;
}

/// Asks the owners of partitions. Every request may be sent again.
#[async_trait]
pub trait Operators: Send + Sync + 'static {
    /// Has a saga operated.
    ///
    /// # Errors
    /// The owner's problem; of the kind `Unavailable` when nobody answers, and it is unknown whether it was done.
    async fn operate(&self, request: &OperateSaga) -> Result<(), Problem>;

    /// Has a saga cancelled.
    ///
    /// # Errors
    /// As [`Operators::operate`].
    async fn cancel(&self, request: &CancelSaga) -> Result<(), Problem>;
}
