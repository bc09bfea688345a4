//! SurrealKV behind SurrealDB's traits for engines.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use surrealdb_kvs::api::{BoxFut, Transactable};
use surrealdb_kvs::{Error, Metrics, Result, TransactionBuilder, TransactionType};
use surrealkv::{Mode, Options, Tree, TreeBuilder};

use super::Tuning;
use super::rotations::Rotations;
use super::segments::Segments;
use super::transaction::Transaction;
use super::written::WrittenKeys;

/// Files that are written before they are merged with the first level. Each merge writes all of that level again, so that half as many
/// merges are half the work; a read looks into all of them, or into their filters.
const FILES_UNMERGED: usize = 16;

/// Files at which writers wait until merging has caught up.
const FILES_UNMERGED_MAX: usize = 32;

/// Bytes of the first level, compressed, before it is merged with the second, which is written again as a whole then. A million finished
/// sagas fit.
const FIRST_LEVEL_BYTES: u64 = 512 * 1024 * 1024;

/// Bytes of what is read and unpacked to get one value.
const BLOCK_BYTES: usize = 16 * 1024;

/// The engine of one folder.
pub(super) struct Store {
    tree: Arc<Tree>,
    shared: Arc<Shared>,
}

/// What its transactions share.
struct Shared {
    rotations: Rotations,
    /// How much a transaction may be.
    table_bytes: u64,
    closing: AtomicBool,
}

/// The way of a transaction to disk.
#[derive(Clone)]
pub(super) struct Committer(Arc<Shared>);

impl Store {
    /// Opens a folder, which nobody else may have open; it is made if it is not there. Spawns its tasks in the runtime that calls.
    ///
    /// # Errors
    /// `Datastore` with what SurrealKV says.
    pub(super) fn open(folder: &Path, tuning: Tuning) -> Result<Self> {
        surrealdb_kvs::threadpool::initialise();
        let memtable_bytes = usize::try_from(tuning.memtable_bytes).unwrap_or(usize::MAX);
        let mut options = Options::new()
            .with_path(folder.to_owned())
            .with_max_memtable_size(memtable_bytes)
            .with_block_cache_capacity(tuning.cache_bytes)
            .with_block_size(BLOCK_BYTES)
            // What is merged at once again is not worth packing.
            .with_l0_no_compression()
            // Value logs of an earlier version are read; no value is large enough for a new one.
            .with_enable_vlog(true)
            .with_vlog_value_threshold(super::VALUE_LOG_FROM_BYTES);
        options.level0_max_files = FILES_UNMERGED;
        options.l0_stall_threshold = FILES_UNMERGED_MAX;
        options.max_bytes_for_level = FIRST_LEVEL_BYTES;
        let tree = TreeBuilder::with_options(options).build().map_err(|error| Error::Datastore(error.to_string()))?;
        let tree = Arc::new(tree);
        let rotations = Rotations::new(Arc::clone(&tree), Segments::of(folder))?;
        let shared = Shared { rotations, table_bytes: tuning.memtable_bytes, closing: AtomicBool::new(false) };
        Ok(Self { tree, shared: Arc::new(shared) })
    }
}

impl TransactionBuilder for Store {
    fn name(&self) -> &'static str {
        "surrealkv"
    }

    fn new_transaction(&self, kind: TransactionType) -> BoxFut<'_, Result<(Box<dyn Transactable>, bool)>> {
        Box::pin(async move {
            let (mode, writeable) = match kind {
                TransactionType::Write => (Mode::ReadWrite, true),
                TransactionType::Read => (Mode::ReadOnly, false),
            };
            let engine = self.tree.begin_with_mode(mode).map_err(engine_error)?;
            let transaction = Transaction::new(engine, writeable, Committer(Arc::clone(&self.shared)));
            Ok((Box::new(transaction) as _, true))
        })
    }

    /// What is committed from now on is refused, and what is being committed may come to an unknown end, as in a crash.
    fn shutdown(&self) -> BoxFut<'_, Result<()>> {
        Box::pin(async move {
            self.shared.closing.store(true, Ordering::Release);
            self.tree.close().await.map_err(|error| Error::Datastore(error.to_string()))
        })
    }

    fn register_metrics(&self) -> Option<Metrics> {
        None
    }

    fn collect_u64_metric(&self, _metric: &str) -> Option<u64> {
        None
    }
}

impl Committer {
    /// As [`Rotations::commit`].
    ///
    /// # Errors
    /// `Shutdown` when the engine is being closed, `TransactionTooLarge` for what no table takes: the engine would find that out after it has
    /// written it to its log, and a restart would bring back what it said had failed.
    pub(super) async fn commit(&self, engine: surrealkv::Transaction, written: WrittenKeys) -> Result<()> {
        if self.0.closing.load(Ordering::Acquire) {
            return Err(Error::Shutdown);
        }
        if written.table_bytes() > self.0.table_bytes {
            return Err(Error::TransactionTooLarge);
        }
        self.0.rotations.commit(engine, written).await
    }
}

/// What SurrealKV says, as SurrealDB tells errors apart.
pub(super) fn engine_error(error: surrealkv::Error) -> Error {
    match error {
        surrealkv::Error::TransactionWriteConflict | surrealkv::Error::TransactionRetry => {
            Error::TransactionConflict(error.to_string())
        }
        surrealkv::Error::TransactionReadOnly => Error::TransactionReadonly,
        surrealkv::Error::TransactionClosed => Error::TransactionFinished,
        _ => Error::Transaction(error.to_string()),
    }
}
