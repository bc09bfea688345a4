//! Bulk operations against a real database: compare-and-set, and a runner that is killed, paused and ended at chosen moments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_engine::bulk::{BulkDesk, BulkRecord, BulkRunner, BulkStore, Operators};
use amends_engine::chore::Chore;
use amends_engine::ports::{Store, StoredSaga};
use amends_schemas::bulk::{BulkAct, BulkOperation, BulkStatus, BulkVerb, CancelAct, ControlBulk, ListBulk, StartBulk};
use amends_schemas::ids::{BulkId, PartitionId, SagaId};
use amends_schemas::operate::{OperateSaga, OperatorAct};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{CancelSaga, SagaStatus};
use amends_schemas::search::SagaFilter;
use amends_store::SurrealStore;
use amends_test_support::wait::{Deadline, until};
use anyhow::Result;
use async_trait::async_trait;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::common::{check, saga, store};

const P: PartitionId = PartitionId(3);

/// How long one operation of a test may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// An id, by whom, and why.
type Asked = (Uuid, String, String);

/// Owners of partitions that do as the test says, and know what they were asked.
#[derive(Default)]
struct Owners {
    asked: Mutex<BTreeMap<SagaId, Vec<Asked>>>,
    /// Sagas whose owner has done it or refused.
    answered: Mutex<BTreeSet<SagaId>>,
    calls: AtomicUsize,
    /// From this call on nobody answers, as if the process that asks was gone.
    silent_from: Mutex<Option<usize>>,
}

impl Owners {
    async fn answer(&self, saga_id: SagaId, operation_id: Uuid, by: &str, reason: &str) -> Result<(), Problem> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.asked.lock().expect("not poisoned").entry(saga_id).or_default().push((
            operation_id,
            by.into(),
            reason.into(),
        ));
        let silent_from = *self.silent_from.lock().expect("not poisoned");
        if silent_from.is_some_and(|from| call >= from) {
            return std::future::pending().await;
        }
        // Each ninth call meets a partition between two owners; each tenth saga is where the verb is illegal.
        if call % 9 == 8 {
            return Err(Problem::unavailable("no_responders", "nobody owns it"));
        }
        self.answered.lock().expect("not poisoned").insert(saga_id);
        match saga_id.0.as_u128() % 10 {
            0 => Err(Problem::conflict("illegal_here", "it is elsewhere")),
            _ => Ok(()),
        }
    }

    fn touched(&self) -> BTreeSet<SagaId> {
        self.asked.lock().expect("not poisoned").keys().copied().collect()
    }
}

#[async_trait]
impl Operators for Owners {
    async fn operate(&self, request: &OperateSaga) -> Result<(), Problem> {
        self.answer(request.saga_id, request.operation_id, &request.by, &request.reason).await
    }

    async fn cancel(&self, request: &CancelSaga) -> Result<(), Problem> {
        self.answer(request.saga_id, Uuid::nil(), &request.by, &request.reason).await
    }
}

fn desk(store: &SurrealStore) -> BulkDesk {
    BulkDesk { store: Arc::new(store.clone()), bulks: Arc::new(store.clone()) }
}

fn run(store: &SurrealStore, owners: &Arc<Owners>) -> JoinHandle<()> {
    let (store, bulks, operators) = (Arc::new(store.clone()), Arc::new(store.clone()), Arc::<Owners>::clone(owners));
    let runner = BulkRunner { store, bulks, operators };
    tokio::spawn(async move { runner.run().await })
}

fn stuck() -> SagaFilter {
    SagaFilter { status: vec![SagaStatus::Stuck], ..SagaFilter::default() }
}

fn retry(filter: SagaFilter) -> StartBulk {
    StartBulk {
        bulk_id: BulkId::generate(),
        act: BulkAct::Operate(OperatorAct::Retry { step: None }),
        filter,
        by: "ann".into(),
        reason: "the gateway is back".into(),
        per_second: 500,
    }
}

async fn at_rest(desk: &BulkDesk, bulk_id: BulkId) -> BulkOperation {
    let mut deadline = Deadline::after(DEADLINE);
    loop {
        match desk.get(bulk_id).await {
            Ok(operation) if matches!(operation.status, BulkStatus::Done | BulkStatus::Cancelled) => return operation,
            other => deadline.pause(&format!("the bulk operation to end: {other:?}")).await,
        }
    }
}

