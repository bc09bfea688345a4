//! The embedded engine, and how it keeps its files.
//!
//! SurrealKV writes a log, a table in memory, and sorted tables on disk that compaction merges, and puts large values aside into value
//! logs by default. Deleting gives space back when compaction meets what was deleted; but a value log is deleted only when no live value
//! stands in it **or in any older one** (surrealkv 0.21, `VLog::cleanup_obsolete_files`): one large value that lives for long keeps every later
//! log for ever. So values stay in the tables here, where compaction drops them one by one. Logs that are there already are still read.

use surrealdb::Surreal;
use surrealdb::engine::local::Db;
use surrealdb::types::Error;
use surrealdb_cnf::ConfigMap;
use surrealdb_core::kvs::Datastore;

/// Values of this size and more stand in value logs: none, for a transaction is smaller.
const VALUE_LOG_FROM_BYTES: u64 = 1 << 40;

/// How an embedded engine is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Bytes written before they become a file. What is deleted gives its space back after a few times as much has been written; a restart
    /// after a crash reads at most twice as much, and so much memory is used. The largest transaction has to fit in.
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

/// Opens the engine behind a `surrealkv://` URL, as `surrealdb::engine::any::connect` does, which takes no such settings.
pub(crate) async fn open(url: &str, tuning: Tuning) -> Result<Surreal<Db>, Error> {
    let config = ConfigMap::empty()
        .with_key_value("surrealkv_vlog_threshold", VALUE_LOG_FROM_BYTES.to_string())
        .with_key_value("surrealkv_max_memtable_size", tuning.memtable_bytes.to_string())
        .with_key_value("surrealkv_block_cache_capacity", tuning.cache_bytes.to_string());
    let said = |error: &dyn std::fmt::Display| Error::internal(error.to_string());
    // Maintenance writes, and must not before the version is checked.
    let datastore = Datastore::builder()
        .with_config(config)
        .without_maintenance_tasks()
        .build_with_path(url)
        .await
        .map_err(|error| said(&error))?;
    datastore.check_version().await.map_err(|error| said(&error))?;
    datastore.bootstrap().await.map_err(|error| said(&error))?;
    datastore.start_maintenance_tasks();
    Surreal::unstable_from_datastore(datastore, None).await
}
