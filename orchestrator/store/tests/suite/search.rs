//! Searching, sorting and counting against a real database, compared with looking at every saga; and rows of earlier versions.

use std::collections::BTreeMap;

use amends_core::standing::Standing;
use amends_core::state::SagaState;
use amends_database::Database;
use amends_engine::ports::{Rekeyed, Store, StoreError, StoredSaga};
use amends_schemas::command::StepError;
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::saga::{ListSagas, SagaStatus};
use amends_schemas::search::{SagaFilter, SagaSort, words};
use amends_store::SurrealStore;
use anyhow::{Result, ensure};
use chrono::TimeDelta;

use super::view::{all_pages, listed};
use crate::common::{at, check, database, id, saga, store};

const P: PartitionId = PartitionId(3);

const STATUSES: [SagaStatus; 5] =
    [SagaStatus::Running, SagaStatus::Completed, SagaStatus::Stuck, SagaStatus::Compensated, SagaStatus::Terminated];

/// The n-th of many sagas of all kinds, created in the n-th second and changed in an order of its own.
fn nth(n: u128) -> StoredSaga {
    let small = usize::try_from(n).expect("small in tests");
    let tags = [format!("event_{}", n % 7), format!("registration_{n}"), "vip".to_owned()];
    let tags: Vec<&str> = tags.iter().map(String::as_str).take(1 + small % 3).collect();
    let mut saga = saga(n, STATUSES[small % 5], ["registration", "checkout"][small / 5 % 2], &tags);
    saga.state.definition.version = 1 + u32::from(n.is_multiple_of(3));
    saga.state.updated_at = at(1_000 + i64::try_from(n * 7919 % 1009).expect("small"));
    if matches!(saga.state.status, SagaStatus::Stuck | SagaStatus::Compensated | SagaStatus::Terminated) {
        let step = ["pay", "tell"][small / 2 % 2];
        let code = ["card_declined", "gateway_timeout"][small / 3 % 2];
        let error = StepError::new(code, format!("The gateway said no to card {}.", n % 11));
        saga.standing = vec![Standing { step: step.into(), error: Some(error) }];
    } else if saga.state.status == SagaStatus::Running {
        saga.standing = vec![Standing { step: "reserve".into(), error: None }];
    }
    saga
}

/// As many, accepted in bursts, so that those of them that completed are posted.
fn in_bursts(n: u128) -> StoredSaga {
    let mut saga = nth(n);
    let small = i64::try_from(n).expect("small in tests");
    saga.state.created_at = at(small / 120 * 100) + TimeDelta::microseconds(small % 120);
    saga
}

/// How many rows a table has.
pub async fn row_count(database: &Database, table: &str) -> Result<usize> {
    let ids: Vec<String> = database.query(&format!("SELECT VALUE <string> id FROM {table}"), ()).await?.take(0)?;
    Ok(ids.len())
}

fn fits(filter: &SagaFilter, saga: &StoredSaga) -> bool {
    let state = &saga.state;
    let errors: Vec<&StepError> = saga.standing.iter().filter_map(|at| at.error.as_ref()).collect();
    let said = words(errors.iter().flat_map(|error| [&*error.code, &*error.message]));
    (filter.status.is_empty() || filter.status.contains(&state.status))
        && filter.paused.is_none_or(|paused| state.paused == paused)
        && filter.definition.as_deref().is_none_or(|name| *name == *state.definition.name)
        && filter.version.is_none_or(|version| state.definition.version == version)
        && filter.step.as_ref().is_none_or(|step| saga.standing.iter().any(|at| at.step == *step))
        && filter.error.as_ref().is_none_or(|code| errors.iter().any(|error| error.code == *code))
        && filter.text.as_deref().is_none_or(|text| words([text]).is_subset(&said))
        && filter.tag.iter().all(|tag| state.tags.contains(tag))
        && filter.tag_prefix.as_ref().is_none_or(|prefix| state.tags.iter().any(|tag| tag.starts_with(prefix)))
        && filter.created_from.is_none_or(|from| state.created_at >= from)
        && filter.created_to.is_none_or(|to| state.created_at < to)
        && filter.updated_from.is_none_or(|from| state.updated_at >= from)
        && filter.updated_to.is_none_or(|to| state.updated_at < to)
}

