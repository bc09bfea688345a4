//! What is past keeping: out of the journal, slab by slab, then out of the view. Implements [`amends_engine::retention::Retain`].
//!
//! | table | record id | what |
//! |---|---|---|
//! | `truncation` | the partition | the last position that has been taken out of the journal |
//! | `history` | `[partition, saga, position]` | facts of one saga, moved out of the records of one slab that begins there |
//! | `trimmed` | `[partition, definition, settled at, saga]` | sagas without facts, in the order in which they may be removed |
//!
//! No row of a saga is written: which of its positions are still in the journal follows from the truncation alone.

mod cut;
mod expire;
mod history;
mod kept;
mod keys;
mod slab;

pub(crate) use history::truncated_upto;

use amends_core::event::Event;
use amends_engine::ports::StoreError;
use amends_engine::retention::{Cut, Cutoffs, Dropped, KeptPage, Retain, Slab, SlabBounds};
use amends_schemas::ids::{PartitionId, SagaId};
use async_trait::async_trait;

use crate::store::SurrealStore;

#[async_trait]
impl Retain for SurrealStore {
    async fn history(
        &self,
        partition: PartitionId,
        saga_id: SagaId,
        positions: &[u64],
        facts_max: usize,
    ) -> Result<Vec<Event>, StoreError> {
        history::history(self.database(), partition, saga_id, positions, facts_max).await
    }

    async fn oldest(&self, partition: PartitionId, upto: u64, bounds: SlabBounds) -> Result<Option<Slab>, StoreError> {
        slab::oldest(self.database(), partition, upto, bounds).await
    }

    async fn truncate(&self, partition: PartitionId, epoch: u64, cut: Cut<'_>) -> Result<(), StoreError> {
        cut::truncate(self.database(), partition, epoch, &cut).await
    }

    async fn kept(&self, partition: PartitionId, after: Option<SagaId>) -> Result<KeptPage, StoreError> {
        kept::kept(self.database(), partition, after).await
    }

    async fn drop_kept(&self, partition: PartitionId, epoch: u64, dropped: &[Dropped]) -> Result<(), StoreError> {
        kept::drop_kept(self.database(), partition, epoch, dropped).await
    }

    async fn expired(
        &self,
        partition: PartitionId,
        cutoffs: &Cutoffs,
        most: usize,
    ) -> Result<Vec<Dropped>, StoreError> {
        expire::expired(self.database(), partition, cutoffs, most).await
    }

    async fn forget(&self, partition: PartitionId, epoch: u64, expired: &[Dropped]) -> Result<(), StoreError> {
        expire::forget(self.database(), partition, epoch, expired).await
    }
}
