//! Work for a whole deployment that one process at a time does: the one that owns the partition every deployment has.

use std::sync::Arc;

use amends_schemas::ids::PartitionId;
use async_trait::async_trait;
use tracing::Instrument as _;

use crate::engine::AbortOnDrop;

/// Whose owner does the chores.
pub const CHORES_PARTITION: PartitionId = PartitionId(0);

/// Something to be done in the background, for all partitions together.
#[async_trait]
pub trait Chore: Send + Sync + 'static {
    /// For logs.
    fn name(&self) -> &'static str;

    /// Does it: until it is done for this process's life, or for ever. Begun anew whenever the partition is taken, and dropped at any
    /// await when it is lost. An owner that was replaced without knowing may be at it beside its successor for a moment: what is
    /// written must tell two of them apart, or be the same twice.
    async fn run(&self);
}

/// Does them until dropped.
pub(crate) fn start(chores: &[Arc<dyn Chore>]) -> Vec<AbortOnDrop<()>> {
    let run = |chore: &Arc<dyn Chore>| {
        let chore = Arc::clone(chore);
        let span = tracing::info_span!("chore", chore = chore.name());
        AbortOnDrop(tokio::spawn(async move { chore.run().await }.instrument(span)))
    };
    chores.iter().map(run).collect()
}
