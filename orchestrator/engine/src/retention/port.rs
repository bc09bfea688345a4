//! What retention needs of a store.

use std::collections::BTreeMap;

use amends_core::event::Event;
use amends_schemas::ids::{PartitionId, SagaId};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::ports::{StoreError, StoredSaga};

/// How much of the journal is taken at once.
#[derive(Debug, Clone, Copy)]
pub struct SlabBounds {
    /// Only records older than this.
    pub before: DateTime<Utc>,
    /// Most records.
    pub records_max: usize,
    /// No further record once these bytes are exceeded.
    pub bytes_max: usize,
    /// No further record once so many sagas are in it.
    pub sagas_max: usize,
}

/// The oldest records of a partition, as much as goes at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Slab {
    /// The first position.
    pub from: u64,
    /// The last.
    pub upto: u64,
    /// Sagas in it that are settled and that this version can read, row and facts.
    pub settled: Vec<OldSaga>,
    /// Sagas in it that have been removed.
    pub gone: Vec<SagaId>,
}

/// A settled saga with facts in a slab.
#[derive(Debug, Clone, PartialEq)]
pub struct OldSaga {
    /// As it was last projected.
    pub saga: StoredSaga,
    /// Whether its history, as it stands, has been dropped with an earlier slab.
    pub dropped_before: bool,
}

/// A saga whose history goes, or that goes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Which.
    pub saga_id: SagaId,
    /// Its definition's name.
    pub definition: String,
    /// When it last changed.
    pub settled_at: DateTime<Utc>,
    /// Whether facts of it may have been moved out of earlier slabs.
    pub has_moved: bool,
}

/// What is to be done with a slab. Facts of sagas that are in neither list are moved.
#[derive(Debug, Clone)]
pub struct Cut<'a> {
    /// The first position: the one behind the last cut.
    pub from: u64,
    /// The last; before the checkpoint.
    pub upto: u64,
    /// Their facts are dropped.
    pub dropped: &'a [Dropped],
    /// Their facts go without a trace, as they have.
    pub gone: &'a [SagaId],
}

/// Sagas whose facts were moved out of the journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptPage {
    /// Those that are settled and whose rows this version can read.
    pub settled: Vec<StoredSaga>,
    /// Where to go on; none at the end.
    pub next: Option<SagaId>,
}

/// Who settled before is past keeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cutoffs {
    /// Of definitions that have none of their own.
    pub default: DateTime<Utc>,
    /// By the definition's name.
    pub definitions: BTreeMap<String, DateTime<Utc>>,
}

impl Cutoffs {
    /// Of a definition.
    pub fn of(&self, definition: &str) -> DateTime<Utc> {
        self.definitions.get(definition).copied().unwrap_or(self.default)
    }
}

/// Lets go of what is past keeping. Every method that writes is one transaction and may be called again after
/// [`StoreError::Unavailable`]; [`StoreError::Fenced`] when an owner of a later epoch has moved the checkpoint.
#[async_trait]
pub trait Retain: Send + Sync {
    /// The facts of a saga that are still there, oldest first, wherever they are: those moved out of the journal, and those in the
    /// records at `positions`. At most one more than `facts_max`.
    ///
    /// # Errors
    /// [`StoreError::Unread`] when one was written by a newer version.
    async fn history(
        &self,
        partition: PartitionId,
        saga_id: SagaId,
        positions: &[u64],
        facts_max: usize,
    ) -> Result<Vec<Event>, StoreError>;

    /// The oldest records at or before `upto`; none when none is old enough. Stops before a record that this version cannot take
    /// apart, and before facts that an owner has parked.
    async fn oldest(&self, partition: PartitionId, upto: u64, bounds: SlabBounds) -> Result<Option<Slab>, StoreError>;

    /// Takes a slab out of the journal.
    async fn truncate(&self, partition: PartitionId, epoch: u64, cut: Cut<'_>) -> Result<(), StoreError>;

    /// The next sagas whose facts were moved.
    async fn kept(&self, partition: PartitionId, after: Option<SagaId>) -> Result<KeptPage, StoreError>;

    /// Drops facts that were moved.
    async fn drop_kept(&self, partition: PartitionId, epoch: u64, dropped: &[Dropped]) -> Result<(), StoreError>;

    /// Sagas without facts that are past keeping, at most `most`.
    async fn expired(&self, partition: PartitionId, cutoffs: &Cutoffs, most: usize)
    -> Result<Vec<Dropped>, StoreError>;

    /// Removes those of them that have not changed since.
    async fn forget(&self, partition: PartitionId, epoch: u64, expired: &[Dropped]) -> Result<(), StoreError>;
}