/// As looking at every saga finds it.
fn expected(sagas: &[StoredSaga], filter: &SagaFilter, sort: SagaSort) -> Vec<SagaId> {
    let mut found: Vec<&SagaState> = sagas.iter().filter(|saga| fits(filter, saga)).map(|saga| &saga.state).collect();
    found.sort_by_key(|state| match sort {
        SagaSort::NewestFirst | SagaSort::OldestFirst => (state.created_at, state.saga_id),
        SagaSort::ChangedLastFirst | SagaSort::ChangedFirstFirst => (state.updated_at, state.saga_id),
    });
    match sort {
        SagaSort::NewestFirst | SagaSort::ChangedLastFirst => found.reverse(),
        SagaSort::OldestFirst | SagaSort::ChangedFirstFirst => {}
    }
    found.into_iter().map(|state| state.saga_id).collect()
}

/// What a server is asked is a part of it: a debug build of one takes tens of milliseconds for a page.
fn filters() -> Vec<SagaFilter> {
    let every = if crate::REMOTE { 3 } else { 1 };
    all_filters().into_iter().step_by(every).collect()
}

fn all_filters() -> Vec<SagaFilter> {
    let any = SagaFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let stuck = || vec![SagaStatus::Stuck];
    vec![
        any(),
        SagaFilter { status: stuck(), ..any() },
        SagaFilter { status: vec![SagaStatus::Stuck, SagaStatus::Running, SagaStatus::Stuck], ..any() },
        SagaFilter { paused: Some(true), ..any() },
        SagaFilter { paused: Some(false), status: stuck(), ..any() },
        SagaFilter { definition: text("registration"), ..any() },
        SagaFilter { definition: text("registration"), version: Some(2), ..any() },
        SagaFilter { definition: text("checkout"), version: Some(2), status: stuck(), ..any() },
        SagaFilter {
            definition: text("checkout"),
            status: vec![SagaStatus::Completed, SagaStatus::Terminated],
            ..any()
        },
        SagaFilter { step: text("reserve"), ..any() },
        SagaFilter { step: text("pay"), ..any() },
        SagaFilter { step: text("pay"), status: stuck(), error: text("card_declined"), ..any() },
        SagaFilter { error: text("gateway_timeout"), ..any() },
        SagaFilter { text: text("GATEWAY: card 7"), ..any() },
        SagaFilter { text: text("declined"), definition: text("registration"), ..any() },
        SagaFilter { tag: vec!["event_3".into()], ..any() },
        SagaFilter { tag: vec!["event_3".into(), "vip".into()], status: stuck(), ..any() },
        SagaFilter { tag: vec!["event_3".into()], status: vec![SagaStatus::Stuck, SagaStatus::Completed], ..any() },
        SagaFilter { tag: vec!["registration_42".into()], ..any() },
        SagaFilter { tag_prefix: text("event_"), definition: text("registration"), ..any() },
        SagaFilter { tag_prefix: text("registration_4"), ..any() },
        SagaFilter { tag_prefix: text("v"), ..any() },
        SagaFilter { created_from: Some(at(100)), created_to: Some(at(200)), ..any() },
        SagaFilter { created_to: Some(at(50) + TimeDelta::nanoseconds(1)), status: stuck(), ..any() },
        SagaFilter { created_from: Some(at(290) + TimeDelta::nanoseconds(1)), ..any() },
        SagaFilter { updated_from: Some(at(1_100)), updated_to: Some(at(1_600)), ..any() },
        SagaFilter { updated_from: Some(at(1_500)), tag: vec!["event_3".into()], ..any() },
        SagaFilter { created_to: Some(at(250)), updated_to: Some(at(1_500)), definition: text("checkout"), ..any() },
        SagaFilter { error: text("nobody_has_it"), ..any() },
    ]
}

#[test]
fn every_filter_in_every_order_finds_what_looking_at_every_saga_finds() -> Result<()> {
    finds_what_looking_finds((0..300).map(nth).collect(), false)
}

#[test]
fn every_filter_in_every_order_finds_what_is_posted_too() -> Result<()> {
    finds_what_looking_finds((0..300).map(in_bursts).collect(), true)
}

