//! What the engine needs of the world: a [`Store`] for what must not be lost, a [`Transport`] for what must travel,
//! [`Leases`] for who tries, [`Presence`] for who serves.

use std::sync::Arc;

use amends_core::definition::DefinitionRef;
use amends_core::event::Event;
use amends_core::standing::Standing;
use amends_core::state::SagaState;
use amends_core::surroundings::Surroundings;
use amends_schemas::command::Command;
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{ListSagas, Page, SagaSummary, SagaView};
use amends_schemas::search::{SagaCount, SagaCounts, SagaFilter};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::errand::PeerAsk;
use crate::retention::Retain;

/// One committed batch: everything a partition decided in one round, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRecord {
    /// Whose.
    pub partition: PartitionId,
    /// From 1, without gaps; the fence.
    pub position: u64,
    /// The owner's epoch: one more with each takeover.
    pub epoch: u64,
    /// Who wrote it, for people.
    pub owner: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What, saga by saga; empty for a takeover.
    pub entries: Vec<JournalEntry>,
    /// Entries that this version does not know to the end. Never written by it, only read.
    pub unread: Vec<UnreadEntry>,
}

/// An entry of a record that a newer version wrote: which saga it is about is all that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadEntry {
    /// Which.
    pub saga_id: SagaId,
    /// What of it is not known here, for people.
    pub why: String,
}

/// A saga whose row a newer version wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadSaga {
    /// Which.
    pub saga_id: SagaId,
    /// What it runs, if that much can be read.
    pub definition: Option<DefinitionRef>,
    /// What of it is not known here, for people.
    pub why: String,
}

/// Facts that stand before the checkpoint although no row contains them, because an owner could not read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedFacts {
    /// Of which saga.
    pub saga_id: SagaId,
    /// Positions of the records that hold them, ascending.
    pub positions: Vec<u64>,
}

/// The new facts of one saga within a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Which saga.
    pub saga_id: SagaId,
    /// Its facts, in order.
    pub events: Vec<Event>,
}

/// A saga with what the store needs to find it again.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSaga {
    /// The saga as of the checkpoint it was projected with.
    pub state: SagaState,
    /// Positions of the records that hold its facts, ascending.
    pub positions: Vec<u64>,
    /// Why it was not moving when it was projected.
    pub waiting_for: Option<String>,
    /// At which steps it stands: what it is found by. Not read back; whoever writes a saga works it out anew.
    pub standing: Vec<Standing>,
    /// Whether whoever writes it has begun it and never written it: the view has no row of it but one of a write whose answer was lost, which
    /// spares looking for one. Not read back.
    pub is_new: bool,
}

/// How far bringing the view's rows up to this version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rekeyed {
    /// So many rows of this page were of an earlier version; there are more pages.
    More {
        /// How many.
        changed: usize,
    },
    /// Every row is of this version.
    Done,
}

/// Finds out at which steps a saga stands, which takes its definition.
pub type StandingOf<'a> = &'a (dyn Fn(&SagaState) -> Vec<Standing> + Send + Sync);

/// What a new owner needs to go on.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// Position of the last record; zero when there is none.
    pub last_position: u64,
    /// Epoch of the last record; zero when there is none.
    pub last_epoch: u64,
    /// Every saga that was not settled at the checkpoint.
    pub sagas: Vec<StoredSaga>,
    /// Those of them whose rows this version does not know to the end.
    pub unread: Vec<UnreadSaga>,
    /// What [`Store::park`] was last told.
    pub parked: Vec<ParkedFacts>,
    /// Every record after the checkpoint, in order and without gaps.
    pub tail: Vec<JournalRecord>,
}

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has written this position: this owner has been replaced.
    #[error("position {position} of partition {partition} was written by {owner} in epoch {epoch}")]
    Fenced {
        /// The partition.
        partition: PartitionId,
        /// The position.
        position: u64,
        /// Who wrote it.
        owner: String,
        /// In which epoch.
        epoch: u64,
    },
    /// Not now; the same call may succeed later. Whether it took effect is unknown.
    #[error("the database cannot answer: {0}")]
    Unavailable(String),
    /// The stored data is not what it must be.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// A newer version wrote this saga: it is to be left alone until one that knows what it says comes.
    #[error("saga {} was written by a newer version: {}", .0.saga_id, .0.why)]
    Unread(Box<UnreadSaga>),
    /// The deployment was started with another number of partitions.
    #[error(
        "this database holds {stored} partitions and {requested} were asked for; \
         the number is fixed when a deployment first starts: start with {stored}"
    )]
    PartitionCount {
        /// What the database holds.
        stored: u16,
        /// What was asked for.
        requested: u16,
    },
    /// A cursor or filter that cannot be.
    #[error("{0}")]
    Invalid(String),
}

