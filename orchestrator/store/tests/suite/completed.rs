//! Sagas that complete together: their rows move into a table without an index, and are found through posting lists.

use amends_database::Database;
use amends_engine::ports::{Rekeyed, Store, StoredSaga};
use amends_engine::retention::{Dropped, Retain};
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::saga::{ListSagas, SagaStatus};
use amends_schemas::search::{SagaFilter, SagaSort};
use amends_store::SurrealStore;
use anyhow::Result;
use chrono::TimeDelta;

use super::search::row_count;
use super::view::{all_pages, listed};
use crate::common::{Place, at, check, database, id, record, saga};

const P: PartitionId = PartitionId(3);

/// A new store, whose view is of this version.
async fn opened(place: &Place) -> Result<(Database, SurrealStore)> {
    let database = database(place).await?;
    let store = SurrealStore::open(database.clone()).await?;
    assert_eq!(store.rekey(&|_| Vec::new()).await?, Rekeyed::Done);
    Ok((database, store))
}

/// Accepted together.
fn together(n: u128, status: SagaStatus) -> StoredSaga {
    let mut saga = saga(n, status, "registration", &["event_1"]);
    saga.state.created_at = at(0) + TimeDelta::microseconds(i64::try_from(n).expect("small in tests"));
    saga.state.updated_at = saga.state.created_at;
    saga.state.paused = false;
    saga
}

fn some(range: std::ops::Range<u128>, status: SagaStatus) -> Vec<StoredSaga> {
    range.map(|n| together(n, status)).collect()
}

async fn rows(database: &Database) -> Result<(usize, usize)> {
    Ok((row_count(database, "saga").await?, row_count(database, "completed").await?))
}

/// Everybody is found once: by id, in each order, by the keys that all have, and counted.
async fn compare(store: &SurrealStore, sagas: &[StoredSaga]) -> Result<()> {
    for saga in sagas {
        let found = store.load(saga.state.saga_id).await?.map(|found| found.state);
        assert_eq!(found.as_ref(), Some(&saga.state));
    }
    let any = SagaFilter::default;
    let by_definition = SagaFilter { definition: Some("registration".into()), version: Some(1), ..any() };
    let by_tag = SagaFilter { tag: vec!["event_1".into()], ..any() };
    let by_kind = SagaFilter { tag_prefix: Some("event_".into()), ..any() };
    let completed = SagaFilter { status: vec![SagaStatus::Completed], ..any() };
    for filter in [any(), by_definition, by_tag, by_kind, completed] {
        let mut wanted: Vec<&StoredSaga> = sagas.iter().collect();
        wanted.retain(|saga| filter.status.is_empty() || filter.status.contains(&saga.state.status));
        for sort in SagaSort::ALL {
            wanted.sort_by_key(|saga| match sort {
                SagaSort::NewestFirst | SagaSort::OldestFirst => (saga.state.created_at, saga.state.saga_id),
                SagaSort::ChangedLastFirst | SagaSort::ChangedFirstFirst => (saga.state.updated_at, saga.state.saga_id),
            });
            let mut wanted: Vec<SagaId> = wanted.iter().map(|saga| saga.state.saga_id).collect();
            if matches!(sort, SagaSort::NewestFirst | SagaSort::ChangedLastFirst) {
                wanted.reverse();
            }
            let found = all_pages(store, ListSagas { sort, ..listed(filter.clone()) }, 7).await?;
            assert_eq!(found, wanted, "{sort:?} {filter:?}");
        }
        assert_eq!(store.count(&filter).await?.count, wanted.len() as u64, "{filter:?}");
    }
    let counts = store.counts().await?;
    assert_eq!(counts.total, sagas.len() as u64);
    for of in counts.statuses {
        let wanted = sagas.iter().filter(|saga| saga.state.status == of.status).count() as u64;
        assert_eq!(of.count, wanted, "{:?}", of.status);
    }
    Ok(())
}

#[test]
fn sagas_that_complete_move_and_those_that_change_move_back() -> Result<()> {
    check(|place| async move {
        let (database, store) = opened(&place).await?;
        let mut sagas = some(0..30, SagaStatus::Running);
        store.project(P, 1, 1, &sagas).await?;
        assert_eq!(rows(&database).await?, (30, 0));
        compare(&store, &sagas).await?;

        sagas[..20]
            .iter_mut()
            .for_each(|saga| *saga = together(saga.state.saga_id.uuid().as_u128() & 0xff, SagaStatus::Completed));
        store.project(P, 1, 2, &sagas[..20]).await?;
        assert_eq!(rows(&database).await?, (10, 20));
        compare(&store, &sagas).await?;

        // One alone is no burst: it stands with all its keys, and nowhere else.
        sagas[3].state.updated_at = at(77);
        store.project(P, 1, 3, &sagas[3..4]).await?;
        assert_eq!(rows(&database).await?, (11, 19));
        compare(&store, &sagas).await?;

        // Those that change as many at once are posted elsewhere, also when they no longer are what they were.
        for (n, saga) in sagas[4..14].iter_mut().enumerate() {
            saga.state.updated_at = at(200) + TimeDelta::milliseconds(i64::try_from(n)?);
        }
        store.project(P, 1, 4, &sagas[4..14]).await?;
        assert_eq!(rows(&database).await?, (11, 19));
        compare(&store, &sagas).await?;
        sagas[5].state.status = SagaStatus::Running;
        sagas[6].state.paused = true;
        store.project(P, 1, 5, &sagas[..20]).await?;
        assert_eq!(rows(&database).await?, (12, 18));
        compare(&store, &sagas).await
    })
}

