//! SurrealKV as SurrealDB uses it, with every commit watched.
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

use std::sync::{Arc, Mutex, PoisonError};

use surrealdb_kvs::api::{
    Batch, BoxFut, GetMultiResult, KeysResult, ScanCursorKeys, ScanCursorVals, ScanResult, Transactable,
};
use surrealdb_kvs::timestamp::{BoxTimeStamp, BoxTimeStampImpl};
use surrealdb_kvs::{Direction, Error, Key, KeyRange, Metrics, Result, TransactionBuilder, TransactionType, Val};

use super::rotations::Rotations;
use super::segments::Segments;
use super::written::WrittenKeys;

/// The engine.
pub(super) struct WatchedEngine {
    rotations: Arc<Rotations>,
    table_bytes: u64,
}

impl WatchedEngine {
    /// Watches an engine that has just been opened, with a table of this size.
    pub(super) fn new(engine: Box<dyn TransactionBuilder>, segments: Segments, table_bytes: u64) -> Result<Self> {
        Ok(Self { rotations: Arc::new(Rotations::new(engine, segments)?), table_bytes })
    }
}

impl TransactionBuilder for WatchedEngine {
    fn name(&self) -> &'static str {
        self.rotations.engine().name()
    }

    fn new_transaction(&self, write: TransactionType) -> BoxFut<'_, Result<(Box<dyn Transactable>, bool)>> {
        Box::pin(async move {
            let (engine, local) = self.rotations.engine().new_transaction(write).await?;
            let rotations = Arc::clone(&self.rotations);
            let table_bytes = self.table_bytes;
            let transaction = WatchedTransaction { engine, rotations, written: Mutex::default(), table_bytes };
            Ok((Box::new(transaction) as _, local))
        })
    }

    fn shutdown(&self) -> BoxFut<'_, Result<()>> {
        self.rotations.engine().shutdown()
    }

    fn register_metrics(&self) -> Option<Metrics> {
        self.rotations.engine().register_metrics()
    }

    fn collect_u64_metric(&self, metric: &str) -> Option<u64> {
        self.rotations.engine().collect_u64_metric(metric)
    }

    fn wait_until_serve_ready(&self) -> BoxFut<'_, Result<()>> {
        self.rotations.engine().wait_until_serve_ready()
    }
}

/// One transaction of it.
struct WatchedTransaction {
    engine: Box<dyn Transactable>,
    rotations: Arc<Rotations>,
    written: Mutex<WrittenKeys>,
    /// How much it may be.
    table_bytes: u64,
}

impl WatchedTransaction {
    /// Of a change that is tried; whether it is made, or undone with a savepoint, does not matter.
    fn note(&self, key: &Key<'_>, value_bytes: usize) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).add(key.as_slice(), value_bytes);
    }

    async fn commit_watched(&self) -> Result<()> {
        let written = std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner));
        if written.is_empty() {
            return self.engine.commit().await;
        }
        // The engine would find out after it has written it to its log, and a restart would bring back what it said had failed.
        if written.table_bytes() > self.table_bytes {
            return Err(Error::TransactionTooLarge);
        }
        let committing = self.rotations.enter(written).await?;
        let committed = self.engine.commit().await;
        drop(committing);
        match (committed, self.rotations.settle().await) {
            (Ok(()), Err(error)) => Err(Error::CommitOutcomeUnknown(error.to_string())),
            (committed, _) => committed,
        }
    }
}

