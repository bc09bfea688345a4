//! The embedded engine, and how it keeps its files.
//!
//! SurrealKV writes a log, a table in memory, and sorted tables on disk that compaction merges, and puts large values aside into value
//! logs by default. Deleting gives space back when compaction meets what was deleted; but a value log is deleted only when no live value
//! stands in it **or in any older one** (surrealkv 0.21, `VLog::cleanup_obsolete_files`): one large value that lives for long keeps every later
//! log for ever. So values stay in the tables here, where compaction drops them one by one. Logs that are there already are still read.
//!
//! SurrealDB's own way to SurrealKV leaves its levels at 256 MiB and unpacked, so that with a million sagas stored all their gigabytes were
//! written again for each 256 MiB that came in. [`store`] is another way, with larger levels, packed. And what SurrealKV acknowledges it can
//! lose around the moment at which it begins a new table: [`rotations`] says how, and what is done about it.

mod absent;
mod background;
mod rotations;
mod segments;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod transaction;
mod written;

use std::path::{Path, PathBuf};

use surrealdb::Surreal;
use surrealdb::engine::local::Db;
use surrealdb::types::Error;
use surrealdb_cnf::ConfigMap;
use surrealdb_core::CommunityComposer;
use surrealdb_core::kvs::{Datastore, TransactionBuilderFactory, TransactionBuilderParts};
use surrealdb_kvs::TransactionBuilder;
use tokio_util::sync::CancellationToken;

use self::segments::Segments;
use self::store::Store;

/// Values of this size and more stand in value logs: none does.
const VALUE_LOG_FROM_BYTES: usize = usize::MAX;

/// Bytes of a table in memory for each byte of the log that it is read from, at most: an entry takes up to some 200 more there
/// (`max_entry_bytes` of surrealkv 0.21), and no key of SurrealDB is shorter than 20.
const TABLE_BYTES_PER_LOG_BYTE: u64 = 8;

/// What an engine's table can be at most.
const TABLE_BYTES_MAX: u64 = u32::MAX as u64;

/// How an embedded engine is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Bytes written before they become a file. What is deleted gives its space back after some twenty times as much has been written; a
    /// restart after a crash reads at most twice as much, and so much memory is used. The largest transaction has to fit in.
    pub memtable_bytes: u64,
    /// Bytes of blocks of files kept in memory, uncompressed; what is not there is read through the system's cache.
    pub cache_bytes: u64,
}

impl Default for Tuning {
    /// Far more than the largest transaction, and little of any machine: where there are 16 GiB or more, SurrealKV itself takes one for its
    /// table and half of all memory for blocks.
    fn default() -> Self {
        Self { memtable_bytes: 64 * 1024 * 1024, cache_bytes: 64 * 1024 * 1024 }
    }
}

/// Opens SurrealDB over the engine of this folder, whose `surrealkv://` URL it is given as well, as `surrealdb::engine::any::connect` does,
/// which takes no such settings.
pub(crate) async fn open(url: &str, folder: &Path, tuning: Tuning) -> Result<Surreal<Db>, Error> {
    let said = |error: &dyn std::fmt::Display| Error::internal(error.to_string());
    // Maintenance writes, and must not before the version is checked.
    let datastore = Datastore::builder()
        .without_maintenance_tasks()
        .build_with_factory_path(url, Composer { folder: folder.to_owned(), tuning })
        .await
        .map_err(|error| said(&error))?;
    datastore.check_version().await.map_err(|error| said(&error))?;
    datastore.bootstrap().await.map_err(|error| said(&error))?;
    datastore.start_maintenance_tasks();
    Surreal::unstable_from_datastore(datastore, None).await
}

/// Puts SurrealDB and its engine together.
#[derive(Clone)]
struct Composer {
    folder: PathBuf,
    tuning: Tuning,
}

impl TransactionBuilderFactory for Composer {
    type RouterState = ();

    async fn new_transaction_builder(
        &self,
        _path: &str,
        _canceller: CancellationToken,
        _config: ConfigMap,
    ) -> anyhow::Result<TransactionBuilderParts<()>> {
        let Self { folder, tuning } = self.clone();
        // What the log of a crash holds may not fit into one table of the size it was written with, and what is then read into a second one is
        // as good as lost: nothing would read that log again. So it is read into one that is surely large enough, and becomes a file.
        let logged = Segments::of(&folder).largest_bytes()?;
        let needed = logged.saturating_mul(TABLE_BYTES_PER_LOG_BYTE).min(TABLE_BYTES_MAX);
        if needed > tuning.memtable_bytes {
            let (folder, tuning) = (folder.clone(), Tuning { memtable_bytes: needed, ..tuning });
            let read = async move { Store::open(&folder, tuning)?.shutdown().await };
            background::run_before_merging(read).await??;
        }
        let store = background::run(async move { Store::open(&folder, tuning) }).await??;
        Ok(TransactionBuilderParts::without_router_state(Box::new(store)))
    }

    fn path_valid(&self, path: &str) -> anyhow::Result<String> {
        CommunityComposer().path_valid(path)
    }
}