fn finds_what_looking_finds(sagas: Vec<StoredSaga>, posted: bool) -> Result<()> {
    check(move |place| async move {
        let database = database(&place).await?;
        let store = SurrealStore::open(database.clone()).await?;
        store.project(P, 1, 1, &sagas).await?;
        assert_eq!(row_count(&database, "completed").await? > 0, posted);
        for filter in filters() {
            for sort in SagaSort::ALL {
                let expected = expected(&sagas, &filter, sort);
                for limit in [23, 200] {
                    let query = ListSagas { sort, ..listed(filter.clone()) };
                    let found = all_pages(&store, query, limit).await?;
                    ensure!(found == expected, "{sort:?} {filter:?}: {} for {}", found.len(), expected.len());
                }
            }
            let count = store.count(&filter).await?;
            let wanted = expected(&sagas, &filter, SagaSort::NewestFirst).len() as u64;
            ensure!((count.count, count.at_least) == (wanted, false), "{filter:?}: {count:?} for {wanted}");
        }
        for (age, wanted) in [("1h", 300), ("9000d", 0)] {
            let older = SagaFilter { older_than: age.parse().ok(), ..SagaFilter::default() };
            assert_eq!(store.count(&older).await?.count, wanted, "{age}");
        }
        Ok(())
    })
}

#[test]
fn a_filter_that_cannot_be_is_refused() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let wrong = SagaFilter { version: Some(1), ..SagaFilter::default() };
        assert!(matches!(store.list(&listed(wrong.clone())).await, Err(StoreError::Invalid(_))));
        assert!(matches!(store.count(&wrong).await, Err(StoreError::Invalid(_))));
        // A cursor belongs to its order, too.
        store.project(P, 1, 1, &(0..20).map(nth).collect::<Vec<_>>()).await?;
        let first = store.list(&ListSagas { limit: Some(5), ..ListSagas::default() }).await?;
        let other = ListSagas { sort: SagaSort::OldestFirst, cursor: first.next_cursor, ..ListSagas::default() };
        assert!(matches!(store.list(&other).await, Err(StoreError::Invalid(_))));
        Ok(())
    })
}

/// However few of many sagas fit: a page looks at so many and no more, and says where it stopped.
#[test]
fn a_page_that_finds_little_is_short_and_goes_on_where_it_stopped() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let sagas: Vec<StoredSaga> = (0..2_500)
            .map(|n| {
                // The seldom ones are the oldest; whoever looks from the newest on meets them last.
                let definition = if n < 3 { "seldom" } else { "often" };
                let mut saga = saga(n, SagaStatus::Completed, definition, &["vip"]);
                saga.state.paused = false;
                saga
            })
            .collect();
        store.project(P, 1, 1, &sagas).await?;
        let filter = SagaFilter { paused: Some(false), tag_prefix: Some("vi".into()), ..SagaFilter::default() };
        let none = SagaFilter { tag_prefix: Some("nobody".into()), ..filter.clone() };
        let first = store.list(&listed(none.clone())).await?;
        assert!(first.items.is_empty() && first.next_cursor.is_some(), "{first:?}");
        assert!(all_pages(&store, listed(none), 50).await?.is_empty());
        // A definition that few have is where to look, even in an order that has no place for the two together.
        let seldom = SagaFilter { definition: Some("seldom".into()), status: vec![SagaStatus::Completed], ..filter };
        for sort in SagaSort::ALL {
            let page = store.list(&ListSagas { sort, ..listed(seldom.clone()) }).await?;
            assert_eq!((page.items.len(), page.next_cursor), (3, None), "{sort:?}");
        }
        Ok(())
    })
}

#[test]
fn counts_follow_every_projection() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        assert_eq!(store.rekey(&|_| Vec::new()).await?, Rekeyed::Done);
        let mut sagas: Vec<StoredSaga> = (0..120).map(nth).collect();
        for (partition, part) in sagas.chunks(40).enumerate() {
            store.project(PartitionId(u16::try_from(partition)?), 1, 1, part).await?;
        }
        compare(&store, &sagas).await?;
        // Some change, some of them twice, and some are written again as they are.
        for round in 0..2_u128 {
            for (n, saga) in sagas.iter_mut().enumerate().take(30) {
                saga.state.status = STATUSES[(n + usize::try_from(round)?) % 3];
                saga.state.paused = n % 4 == 0;
            }
            store.project(PartitionId(0), 1, 2 + u64::try_from(round)?, &sagas[..35]).await?;
            compare(&store, &sagas).await?;
        }
        // An owner that was replaced changes nothing, the counts neither.
        store.project(PartitionId(0), 2, 9, &[]).await?;
        let late = saga(5_000, SagaStatus::Running, "registration", &[]);
        store.project(PartitionId(0), 1, 9, &[late]).await.unwrap_err();
        compare(&store, &sagas).await
    })
}

