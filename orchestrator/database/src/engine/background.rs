//! The threads on which engines write tables to files and merge files.
//!
//! SurrealKV does both in tasks of the runtime in which it is opened, without ever giving the thread back: merging large files holds one for
//! tens of seconds. On a machine of two cores that was half of all threads that answer anybody, with whatever waited in its queue.

use std::io;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

/// All engines of a process share them: while a few merge, others still write their tables.
const THREADS: usize = 4;

static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(THREADS).thread_name("surrealkv").enable_all().build());

/// Runs what spawns such tasks, so that they are spawned there.
///
/// # Errors
/// When the process cannot have more threads.
pub(super) async fn run<T: Send + 'static>(spawning: impl Future<Output = T> + Send + 'static) -> anyhow::Result<T> {
    let runtime = RUNTIME.as_ref().map_err(|error| anyhow::anyhow!("no threads for the database's files: {error}"))?;
    Ok(runtime.spawn(spawning).await?)
}