/// What a page reads moves from one table into the other and back.
#[test]
fn a_page_finds_everybody_once_while_they_move() -> Result<()> {
    const MOVES: u64 = 20;
    check(|place| async move {
        let (_, store) = opened(&place).await?;
        let (running, completed) = (some(0..30, SagaStatus::Running), some(0..30, SagaStatus::Completed));
        store.project(P, 1, 1, &running).await?;
        let (moved, mut moving) = tokio::sync::oneshot::channel();
        let mover = store.clone();
        let moves = tokio::spawn(async move {
            for position in 2..2 + MOVES {
                let sagas = if position % 2 == 0 { &completed } else { &running };
                mover.project(P, 1, position, sagas).await?;
            }
            // Who reads has failed when nobody hears it.
            let _ = moved.send(());
            anyhow::Ok(())
        });
        let mut wanted: Vec<SagaId> = (0..30).map(id).collect();
        wanted.sort_unstable();
        while moving.try_recv().is_err() {
            for sort in SagaSort::ALL {
                let page = store.list(&ListSagas { sort, limit: Some(100), ..ListSagas::default() }).await?;
                let mut found: Vec<SagaId> = page.items.iter().map(|item| item.saga_id).collect();
                found.sort_unstable();
                assert_eq!(found, wanted, "{sort:?}");
            }
            assert_eq!(store.count(&SagaFilter::default()).await?.count, 30);
            assert_eq!(store.counts().await?.total, 30);
        }
        moves.await?
    })
}

/// Its commit's answer may have been lost, and then the same is tried again.
#[test]
fn what_is_taken_for_new_and_is_there_is_found_once() -> Result<()> {
    check(|place| async move {
        let (database, store) = opened(&place).await?;
        let mut sagas = some(0..20, SagaStatus::Completed);
        sagas.extend(some(20..25, SagaStatus::Running));
        sagas.iter_mut().for_each(|saga| saga.is_new = true);
        for _ in 0..2 {
            store.project(P, 1, 1, &sagas).await?;
            assert_eq!(rows(&database).await?, (5, 20));
            compare(&store, &sagas).await?;
        }
        Ok(())
    })
}

#[test]
fn what_completed_goes_from_everywhere_when_it_is_past_keeping() -> Result<()> {
    check(|place| async move {
        let (database, store) = opened(&place).await?;
        let mut sagas = some(0..30, SagaStatus::Completed);
        store.project(P, 1, 1, &sagas).await?;
        // This one has changed since it was noted.
        sagas[29].state.updated_at = at(300);
        store.project(P, 1, 2, &sagas[20..]).await?;
        let gone = |saga: &StoredSaga| Dropped {
            saga_id: saga.state.saga_id,
            definition: saga.state.definition.name.to_string(),
            settled_at: saga.state.created_at,
            has_moved: false,
        };
        let noted: Vec<Dropped> = sagas.iter().map(gone).collect();
        store.forget(P, 1, &noted[..10]).await?;
        assert_eq!(rows(&database).await?, (0, 20));
        let page = all_pages(&store, ListSagas::default(), 100).await?;
        assert_eq!(page, (10..30).rev().map(id).collect::<Vec<_>>());
        store.forget(P, 1, &noted).await?;
        assert_eq!(rows(&database).await?, (0, 1));
        assert_eq!(all_pages(&store, ListSagas::default(), 100).await?, [id(29)]);
        assert_eq!(store.counts().await?.total, 1);

        store.forget(P, 1, &[Dropped { settled_at: at(300), ..gone(&sagas[29]) }]).await?;
        for table in ["saga", "completed", "posting"] {
            assert_eq!(row_count(&database, table).await?, 0, "{table}");
        }
        Ok(())
    })
}

/// Of facts behind the checkpoint a new owner needs the rows that have them already.
#[test]
fn a_completed_row_that_is_newer_than_the_checkpoint_is_recovered() -> Result<()> {
    check(|place| async move {
        let (_, store) = opened(&place).await?;
        for position in 1..=12 {
            store.append(&record(P.0, position, 1, "one")).await?;
        }
        store.project(P, 1, 2, &some(1..13, SagaStatus::Completed)).await?;
        let recovered = store.recover(P).await?;
        let mut found: Vec<SagaId> = recovered.sagas.iter().map(|saga| saga.state.saga_id).collect();
        found.sort_unstable();
        assert_eq!(found, (3..13).map(id).collect::<Vec<_>>());
        Ok(())
    })
}
