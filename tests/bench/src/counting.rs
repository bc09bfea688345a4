//! The orchestrator's store, counted: how many commits, how many bytes, and which sagas have just been completed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use amends_core::event::Fact;
use amends_engine::ports::{JournalRecord, ParkedFacts, Recovered, Rekeyed, StandingOf, Store, StoreError, StoredSaga};
use amends_engine::retention::Retain;
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use amends_schemas::saga::{ListSagas, Page, SagaSummary};
use amends_schemas::search::{SagaCount, SagaCounts, SagaFilter};
use amends_store::SurrealStore;
use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::control::JournalCount;

/// Records read back at once when their bytes are counted.
const READ_AT_ONCE: u64 = 64;

/// A store that counts, and tells of sagas whose completion is on disk.
pub struct CountingStore {
    inner: SurrealStore,
    record_count: AtomicU64,
    projection_count: AtomicU64,
    completed: mpsc::UnboundedSender<SagaId>,
    /// Records written and not yet counted in bytes.
    uncounted: Mutex<Vec<(PartitionId, u64)>>,
    entry_bytes: AtomicU64,
}

impl CountingStore {
    /// Around `inner`; ids of completed sagas go to `completed` as soon as the record is committed.
    pub fn new(inner: SurrealStore, completed: mpsc::UnboundedSender<SagaId>) -> Self {
        Self {
            inner,
            record_count: AtomicU64::default(),
            projection_count: AtomicU64::default(),
            completed,
            uncounted: Mutex::default(),
            entry_bytes: AtomicU64::default(),
        }
    }

    /// The counts so far. Bytes are counted by reading the records back, so that counting costs nothing while it is measured.
    pub async fn count(&self) -> Result<JournalCount, StoreError> {
        let mut uncounted = std::mem::take(&mut *self.uncounted.lock().unwrap_or_else(PoisonError::into_inner));
        uncounted.sort_unstable();
        for chunk in uncounted.chunk_by(|(one, _), (other, _)| one == other) {
            let positions: Vec<u64> = chunk.iter().map(|(_, position)| *position).collect();
            for positions in positions.chunks(READ_AT_ONCE as usize) {
                for record in self.inner.records(chunk[0].0, positions).await? {
                    let bytes = rmp_serde::to_vec_named(&record.entries).map_or(0, |bytes| bytes.len() as u64);
                    self.entry_bytes.fetch_add(bytes, Ordering::Relaxed);
                }
            }
        }
        Ok(JournalCount {
            record_count: self.record_count.load(Ordering::Relaxed),
            projection_count: self.projection_count.load(Ordering::Relaxed),
            entry_bytes: self.entry_bytes.load(Ordering::Relaxed),
        })
    }
}

#[async_trait]
impl Store for CountingStore {
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
        self.inner.append(record).await?;
        self.record_count.fetch_add(1, Ordering::Relaxed);
        self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).push((record.partition, record.position));
        for entry in &record.entries {
            if entry.events.iter().any(|event| matches!(event.fact, Fact::SagaCompleted { .. })) {
                // Nobody listens when the process ends.
                let _ = self.completed.send(entry.saga_id);
            }
        }
        Ok(())
    }

    async fn project(
        &self,
        partition: PartitionId,
        epoch: u64,
        checkpoint: u64,
        sagas: &[StoredSaga],
    ) -> Result<(), StoreError> {
        self.projection_count.fetch_add(1, Ordering::Relaxed);
        self.inner.project(partition, epoch, checkpoint, sagas).await
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