fn sagas(status: SagaStatus, range: std::ops::Range<u128>) -> Vec<StoredSaga> {
    range.map(|n| saga(n, status, "registration", &["t"])).collect()
}

#[test]
fn a_bulk_operation_is_changed_by_compare_and_set() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let desk = desk(&store);
        let mut begun = Vec::new();
        for _ in 0..5 {
            let request = retry(stuck());
            let operation = desk.start(request.clone()).await.expect("begun");
            assert_eq!(desk.start(request.clone()).await.as_ref(), Ok(&operation), "a repeat is answered as it stands");
            let other = StartBulk { reason: "another".into(), ..request };
            assert_eq!(desk.start(other).await.unwrap_err().code, "bulk_exists");
            begun.push(operation);
        }
        let running = store.running_bulk(3).await?;
        assert_eq!(
            running.iter().map(|record| &record.operation).collect::<Vec<_>>(),
            begun.iter().take(3).collect::<Vec<_>>()
        );
        let mut next: BulkRecord = running[0].clone();
        next.revision += 1;
        next.page = vec![SagaId::generate()];
        assert!(store.replace_bulk(&next).await?);
        assert!(!store.replace_bulk(&next).await?, "somebody else was first");
        assert_eq!(store.load_bulk(next.operation.bulk_id).await?, Some(next.clone()));
        let missing =
            BulkRecord { operation: BulkOperation { bulk_id: BulkId::generate(), ..next.operation.clone() }, ..next };
        assert!(!store.replace_bulk(&missing).await?);
        assert_eq!(store.load_bulk(missing.operation.bulk_id).await?, None);

        let mut listed = Vec::new();
        let mut query = ListBulk { limit: Some(2), ..ListBulk::default() };
        loop {
            let page = desk.list(&query).await.expect("a page");
            listed.extend(page.items.into_iter().map(|operation| operation.bulk_id));
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => break,
            }
        }
        assert_eq!(listed, begun.iter().rev().map(|operation| operation.bulk_id).collect::<Vec<_>>());
        query.cursor = Some("x".into());
        assert_eq!(desk.list(&query).await.unwrap_err().code, "invalid_list");
        Ok(())
    })
}

#[test]
fn a_bulk_operation_that_is_killed_goes_on_and_counts_each_saga_once() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let desk = desk(&store);
        store.project(P, 1, 1, &sagas(SagaStatus::Stuck, 0..250)).await?;
        store.project(P, 1, 1, &sagas(SagaStatus::Completed, 250..300)).await?;
        let found = desk.preview(&stuck()).await.expect("a preview");
        assert_eq!((found.count.count, found.items.len()), (250, 50));
        assert_eq!(found.items[0].saga_id, crate::common::id(0), "the oldest comes first");
        assert!(desk.list(&ListBulk::default()).await.expect("a page").items.is_empty(), "nothing is begun by it");

        let request = retry(stuck());
        let begun = desk.start(request.clone()).await.expect("begun");
        assert_eq!((begun.status, begun.matched.count), (BulkStatus::Running, 250));
        let owners = Arc::new(Owners::default());
        for silent_from in [40, 170] {
            *owners.silent_from.lock().expect("not poisoned") = Some(silent_from);
            let runner = run(&store, &owners);
            until("it to be in the middle", DEADLINE, async || {
                (owners.calls.load(Ordering::SeqCst) >= silent_from + 5).then_some(())
            })
            .await;
            runner.abort();
            let _ = runner.await;
            // What has been operated is no longer stuck: a filter would not find it again.
            let touched = owners.touched();
            let moved: Vec<StoredSaga> = sagas(SagaStatus::Running, 0..250)
                .into_iter()
                .filter(|saga| touched.contains(&saga.state.saga_id))
                .collect();
            store.project(P, 1, 2, &moved).await?;
        }
        *owners.silent_from.lock().expect("not poisoned") = None;
        // Two at once, as when an owner was replaced without knowing.
        let runners = [run(&store, &owners), run(&store, &owners)];
        let ended = at_rest(&desk, request.bulk_id).await;
        runners.iter().for_each(JoinHandle::abort);
        assert_eq!((ended.status, ended.done, ended.refused), (BulkStatus::Done, 225, 25), "{ended:?}");
        assert_eq!(ended.refusals.iter().map(|of| (&*of.code, of.count)).collect::<Vec<_>>(), [("illegal_here", 25)]);
        assert_eq!(ended.examples.len(), 25);
        let expected: BTreeSet<SagaId> = (0..250).map(crate::common::id).collect();
        assert_eq!(owners.touched(), expected, "all of them, and nobody else");
        for (saga_id, asked) in &*owners.asked.lock().expect("not poisoned") {
            let reason = format!("the gateway is back (bulk operation {})", request.bulk_id);
            let wanted = (request.bulk_id.operation_id(*saga_id), "ann".to_owned(), reason);
            assert!(asked.iter().all(|asked| *asked == wanted), "{asked:?}");
        }
        assert_eq!(desk.start(request).await.expect("a repeat"), ended);
        Ok(())
    })
}

