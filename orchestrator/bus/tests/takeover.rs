//! An owner that writes its view while another takes over.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_bus::{Orchestrator, OrchestratorParts};
use amends_engine::ports::{JournalRecord, Store, StoreError, StoredSaga};
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::saga::{ListSagas, SagaStatus};
use amends_schemas::search::SagaFilter;
use amends_test_support::store::{Intercepted, Interceptor};
use amends_test_support::wait::until;
use async_trait::async_trait;
use common::worker::{Workers, succeed};
use common::{Everybodys, PARTITIONS, PATIENCE, World, in_time, library, owns_all};
use futures::future::join_all;
use tokio::sync::watch;

/// Enough that many are accepted together in each partition.
const SAGAS: usize = 40;

/// Sagas accepted in the same span of the clock go into posting lists together.
const SPAN: Duration = Duration::from_micros(1 << 18);

/// Partitions in which something has happened.
type Partitions = watch::Sender<BTreeSet<PartitionId>>;

/// Holds the first rows that the first owner writes back until the second has read everything and is about to take over.
#[derive(Default)]
struct AtTheLastMoment {
    held: Partitions,
    taken_over: Partitions,
    written: Partitions,
}

fn happened(partitions: &Partitions, partition: PartitionId) {
    partitions.send_modify(|partitions| {
        partitions.insert(partition);
    });
}

async fn has_happened(partitions: &Partitions, partition: PartitionId) {
    let mut partitions = partitions.subscribe();
    partitions.wait_for(|partitions| partitions.contains(&partition)).await.expect("its sender is here");
}

#[async_trait]
impl Interceptor for AtTheLastMoment {
    async fn append(&self, store: &dyn Store, record: &JournalRecord) -> Result<(), StoreError> {
        if record.epoch == 2 {
            happened(&self.taken_over, record.partition);
            has_happened(&self.written, record.partition).await;
        }
        store.append(record).await
    }

    async fn project(
        &self,
        store: &dyn Store,
        partition: PartitionId,
        (epoch, checkpoint): (u64, u64),
        sagas: &[StoredSaga],
    ) -> Result<(), StoreError> {
        let is_held = epoch == 1 && !sagas.is_empty();
        if is_held {
            happened(&self.held, partition);
            has_happened(&self.taken_over, partition).await;
        }
        let projected = store.project(partition, epoch, checkpoint, sagas).await;
        if is_held {
            happened(&self.written, partition);
        }
        projected
    }
}

/// So that none of those started then stands alone in a span, which would make its row be written as any other.
fn until_next_span() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
    SPAN - Duration::from_micros((now.as_micros() % SPAN.as_micros()) as u64)
}

async fn listed(world: &World, status: Vec<SagaStatus>) -> Vec<SagaId> {
    let filter = SagaFilter { status, ..SagaFilter::default() };
    let page = world.store.list(&ListSagas { filter, limit: Some(2 * SAGAS), ..ListSagas::default() }).await;
    page.expect("a page").items.into_iter().map(|item| item.saga_id).collect()
}

/// The second owner began none of these sagas: it must not take them for new, for their rows may have come after it looked.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_owner_before_writes_while_it_is_replaced_are_written_over() {
    in_time(async {
        let world = World::new().await;
        let store = Arc::new(Intercepted::new(
            Arc::<amends_store::SurrealStore>::clone(&world.store),
            AtTheLastMoment::default(),
        ));
        let start = async |owner: &str| {
            let store = Arc::clone(&store) as Arc<dyn Store>;
            let parts = OrchestratorParts { store, ..world.parts(owner, library()) };
            let orchestrator = Orchestrator::start_with(parts, |_, _| Arc::new(Everybodys)).await.expect("it starts");
            until("it to own", PATIENCE, async || owns_all(&orchestrator).then_some(())).await;
            orchestrator
        };
        let first = start("first").await;
        tokio::time::sleep(until_next_span()).await;
        let mut sagas: Vec<SagaId> = join_all((0..SAGAS).map(|_| world.start("four"))).await;
        sagas.sort_unstable();
        until("the first to write rows of running sagas", PATIENCE, async || {
            (store.interceptor.held.borrow().len() == usize::from(PARTITIONS)).then_some(())
        })
        .await;
        // Completed in the journal; no row says so yet.
        let _workers = Workers::start(&world.client, succeed);
        for saga_id in &sagas {
            world.until_status(*saga_id, SagaStatus::Completed).await;
        }

        let _second = start("second").await;
        drop(first);
        until("all to be listed as completed", PATIENCE, async || {
            (listed(&world, vec![SagaStatus::Completed]).await.len() >= SAGAS).then_some(())
        })
        .await;
        let mut all = listed(&world, Vec::new()).await;
        all.sort_unstable();
        assert_eq!(all, sagas, "each once");
        assert_eq!(world.store.counts().await.expect("counted").total, sagas.len() as u64);
    })
    .await;
}
