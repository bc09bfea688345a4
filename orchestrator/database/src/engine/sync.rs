//! One fsync for all commits that wait for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use surrealdb_kvs::{Error, Result};
use surrealkv::Tree;
use tokio::sync::{Mutex, watch};

/// Brings the log of an engine to disk.
pub(super) struct GroupSync {
    /// Never cloned: a clone that is dropped closes the engine.
    tree: Arc<Tree>,
    /// How many have asked so far.
    asked: AtomicU64,
    /// How many of them are served: everything that was committed before they asked is on disk.
    served: watch::Sender<u64>,
    /// Held by who serves; why it cannot be done any more.
    broken: Mutex<Option<String>>,
}

impl GroupSync {
    pub(super) fn of(tree: Arc<Tree>) -> Self {
        Self { tree, asked: AtomicU64::new(0), served: watch::Sender::new(0), broken: Mutex::new(None) }
    }

    /// Returns when everything that was committed before the call is on disk. Cancel safe: whoever waits as well does it then.
    ///
    /// # Errors
    /// `CommitOutcomeUnknown` when the disk refuses, and from then on always: what a failed fsync has lost, the next one does not tell (fsync(2)).
    pub(super) async fn wait(&self) -> Result<()> {
        let number = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut served = self.served.subscribe();
        let mut broken = tokio::select! {
            biased;
            // The sender is `self`'s.
            _ = served.wait_for(|served| *served >= number) => return Ok(()),
            broken = self.broken.lock() => broken,
        };
        if *self.served.borrow() >= number {
            return Ok(());
        }
        if broken.is_none() {
            let upto = self.asked.load(Ordering::Acquire);
            let tree = Arc::clone(&self.tree);
            let synced = tokio::task::spawn_blocking(move || tree.flush_wal(true)).await;
            match synced.map_err(|error| Error::CommitOutcomeUnknown(error.to_string()))? {
                Ok(()) => {
                    self.served.send_replace(upto);
                    return Ok(());
                }
                Err(error) => *broken = Some(error.to_string()),
            }
        }
        Err(Error::CommitOutcomeUnknown(broken.clone().unwrap_or_default()))
    }
}
