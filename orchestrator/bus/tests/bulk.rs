//! Bulk operations beside what cannot be operated here.

mod common;

use amends_schemas::bulk::{BulkAct, BulkOperation, BulkRef, BulkStatus, RefusalCount, StartBulk};
use amends_schemas::ids::BulkId;
use amends_schemas::operate::OperatorAct;
use amends_schemas::search::SagaFilter;
use amends_schemas::subjects::{ORCHESTRATOR_BULK_GET, ORCHESTRATOR_BULK_START};
use amends_test_support::wait::until;
use common::{FOUR, PATIENCE, World, in_time, library_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_saga_has_refused_and_the_operation_ends() {
    in_time(async {
        let world = World::new().await;
        let other = FOUR.replace("saga: four", "saga: other");
        let first = world.serving("first", library_of(&[FOUR, &other])).await;
        let parked = world.start("other").await;
        let served = world.start("four").await;
        first.stop().await;
        let without = world.serving("second", library_of(&[FOUR])).await;
        assert_eq!(without.status().parked().map(|saga| saga.saga_id).collect::<Vec<_>>(), [parked]);

        let bulk_id = BulkId::generate();
        let start = StartBulk {
            bulk_id,
            act: BulkAct::Operate(OperatorAct::Pause),
            filter: SagaFilter { tag: vec!["test".to_owned()], ..SagaFilter::default() },
            by: "ann".to_owned(),
            reason: "a pause".to_owned(),
            per_second: 100,
        };
        let begun: BulkOperation = world.ask_at(ORCHESTRATOR_BULK_START, &start).await.expect("it begins");
        assert_eq!(begun.status, BulkStatus::Running);
        let done = until("it to end", PATIENCE, async || {
            let question = BulkRef { bulk_id };
            let now = world.ask_at::<_, BulkOperation>(ORCHESTRATOR_BULK_GET, &question);
            now.await.ok().filter(|operation| operation.status == BulkStatus::Done)
        })
        .await;
        assert_eq!((done.done, done.refused), (1, 1), "{done:?}");
        assert_eq!(done.refusals, [RefusalCount { code: "definition_missing".to_owned(), count: 1 }]);
        assert_eq!(done.examples.iter().map(|refusal| refusal.saga_id).collect::<Vec<_>>(), [parked]);
        assert!(world.get(served).await.expect("served").paused);
    })
    .await;
}
