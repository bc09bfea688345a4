//! Commits that met a rotation are written once more before anybody is told of them, and before anything else is committed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use surrealdb_kvs::api::Transactable;
use surrealdb_kvs::{Error, Key, Result, TransactionBuilder, TransactionType};
use tokio::sync::{RwLock, RwLockReadGuard};

use super::segments::Segments;
use super::written::WrittenKeys;

/// How often writing once more may itself meet a rotation: what it writes is smaller than a table.
const SETTLE_ATTEMPTS_MAX: usize = 8;

/// The engine, and what is known of its rotations.
pub(super) struct Rotations {
    engine: Box<dyn TransactionBuilder>,
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
pub(super) struct Committing<'a> {
    rotations: &'a Rotations,
    written: WrittenKeys,
    /// Given back after the note is made.
    _pass: RwLockReadGuard<'a, ()>,
}

impl Rotations {
    /// Of an engine that has just been opened.
    pub(super) fn new(engine: Box<dyn TransactionBuilder>, segments: Segments) -> Result<Self> {
        let newest = segments.newest().map_err(|error| Error::Datastore(error.to_string()))?;
        let segment = newest.ok_or_else(|| {
            Error::Datastore("the log is not where surrealkv 0.21 keeps it: its commits cannot be watched".into())
        })?;
        Ok(Self { engine, segments, gate: RwLock::new(()), state: Mutex::new(State { segment, met: Vec::new() }) })
    }

    pub(super) fn engine(&self) -> &dyn TransactionBuilder {
        &*self.engine
    }

    /// Lets a commit begin, when all that others committed is safe.
    pub(super) async fn enter(&self, written: WrittenKeys) -> Result<Committing<'_>> {
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
    pub(super) async fn settle(&self) -> Result<()> {
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
        let (transaction, _) = self.engine.new_transaction(TransactionType::Write).await?;
        match copy(&*transaction, written).await {
            Ok(()) => transaction.commit().await,
            Err(error) => {
                let _ = transaction.cancel().await;
                Err(error)
            }
        }
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

async fn copy(transaction: &dyn Transactable, written: &WrittenKeys) -> Result<()> {
    for key in written.iter() {
        match transaction.get(Key::from(key), None).await? {
            Some(value) => transaction.set(Key::from(key), value).await?,
            None => transaction.del(Key::from(key)).await?,
        }
    }
    Ok(())
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        if self.rotations.has_rotated() {
            let written = std::mem::take(&mut self.written);
            self.rotations.state().met.push(Arc::new(written));
        }
    }
}
