//! Reading a partition while its lease is still waited for. Over a store that one process has open nobody else writes, so that what is
//! read then is what a takeover would read: after a crash the dead owner's leases run out meanwhile.

use std::sync::Arc;
use std::time::Duration;

use amends_schemas::ids::PartitionId;
use tokio::time::Instant;

use crate::engine::{AbortOnDrop, Shared};
use crate::ports::Recovered;

/// How long what was read is held: longer than the lease of one that died lasts. Whoever waits longer waits for one that lives, and holds
/// nothing in memory for it.
const HELD: Duration = Duration::from_secs(10);

/// What is being read, or was.
pub(crate) struct Ahead {
    reading: AbortOnDrop<Option<Recovered>>,
    until: Instant,
}

impl Ahead {
    /// Begins to read; `None` where others may write meanwhile.
    pub(crate) fn begin(shared: &Arc<Shared>, partition: PartitionId) -> Option<Self> {
        if !shared.store.is_exclusive() {
            return None;
        }
        let shared = Arc::clone(shared);
        let reading = tokio::spawn(async move {
            let _permit = shared.takeovers.acquire().await;
            // Whatever is wrong is said when it is read again.
            shared.store.recover(partition).await.ok()
        });
        Some(Self { reading: AbortOnDrop(reading), until: Instant::now() + HELD })
    }

    /// Whether it is still to be held.
    pub(crate) fn is_fresh(&self) -> bool {
        Instant::now() < self.until
    }

    /// What was read, if it is all there is. Two engines of one process, as tests have, share a store all the same; should one write
    /// after this look, the takeover meets its record.
    pub(crate) async fn take(mut self, shared: &Shared, partition: PartitionId) -> Option<Recovered> {
        let recovered = (&mut self.reading.0).await.ok().flatten()?;
        let next = shared.store.records(partition, &[recovered.last_position + 1]).await.ok()?;
        next.is_empty().then_some(recovered)
    }
}