/// Holds the journal and its view. All methods may be called from many tasks at once.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Fixes the number of partitions at the first start and checks it at every other. `None` takes what is stored, or
    /// `default` when nothing is.
    async fn establish(
        &self,
        requested: Option<PartitionCount>,
        default: PartitionCount,
    ) -> Result<PartitionCount, StoreError>;

    /// Whether no other process can write while this one has it open.
    fn is_exclusive(&self) -> bool;

    /// How many partitions are right for a new deployment over this store that does not say.
    fn default_partition_count(&self) -> PartitionCount;

    /// Everything unfinished of one partition. Checks that positions after the checkpoint are dense.
    async fn recover(&self, partition: PartitionId) -> Result<Recovered, StoreError>;

    /// Commits one record, fsynced when this returns. Calling again with the same record after
    /// [`StoreError::Unavailable`] is safe: a record that is already there with this owner and epoch is success.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another owner holds the position.
    async fn append(&self, record: &JournalRecord) -> Result<(), StoreError>;

    /// Writes sagas into the view and moves the partition's checkpoint to `checkpoint`, in one transaction: every saga
    /// touched at or before that position is among `sagas` or was projected before. A saga may be newer than the
    /// checkpoint; its `positions` tell which records it already contains.
    ///
    /// The checkpoint carries the epoch it was moved in, and one of a later epoch is never overwritten: an owner that has
    /// been replaced without knowing must not put old rows over new ones.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when an owner of a later epoch has moved the checkpoint.
    async fn project(
        &self,
        partition: PartitionId,
        epoch: u64,
        checkpoint: u64,
        sagas: &[StoredSaga],
    ) -> Result<(), StoreError>;

    /// Remembers all the facts of a partition that no row contains although the checkpoint may pass them; the list before is
    /// forgotten. [`Store::recover`] gives it back.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when an owner of a later epoch has moved the checkpoint.
    async fn park(&self, partition: PartitionId, epoch: u64, parked: &[ParkedFacts]) -> Result<(), StoreError>;

    /// Whether this process knows, without asking the database, that the view has no row of this saga: of one in a partition that it
    /// has recovered last, and that nobody else writes. `false` says nothing.
    fn surely_absent(&self, _saga_id: SagaId) -> bool {
        false
    }

    /// A saga as it was last projected.
    ///
    /// # Errors
    /// [`StoreError::Unread`] when a newer version wrote it.
    async fn load(&self, saga_id: SagaId) -> Result<Option<StoredSaga>, StoreError>;

    /// A page of the view over all partitions. What it costs is bounded: a page that would need more than that is short, and has a
    /// cursor.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a filter that cannot be, or a cursor of another question.
    async fn list(&self, query: &ListSagas) -> Result<Page<SagaSummary>, StoreError>;

    /// How many sagas of the view a filter finds; at a bounded cost, so that a large number is told as "at least".
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a filter that cannot be.
    async fn count(&self, filter: &SagaFilter) -> Result<SagaCount, StoreError>;

    /// How many sagas the view has, by status and by definition.
    async fn counts(&self) -> Result<SagaCounts, StoreError>;

    /// Brings the next page of rows that an earlier version wrote up to this one, so that they are found by everything that can be
    /// asked for. Goes on where the last call ended, also in another process; may be called by several at once.
    async fn rekey(&self, standing: StandingOf<'_>) -> Result<Rekeyed, StoreError>;

    /// Records by position, in the order asked for; positions that do not exist are left out.
    async fn records(&self, partition: PartitionId, positions: &[u64]) -> Result<Vec<JournalRecord>, StoreError>;

    /// Histories, and how they go.
    fn retention(&self) -> &dyn Retain;
}

/// Why something could not be sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// Not now; try again.
    #[error("NATS cannot take it: {0}")]
    Unavailable(String),
    /// It will never be taken as it is (too large).
    #[error("NATS refuses it: {0}")]
    Refused(String),
}

/// Sends what was decided. Every method resolves only when the other side has acknowledged. `traceparent` is the W3C trace
/// context of the input that caused it.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Puts a command into the work queue. `dispatch` tells publications of one attempt apart.
    async fn publish_command(
        &self,
        command: &Command,
        dispatch: &str,
        traceparent: Option<&str>,
    ) -> Result<(), TransportError>;

    /// Asks the owner of a partition, which may be this process, something on behalf of a saga. Resolves once the answer is committed
    /// there.
    async fn ask_partition(
        &self,
        partition: PartitionId,
        ask: &PeerAsk,
        traceparent: Option<&str>,
    ) -> Result<Result<(), Problem>, TransportError>;

    /// Tells watchers that a saga has changed; best effort.
    async fn publish_change(&self, view: &SagaView);

    /// Where answers to a partition's commands go.
    fn reply_to(&self, partition: PartitionId) -> String;
}

/// What became of an attempt to hold a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// It was free and is ours now.
    Acquired,
    /// It was ours and is so for longer.
    Kept,
    /// Somebody else has it.
    Other {
        /// Who.
        owner: String,
    },
}

/// Nobody can say who holds the lease.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the lease cannot be asked for: {0}")]
pub struct LeaseError(pub String);

/// Leases decide who *tries* to own a partition; the journal decides who does. Losing one costs nothing but a takeover.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes the lease when it is free, extends it when it is ours.
    ///
    /// # Errors
    /// [`LeaseError`] when the lease store cannot be reached; an owner serves on, for the journal fences.
    async fn hold(&self, partition: PartitionId) -> Result<Hold, LeaseError>;

    /// Gives it back, so that the next owner need not wait for its end. Best effort.
    async fn release(&self, partition: PartitionId);
}

/// Who serves the contracts that sagas wait for. Only told to people: nothing is decided by it.
pub trait Presence: Send + Sync + 'static {
    /// What is known at this moment; the same allocation as long as nothing has changed. Asked by every partition at each of its
    /// projections: it must not block.
    fn surroundings(&self) -> Arc<Surroundings>;
}