/// What changes something is noted, everything else is handed on. What the trait builds out of changes (`delr`, `clrr`) stays as it is there.
impl Transactable for WatchedTransaction {
    fn commit(&self) -> BoxFut<'_, Result<()>> {
        Box::pin(self.commit_watched())
    }

    fn set<'a>(&'a self, key: Key<'a>, val: Val) -> BoxFut<'a, Result<()>> {
        self.note(&key, val.len());
        self.engine.set(key, val)
    }

    fn put<'a>(&'a self, key: Key<'a>, val: Val) -> BoxFut<'a, Result<()>> {
        self.note(&key, val.len());
        self.engine.put(key, val)
    }

    fn putc<'a>(&'a self, key: Key<'a>, val: Val, chk: Option<Val>) -> BoxFut<'a, Result<()>> {
        self.note(&key, val.len());
        self.engine.putc(key, val, chk)
    }

    fn replace<'a>(&'a self, key: Key<'a>, val: Val) -> BoxFut<'a, Result<()>> {
        self.note(&key, val.len());
        self.engine.replace(key, val)
    }

    fn del<'a>(&'a self, key: Key<'a>) -> BoxFut<'a, Result<()>> {
        self.note(&key, 0);
        self.engine.del(key)
    }

    fn delc<'a>(&'a self, key: Key<'a>, chk: Option<&'a [u8]>) -> BoxFut<'a, Result<()>> {
        self.note(&key, 0);
        self.engine.delc(key, chk)
    }

    fn clr<'a>(&'a self, key: Key<'a>) -> BoxFut<'a, Result<()>> {
        self.note(&key, 0);
        self.engine.clr(key)
    }

    fn clrc<'a>(&'a self, key: Key<'a>, chk: Option<&'a [u8]>) -> BoxFut<'a, Result<()>> {
        self.note(&key, 0);
        self.engine.clrc(key, chk)
    }

    fn kind(&self) -> &'static str {
        self.engine.kind()
    }

    fn closed(&self) -> bool {
        self.engine.closed()
    }

    fn writeable(&self) -> bool {
        self.engine.writeable()
    }

    fn cancel(&self) -> BoxFut<'_, Result<()>> {
        self.engine.cancel()
    }

    fn exists<'a>(&'a self, key: Key<'a>, version: Option<u64>) -> BoxFut<'a, Result<bool>> {
        self.engine.exists(key, version)
    }

    fn get<'a>(&'a self, key: Key<'a>, version: Option<u64>) -> BoxFut<'a, Result<Option<Val>>> {
        self.engine.get(key, version)
    }

    fn getu<'a>(&'a self, key: Key<'a>) -> BoxFut<'a, Result<Option<Val>>> {
        self.engine.getu(key)
    }

    fn shared_locked_reads(&self) -> bool {
        self.engine.shared_locked_reads()
    }

    fn getm<'a>(&'a self, keys: &'a [Key<'a>], version: Option<u64>) -> BoxFut<'a, Result<GetMultiResult>> {
        self.engine.getm(keys, version)
    }

    fn keys<'a>(
        &'a self,
        rng: KeyRange<'a>,
        limit: u32,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<KeysResult>> {
        self.engine.keys(rng, limit, skip, version)
    }

    fn keysr<'a>(
        &'a self,
        rng: KeyRange<'a>,
        limit: u32,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<KeysResult>> {
        self.engine.keysr(rng, limit, skip, version)
    }

    fn scan<'a>(
        &'a self,
        rng: KeyRange<'a>,
        limit: u32,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<ScanResult>> {
        self.engine.scan(rng, limit, skip, version)
    }

    fn scanr<'a>(
        &'a self,
        rng: KeyRange<'a>,
        limit: u32,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<ScanResult>> {
        self.engine.scanr(rng, limit, skip, version)
    }

    fn open_keys_cursor<'a>(
        &'a self,
        rng: KeyRange<'a>,
        dir: Direction,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<Box<dyn ScanCursorKeys + 'a>>> {
        self.engine.open_keys_cursor(rng, dir, skip, version)
    }

    fn open_vals_cursor<'a>(
        &'a self,
        rng: KeyRange<'a>,
        dir: Direction,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<Box<dyn ScanCursorVals + 'a>>> {
        self.engine.open_vals_cursor(rng, dir, skip, version)
    }

    fn count<'a>(&'a self, rng: KeyRange<'a>, version: Option<u64>) -> BoxFut<'a, Result<usize>> {
        self.engine.count(rng, version)
    }

    fn batch_keys<'a>(
        &'a self,
        rng: KeyRange<'a>,
        batch: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<Batch<Vec<u8>>>> {
        self.engine.batch_keys(rng, batch, version)
    }

    fn batch_keys_vals<'a>(
        &'a self,
        rng: KeyRange<'a>,
        batch: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<Batch<(Vec<u8>, Vec<u8>)>>> {
        self.engine.batch_keys_vals(rng, batch, version)
    }

    fn new_save_point(&self) -> BoxFut<'_, Result<()>> {
        self.engine.new_save_point()
    }

    fn release_last_save_point(&self) -> BoxFut<'_, Result<()>> {
        self.engine.release_last_save_point()
    }

    fn rollback_to_save_point(&self) -> BoxFut<'_, Result<()>> {
        self.engine.rollback_to_save_point()
    }

    fn timestamp(&self) -> BoxFut<'_, Result<BoxTimeStamp>> {
        self.engine.timestamp()
    }

    fn safe_timestamp(&self) -> BoxFut<'_, Result<BoxTimeStamp>> {
        self.engine.safe_timestamp()
    }

    fn timestamp_impl(&self) -> BoxTimeStampImpl {
        self.engine.timestamp_impl()
    }

    fn compact<'a>(&'a self, range: Option<KeyRange<'a>>) -> BoxFut<'a, Result<()>> {
        self.engine.compact(range)
    }
}
