//! The orchestrator's store, counted: how many commits, how many bytes, and which sagas have just been completed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use amends_core::event::Fact;
use amends_engine::ports::{JournalRecord, Store, StoreError, StoredSaga};
use amends_schemas::ids::{PartitionId, SagaId};
use amends_test_support::store::Interceptor;
use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::control::JournalCount;

/// Records read back at once when their bytes are counted.
const READ_AT_ONCE: u64 = 64;

/// Counts what is written, and tells of sagas whose completion is on disk.
pub struct Counting {
    record_count: AtomicU64,
    projection_count: AtomicU64,
    completed: mpsc::UnboundedSender<SagaId>,
    /// Records written and not yet counted in bytes.
    uncounted: Mutex<Vec<(PartitionId, u64)>>,
    entry_bytes: AtomicU64,
}

impl Counting {
    /// Ids of completed sagas go to `completed` as soon as the record is committed.
    pub fn new(completed: mpsc::UnboundedSender<SagaId>) -> Self {
        Self {
            record_count: AtomicU64::default(),
            projection_count: AtomicU64::default(),
            completed,
            uncounted: Mutex::default(),
            entry_bytes: AtomicU64::default(),
        }
    }

    /// The counts so far. Bytes are counted by reading the records back from `store`, so that counting costs nothing while it is measured.
    pub async fn count(&self, store: &dyn Store) -> Result<JournalCount, StoreError> {
        let mut uncounted = std::mem::take(&mut *self.uncounted.lock().unwrap_or_else(PoisonError::into_inner));
        uncounted.sort_unstable();
        for chunk in uncounted.chunk_by(|(one, _), (other, _)| one == other) {
            let positions: Vec<u64> = chunk.iter().map(|(_, position)| *position).collect();
            for positions in positions.chunks(READ_AT_ONCE as usize) {
                for record in store.records(chunk[0].0, positions).await? {
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
impl Interceptor for Counting {
    async fn append(&self, store: &dyn Store, record: &JournalRecord) -> Result<(), StoreError> {
        store.append(record).await?;
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
        store: &dyn Store,
        partition: PartitionId,
        (epoch, checkpoint): (u64, u64),
        sagas: &[StoredSaga],
    ) -> Result<(), StoreError> {
        self.projection_count.fetch_add(1, Ordering::Relaxed);
        store.project(partition, epoch, checkpoint, sagas).await
    }
}
