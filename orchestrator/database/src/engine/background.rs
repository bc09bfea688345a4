//! The threads on which engines write tables to files and merge files.
//!
//! SurrealKV does both in tasks of the runtime in which it is opened, without ever giving the thread back: merging large files holds one for
//! tens of seconds. On a machine of two cores that was half of all threads that answer anybody, with whatever waited in its queue.

use std::io;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

/// All engines of a process share them: while a few merge, others still write their tables.
const THREADS: usize = 4;

/// By how much they give way to the threads that answer: merging is behind anyway when there is much to do, and a store that is too far
/// behind has writers wait for it (`WriteStallController` of surrealkv 0.21), which gives it the processors.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(THREADS).thread_name("surrealkv").on_thread_start(give_way).enable_all().build()
});

/// Runs what opens an engine, so that its tasks are spawned there.
///
/// # Errors
/// When the process cannot have more threads.
pub(super) async fn run<T: Send + 'static>(opening: impl Future<Output = T> + Send + 'static) -> anyhow::Result<T> {
    let runtime = RUNTIME.as_ref().map_err(|error| anyhow::anyhow!("no threads for the database's files: {error}"))?;
    Ok(runtime.spawn(opening).await?)
}

/// Runs what opens an engine and closes it again before its tasks have begun to merge, which closing would wait for: on a thread of its own
/// they only run when what is run here waits, and by then it is closing.
///
/// # Errors
/// When the process cannot have one more thread.
pub(super) async fn run_before_merging<T: Send + 'static>(
    opening_and_closing: impl Future<Output = T> + Send + 'static,
) -> anyhow::Result<T> {
    let run = move || Ok(Builder::new_current_thread().enable_all().build()?.block_on(opening_and_closing));
    tokio::task::spawn_blocking(run).await?
}

/// On Linux each thread has a priority of its own; elsewhere it is the whole process's, which stays as it is.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the threads that merge files do not give way");
    }
}