async fn compare(store: &SurrealStore, sagas: &[StoredSaga]) -> Result<()> {
    let mut wanted: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for state in sagas.iter().map(|saga| &saga.state) {
        let (count, paused) = wanted.entry((&state.definition.name, state.status.as_str())).or_default();
        *count += 1;
        *paused += u64::from(state.paused);
    }
    let counts = store.counts().await?;
    assert_eq!((counts.total, counts.complete), (sagas.len() as u64, true));
    let mut found = BTreeMap::new();
    for definition in &counts.definitions {
        for of in &definition.statuses {
            found.insert((&*definition.definition, of.status.as_str()), (of.count, of.paused));
        }
    }
    assert_eq!(found, wanted);
    for status in SagaStatus::ALL {
        let of = counts.statuses.iter().find(|of| of.status == status).expect("every status");
        let wanted = sagas.iter().filter(|saga| saga.state.status == status).count() as u64;
        assert_eq!(of.count, wanted, "{status:?}");
        let filter = SagaFilter { status: vec![status], ..SagaFilter::default() };
        assert_eq!((store.count(&filter).await?.count, store.count(&filter).await?.at_least), (wanted, false));
    }
    Ok(())
}

/// As a version wrote rows that knew fewer keys and no counts.
async fn age(database: &Database) -> Result<()> {
    let statements = "
        UPDATE saga SET keys = array::filter(keys, |$key| string::starts_with($key, 'u/') OR $key = '*'),
            turn = NONE, turns = NONE, view = NONE;
        DELETE tally; DELETE view;
    ";
    database.query(statements, ()).await?;
    Ok(())
}

#[test]
fn rows_of_earlier_versions_are_brought_up_to_date_page_by_page() -> Result<()> {
    check(|place| async move {
        let database = database(&place).await?;
        let store = SurrealStore::open(database.clone()).await?;
        let sagas: Vec<StoredSaga> = (0..500).map(nth).collect();
        store.project(P, 1, 1, &sagas).await?;
        age(&database).await?;
        assert!(!store.counts().await?.complete);
        let stuck = SagaFilter { status: vec![SagaStatus::Stuck], ..SagaFilter::default() };
        assert_eq!(store.count(&stuck).await?.count, 0, "they are not found yet");

        // Meanwhile some are projected; what is written is found and counted once.
        let by_id: BTreeMap<SagaId, StoredSaga> = sagas.iter().map(|saga| (saga.state.saga_id, saga.clone())).collect();
        let standing = |state: &SagaState| by_id[&state.saga_id].standing.clone();
        assert!(matches!(store.rekey(&standing).await?, Rekeyed::More { changed: 200 }));
        store.project(P, 1, 2, &sagas[150..450]).await?;
        assert!(matches!(store.rekey(&standing).await?, Rekeyed::More { changed: 0 }), "they are up to date already");
        drop(store);

        // Another process goes on where this one ended; two at once do no harm.
        let store = SurrealStore::open(database).await?;
        let finish = async || {
            while let Rekeyed::More { .. } = store.rekey(&standing).await? {}
            Ok::<(), StoreError>(())
        };
        let (one, other) = tokio::join!(finish(), finish());
        one?;
        other?;
        compare(&store, &sagas).await?;
        for filter in filters() {
            for sort in SagaSort::ALL {
                let found = all_pages(&store, ListSagas { sort, ..listed(filter.clone()) }, 200).await?;
                ensure!(found == expected(&sagas, &filter, sort), "{sort:?} {filter:?}");
            }
        }
        let loaded = store.load(id(2)).await?.map(|saga| saga.state);
        assert_eq!(loaded.as_ref(), Some(&by_id[&id(2)].state), "and their states are as they were");
        assert_eq!(store.rekey(&standing).await?, Rekeyed::Done);
        Ok(())
    })
}