#[test]
fn a_bulk_operation_is_paused_resumed_and_ended() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let desk = desk(&store);
        store.project(P, 1, 1, &sagas(SagaStatus::Stuck, 0..150)).await?;
        let owners = Arc::new(Owners::default());
        let runner = run(&store, &owners);
        let control = async |bulk_id, verb| {
            desk.control(&ControlBulk { bulk_id, verb, by: "bob".into(), reason: "lunch".into() }).await
        };
        let cancel = BulkAct::Cancel(CancelAct::Cancel {});
        let slow = StartBulk { per_second: 50, act: cancel, ..retry(stuck()) };
        desk.start(slow.clone()).await.expect("begun");
        let touched = |least: usize| {
            let owners = Arc::clone(&owners);
            async move { (owners.touched().len() >= least).then_some(()) }
        };
        until("it to be under way", DEADLINE, async || touched(10).await).await;
        let paused = control(slow.bulk_id, BulkVerb::Pause).await.expect("paused");
        assert_eq!((paused.status, paused.changes.len()), (BulkStatus::Paused, 1));
        assert_eq!(control(slow.bulk_id, BulkVerb::Pause).await.expect("it is so already").changes.len(), 1);
        // What was asked when it was paused is still counted; then nothing is under way any more.
        let rested = until("it to rest", DEADLINE, async || {
            let operation = desk.get(slow.bulk_id).await.ok()?;
            let answered = owners.answered.lock().expect("not poisoned").len() as u64;
            (operation.done + operation.refused == answered).then_some(operation)
        })
        .await;
        assert!(rested.status == BulkStatus::Paused && rested.done + rested.refused < 150, "{rested:?}");
        control(slow.bulk_id, BulkVerb::Resume).await.expect("resumed");
        let ended = at_rest(&desk, slow.bulk_id).await;
        assert_eq!((ended.status, ended.done, ended.refused), (BulkStatus::Done, 135, 15));
        let changes: Vec<(BulkVerb, &str, &str)> =
            ended.changes.iter().map(|change| (change.verb, &*change.by, &*change.reason)).collect();
        assert_eq!(changes, [(BulkVerb::Pause, "bob", "lunch"), (BulkVerb::Resume, "bob", "lunch")]);
        assert_eq!(control(slow.bulk_id, BulkVerb::Cancel).await.unwrap_err().code, "illegal_here");

        let other = StartBulk { per_second: 1, ..retry(stuck()) };
        desk.start(other.clone()).await.expect("begun");
        control(other.bulk_id, BulkVerb::Cancel).await.expect("ended");
        assert_eq!(
            control(other.bulk_id, BulkVerb::Cancel).await.expect("it is so already").status,
            BulkStatus::Cancelled
        );
        assert_eq!(control(other.bulk_id, BulkVerb::Resume).await.unwrap_err().code, "illegal_here");
        // What is accepted after an operation was created is not meant by it.
        let late: Vec<StoredSaga> = sagas(SagaStatus::Stuck, 1_000..1_010)
            .into_iter()
            .map(|mut saga| {
                saga.state.created_at = chrono::Utc::now() + chrono::TimeDelta::hours(1);
                saga
            })
            .collect();
        let meant = retry(stuck());
        desk.start(meant.clone()).await.expect("begun");
        store.project(P, 1, 3, &late).await?;
        let ended = at_rest(&desk, meant.bulk_id).await;
        runner.abort();
        assert_eq!(ended.done + ended.refused, 150);
        assert!(late.iter().all(|saga| !owners.touched().contains(&saga.state.saga_id)));
        Ok(())
    })
}
