//! An orchestrator's store with somebody between: what is written is counted, or held back until its moment.

use std::sync::Arc;

use amends_engine::ports::{JournalRecord, ParkedFacts, Recovered, Rekeyed, StandingOf, Store, StoreError, StoredSaga};
use amends_engine::retention::Retain;
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use amends_schemas::saga::{ListSagas, Page, SagaSummary};
use amends_schemas::search::{SagaCount, SagaCounts, SagaFilter};
use async_trait::async_trait;

/// Who stands between an engine and its store. Errors are those of [`Store`].
#[async_trait]
pub trait Interceptor: Send + Sync + 'static {
    /// In place of [`Store::append`].
    async fn append(&self, store: &dyn Store, record: &JournalRecord) -> Result<(), StoreError>;

    /// In place of [`Store::project`].
    async fn project(
        &self,
        store: &dyn Store,
        partition: PartitionId,
        (epoch, checkpoint): (u64, u64),
        sagas: &[StoredSaga],
    ) -> Result<(), StoreError>;
}

/// A store whose writes go through an [`Interceptor`]; everything else goes straight to what is within.
pub struct Intercepted<I> {
    inner: Arc<dyn Store>,
    /// Who stands between.
    pub interceptor: I,
}

impl<I: Interceptor> Intercepted<I> {
    /// Puts `interceptor` before `inner`.
    pub fn new(inner: Arc<dyn Store>, interceptor: I) -> Self {
        Self { inner, interceptor }
    }
}

#[async_trait]
impl<I: Interceptor> Store for Intercepted<I> {
    async fn establish(
        &self,
        requested: Option<PartitionCount>,
        default: PartitionCount,
    ) -> Result<PartitionCount, StoreError> {
        self.inner.establish(requested, default).await
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }

    fn default_partition_count(&self) -> PartitionCount {
        self.inner.default_partition_count()
    }

    async fn recover(&self, partition: PartitionId) -> Result<Recovered, StoreError> {
        self.inner.recover(partition).await
    }

    async fn append(&self, record: &JournalRecord) -> Result<(), StoreError> {
        self.interceptor.append(&*self.inner, record).await
    }

    async fn project(
        &self,
        partition: PartitionId,
        epoch: u64,
        checkpoint: u64,
        sagas: &[StoredSaga],
    ) -> Result<(), StoreError> {
        self.interceptor.project(&*self.inner, partition, (epoch, checkpoint), sagas).await
    }

    async fn park(&self, partition: PartitionId, epoch: u64, parked: &[ParkedFacts]) -> Result<(), StoreError> {
        self.inner.park(partition, epoch, parked).await
    }

    fn surely_absent(&self, saga_id: SagaId) -> bool {
        self.inner.surely_absent(saga_id)
    }

    async fn load(&self, saga_id: SagaId) -> Result<Option<StoredSaga>, StoreError> {
        self.inner.load(saga_id).await
    }

    async fn list(&self, query: &ListSagas) -> Result<Page<SagaSummary>, StoreError> {
        self.inner.list(query).await
    }

    async fn count(&self, filter: &SagaFilter) -> Result<SagaCount, StoreError> {
        self.inner.count(filter).await
    }

    async fn counts(&self) -> Result<SagaCounts, StoreError> {
        self.inner.counts().await
    }

    async fn rekey(&self, standing: StandingOf<'_>) -> Result<Rekeyed, StoreError> {
        self.inner.rekey(standing).await
    }

    async fn records(&self, partition: PartitionId, positions: &[u64]) -> Result<Vec<JournalRecord>, StoreError> {
        self.inner.records(partition, positions).await
    }

    fn retention(&self) -> &dyn Retain {
        self.inner.retention()
    }
}
