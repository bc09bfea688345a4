//! Commits that met a rotation are written once more before anybody is told of them, and before anything else is committed.
//!
//! # What is lost without it
//!
//! SurrealKV commits by appending to the newest segment of its log, then putting the same into its table in memory (surrealkv 0.21,
//! `CommitPipeline::commit`). When the table is full, `LsmCommitEnv::apply` begins a new segment and a new table, and puts the commit into
//! that one: it stands in the **old** segment and in the **new** table. As soon as the old table has become a file, the old segment counts
//! as done and is deleted, and until the new table becomes a file too, the commit is nowhere but in memory. `kill -9` in that time, which is
//! most of the time, takes a commit that was acknowledged and synced, and leaves those after it. Commits that run beside it can meet the
//! same.
//!
//! # What is done about it
//!
//! A commit that had the same segment before it began and after it ended stands in the segment of its table. One that had not is *met by a
//! rotation*: what stands under the keys that it wrote is written once more, alone, into the new segment and the new table, and only then is
//! it acknowledged, or anything else committed. That costs six looks at the file system for each commit, some microseconds beside an fsync,
//! and one commit in many thousands is written twice. SurrealDB 4 comes with a SurrealKV of another build; with 3.3 there is no later one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use surrealdb_kvs::{Error, Result};
use surrealkv::{Durability, Mode, Tree};
use tokio::sync::{RwLock, RwLockReadGuard};

use super::segments::Segments;
use super::store::engine_error;
use super::sync::GroupSync;
use super::written::WrittenKeys;

/// How often writing once more may itself meet a rotation: what it writes is smaller than a table.
const SETTLE_ATTEMPTS_MAX: usize = 8;

/// Commits of an engine, and what is known of its rotations.
pub(super) struct Rotations {
    tree: Arc<Tree>,
    sync: GroupSync,
    segments: Segments,
    /// Held by each commit, and by whoever writes commits once more alone.
    gate: RwLock<()>,
    state: Mutex<State>,
}

struct State {
    /// The segment that was written when the last rotation was settled.
    segment: u64,
    /// What was committed around the rotations since then, until all of it is written again.
    met: Vec<Arc<WrittenKeys>>,
}

/// A commit on its way. However it ends, dropped in the middle or not, what it may have written is noted if it met a rotation.
struct Committing<'a> {
    rotations: &'a Rotations,
    written: WrittenKeys,
    /// Given back after the note is made.
    _pass: RwLockReadGuard<'a, ()>,
}

impl Rotations {
    /// Of an engine that has just been opened.
    pub(super) fn new(tree: Arc<Tree>, segments: Segments) -> Result<Self> {
        let newest = segments.newest().map_err(|error| Error::Datastore(error.to_string()))?;
        let segment = newest.ok_or_else(|| {
            Error::Datastore("the log is not where surrealkv 0.21 keeps it: its commits cannot be watched".into())
        })?;
        let state = Mutex::new(State { segment, met: Vec::new() });
        Ok(Self { sync: GroupSync::of(Arc::clone(&tree)), tree, segments, gate: RwLock::new(()), state })
    }

    /// Commits, and returns when that survives `kill -9` and a power failure.
    ///
    /// # Errors
    /// `CommitOutcomeUnknown` when it may survive and may not; after any other nothing is committed.
    pub(super) async fn commit(&self, mut transaction: surrealkv::Transaction, written: WrittenKeys) -> Result<()> {
        let committing = self.enter(written).await?;
        let committed = self.commit_to_disk(&mut transaction).await;
        drop(committing);
        match (committed, self.settle().await) {
            (Ok(()), Err(error)) => Err(Error::CommitOutcomeUnknown(error.to_string())),
            (committed, _) => committed,
        }
    }

    async fn commit_to_disk(&self, transaction: &mut surrealkv::Transaction) -> Result<()> {
        // Into the system's cache; what brings it to disk serves all that commit at that moment.
        transaction.set_durability(Durability::Eventual);
        transaction.commit().await.map_err(engine_error)?;
        self.sync.wait().await
    }

    /// Lets a commit begin, when all that others committed is safe.
    async fn enter(&self, written: WrittenKeys) -> Result<Committing<'_>> {
        loop {
            let pass = self.gate.read().await;
            if self.is_settled() {
                return Ok(Committing { rotations: self, written, _pass: pass });
            }
            drop(pass);
            self.settle().await?;
        }
    }

    /// Returns when all that was committed before is safe. Cancel safe: whoever commits next does it then.
    ///
    /// # Errors
    /// When the engine does not take it; nothing is committed until it does.
    async fn settle(&self) -> Result<()> {
        if self.is_settled() {
            return Ok(());
        }
        let _alone = self.gate.write().await;
        for _ in 0..SETTLE_ATTEMPTS_MAX {
            for written in self.begin_settling()? {
                self.write_again(&written).await?;
            }
            if !self.has_rotated() {
                // Without a pass nobody has noted anything meanwhile.
                self.state().met.clear();
                return Ok(());
            }
        }
        Err(Error::Datastore("the table in memory is too small for what is committed at once".into()))
    }

    /// What is to be written again, into the segment that is the newest now.
    fn begin_settling(&self) -> Result<Vec<Arc<WrittenKeys>>> {
        let newest = self.segments.newest().map_err(|error| Error::Datastore(error.to_string()))?;
        let mut state = self.state();
        state.segment = newest.unwrap_or(state.segment);
        Ok(state.met.clone())
    }

    /// Writes under these keys what stands there already, in one transaction as it was one. Nobody else writes meanwhile.
    async fn write_again(&self, written: &WrittenKeys) -> Result<()> {
        let mut transaction = self.tree.begin_with_mode(Mode::ReadWrite).map_err(engine_error)?;
        for key in written.iter() {
            match transaction.get(key).map_err(engine_error)? {
                Some(value) => transaction.set(key, value),
                None => transaction.delete(key),
            }
            .map_err(engine_error)?;
        }
        self.commit_to_disk(&mut transaction).await
    }

    fn is_settled(&self) -> bool {
        self.state().met.is_empty() && !self.has_rotated()
    }

    /// Whether there has been a rotation that is not settled. A segment is deleted only after a later one was begun.
    fn has_rotated(&self) -> bool {
        let segment = self.state().segment;
        self.segments.exists(segment + 1) || !self.segments.exists(segment)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        if self.rotations.has_rotated() {
            let written = std::mem::take(&mut self.written);
            self.rotations.state().met.push(Arc::new(written));
        }
    }
}
