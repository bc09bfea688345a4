//! Retention against a real database: slabs leave the journal, what is wanted stays readable, nothing is lost twice over.

use amends_core::event::{Event, Fact};
use amends_database::Database;
use amends_engine::ports::{JournalEntry, JournalRecord, ParkedFacts, Store, StoreError, StoredSaga};
use amends_engine::retention::{Cut, Cutoffs, Dropped, Retain, SlabBounds};
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::saga::SagaStatus;
use amends_store::SurrealStore;
use anyhow::Result;
use serde_json::json;

use crate::common::{at, check, database, id, record, saga, store};

const P: PartitionId = PartitionId(3);

/// As much as there is.
const ALL: SlabBounds = SlabBounds {
    before: chrono::DateTime::<chrono::Utc>::MAX_UTC,
    records_max: 1000,
    bytes_max: usize::MAX,
    sagas_max: 1000,
};

/// The step is the fact's own number, so that each can be told.
fn fact(step: usize) -> Event {
    Event { at: at(1), fact: Fact::StepSkipped { step } }
}

/// Ten records: each has a fact of saga 1 (long under way), one of saga 2 (settled, kept longer) and one of a saga of its own
/// (settled), 101 to 110. All of it is projected.
async fn ten(store: &SurrealStore) -> Result<Vec<StoredSaga>> {
    for position in 1..=10 {
        let entry = |n: u64| JournalEntry { saga_id: id(n.into()), events: vec![fact(position as usize)] };
        let entries = vec![entry(1), entry(2), entry(100 + position)];
        store.append(&JournalRecord { entries, ..record(3, position, 1, "a") }).await?;
    }
    let all: Vec<u64> = (1..=10).collect();
    let mut sagas = vec![
        StoredSaga { positions: all.clone(), ..saga(1, SagaStatus::Running, "slow", &[]) },
        StoredSaga { positions: all, ..saga(2, SagaStatus::Completed, "kept", &[]) },
    ];
    for n in 1..=10 {
        sagas.push(StoredSaga { positions: vec![n], ..saga(u128::from(100 + n), SagaStatus::Completed, "short", &[]) });
    }
    store.project(P, 1, 10, &sagas).await?;
    Ok(sagas)
}

fn dropped(saga: &StoredSaga) -> Dropped {
    Dropped {
        saga_id: saga.state.saga_id,
        definition: saga.state.definition.name.to_string(),
        settled_at: saga.state.updated_at,
        has_moved: false,
    }
}

/// The numbers of a saga's facts that are still there.
async fn steps(store: &SurrealStore, saga: &StoredSaga) -> Result<Vec<usize>> {
    let events = store.retention().history(P, saga.state.saga_id, &saga.positions, 1000).await?;
    Ok(events.iter().filter_map(|event| event.fact.step()).collect())
}

async fn positions(store: &SurrealStore) -> Result<Vec<u64>> {
    let records = store.records(P, &(1..=20).collect::<Vec<_>>()).await?;
    Ok(records.iter().map(|record| record.position).collect())
}

/// Cuts the next slab of at most three records, dropping the short sagas.
async fn cut(store: &SurrealStore) -> Result<(u64, u64)> {
    let slab = store.oldest(P, 9, SlabBounds { records_max: 3, ..ALL }).await?.expect("there is more");
    let short = slab.settled.iter().filter(|old| &*old.saga.state.definition.name == "short");
    let dropping: Vec<Dropped> = short.map(|old| dropped(&old.saga)).collect();
    let cut = Cut { from: slab.from, upto: slab.upto, dropped: &dropping, gone: &slab.gone };
    // Once more is as once: the answer may be lost.
    store.truncate(P, 1, cut.clone()).await?;
    store.truncate(P, 1, cut).await?;
    Ok((slab.from, slab.upto))
}

#[test]
fn slabs_leave_the_journal_and_what_is_wanted_stays_readable() -> Result<()> {
    check(|place| async move {
        let first = store(&place).await?;
        let sagas = ten(&first).await?;
        let every: Vec<usize> = (1..=10).collect();
        for (slab, left) in [((1, 3), 4), ((4, 6), 7), ((7, 9), 10)] {
            assert_eq!(cut(&first).await?, slab);
            assert_eq!(positions(&first).await?, (left..=10).collect::<Vec<_>>());
            assert_eq!(steps(&first, &sagas[0]).await?, every, "under way");
            assert_eq!(steps(&first, &sagas[1]).await?, every, "kept longer");
            for short in &sagas[2..] {
                let there = short.positions[0] >= left;
                assert_eq!(!steps(&first, short).await?.is_empty(), there, "{:?}", short.positions);
                assert_eq!(first.load(short.state.saga_id).await?.as_ref(), Some(short), "the saga itself stays");
            }
        }
        assert_eq!(first.oldest(P, 9, ALL).await?, None, "the record at the checkpoint stays");
        assert_eq!(
            first.retention().history(P, id(1), &sagas[0].positions, 4).await?.len(),
            5,
            "one more than asked for"
        );
        drop(first);

        let again = store(&place).await?;
        let recovered = again.recover(P).await?;
        assert_eq!((recovered.last_position, recovered.last_epoch, recovered.tail.len()), (10, 1, 0));
        assert_eq!(recovered.sagas, sagas[..1]);
        again.append(&record(3, 11, 2, "b")).await?;
        assert_eq!(again.recover(P).await?.tail.len(), 1);
        assert_eq!(steps(&again, &sagas[0]).await?, every);
        Ok(())
    })
}

#[test]
fn a_slab_is_as_large_as_it_may_be_and_says_who_is_in_it() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let sagas = ten(&store).await?;
        for (bounds, upto) in [
            (ALL, 9),
            (SlabBounds { records_max: 4, ..ALL }, 4),
            (SlabBounds { bytes_max: 1, ..ALL }, 1),
            (SlabBounds { sagas_max: 4, ..ALL }, 2),
            (SlabBounds { before: at(6), ..ALL }, 5),
        ] {
            let slab = store.oldest(P, 9, bounds).await?.expect("there is something");
            assert_eq!((slab.from, slab.upto), (1, upto), "{bounds:?}");
        }
        assert_eq!(store.oldest(P, 9, SlabBounds { before: at(1), ..ALL }).await?, None);
        let slab = store.oldest(P, 2, ALL).await?.expect("there is something");
        let found: Vec<SagaId> = slab.settled.iter().map(|old| old.saga.state.saga_id).collect();
        assert_eq!(found, [2, 101, 102].map(id), "settled ones");
        assert!(slab.settled.iter().all(|old| !old.dropped_before));
        // The kept one is dropped with the first slab although it has facts in the second.
        let both = [dropped(&sagas[1]), dropped(&sagas[2])];
        store.truncate(P, 1, Cut { from: 1, upto: 1, dropped: &both, gone: &[] }).await?;
        let slab = store.oldest(P, 2, ALL).await?.expect("there is something");
        let before: Vec<bool> = slab.settled.iter().map(|old| old.dropped_before).collect();
        assert_eq!(before, [true, false]);
        assert_eq!(steps(&store, &sagas[1]).await?, (2..=10).collect::<Vec<_>>(), "what stands in later slabs");
        Ok(())
    })
}

#[test]
fn what_was_moved_goes_when_it_is_past_keeping_too() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let sagas = ten(&store).await?;
        cut(&store).await?;
        cut(&store).await?;
        let page = store.kept(P, None).await?;
        assert_eq!(page.settled, sagas[1..2], "the one under way is not among them");
        assert_eq!(page.next, None);
        assert_eq!(store.kept(PartitionId(4), None).await?.settled, []);
        store.drop_kept(P, 1, &[dropped(&sagas[1])]).await?;
        assert_eq!(store.kept(P, None).await?.settled, []);
        assert_eq!(steps(&store, &sagas[1]).await?, [7, 8, 9, 10]);
        assert_eq!(steps(&store, &sagas[0]).await?.len(), 10);
        Ok(())
    })
}

#[test]
fn sagas_without_facts_go_last_unless_they_changed() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let mut sagas = ten(&store).await?;
        cut(&store).await?;
        let cutoff = |second| Cutoffs { default: at(0), definitions: [("short".to_owned(), at(second))].into() };
        assert_eq!(store.expired(P, &cutoff(101), 10).await?, [], "at that second is not before it");
        let two: Vec<Dropped> = store.expired(P, &cutoff(103), 10).await?;
        assert_eq!(two.iter().map(|saga| saga.saga_id).collect::<Vec<_>>(), [101, 102].map(id));
        assert_eq!(store.expired(P, &cutoff(200), 1).await?.len(), 1, "no more than asked for");
        assert_eq!(store.expired(PartitionId(4), &cutoff(200), 10).await?, []);
        // The second one was cancelled meanwhile.
        sagas[3].state.updated_at = at(9000);
        store.project(P, 1, 10, &sagas[3..4]).await?;
        let before = store.counts().await?.total;
        store.forget(P, 1, &two).await?;
        store.forget(P, 1, &two).await?;
        assert_eq!(store.counts().await?.total, before - 1, "counted no more");
        assert_eq!(store.load(id(101)).await?, None);
        assert_eq!(store.load(id(102)).await?.as_ref(), Some(&sagas[3]));
        let left: Vec<SagaId> = store.expired(P, &cutoff(20_000), 10).await?.iter().map(|saga| saga.saga_id).collect();
        assert_eq!(left, [id(103)], "the changed one is noted again when its new facts go");
        // Facts of a saga that has gone are of no use to anybody.
        let entries = vec![JournalEntry { saga_id: id(101), events: vec![fact(1)] }];
        store.append(&JournalRecord { entries, ..record(3, 11, 1, "a") }).await?;
        store.append(&record(3, 12, 1, "a")).await?;
        store.project(P, 1, 12, &[]).await?;
        while let Some(slab) = store.oldest(P, 11, SlabBounds { records_max: 4, ..ALL }).await? {
            assert_eq!(slab.gone.contains(&id(101)), slab.upto == 11);
            store.truncate(P, 1, Cut { from: slab.from, upto: slab.upto, dropped: &[], gone: &slab.gone }).await?;
        }
        assert_eq!(store.retention().history(P, id(101), &[11], 10).await?, []);
        Ok(())
    })
}

#[test]
fn an_owner_that_was_replaced_takes_nothing_out() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let sagas = ten(&store).await?;
        store.project(P, 2, 10, &[]).await?;
        let gone = [dropped(&sagas[2])];
        let fenced = [
            store.truncate(P, 1, Cut { from: 1, upto: 3, dropped: &gone, gone: &[] }).await,
            store.drop_kept(P, 1, &gone).await,
            store.forget(P, 1, &gone).await,
        ];
        for result in fenced {
            assert!(matches!(result, Err(StoreError::Fenced { epoch: 2, .. })), "{result:?}");
        }
        assert_eq!(positions(&store).await?.len(), 10);
        // Neither does an owner that skips a record, or goes beyond the checkpoint.
        for (from, upto) in [(2, 3), (1, 10), (1, 11)] {
            let result = store.truncate(P, 2, Cut { from, upto, dropped: &[], gone: &[] }).await;
            assert!(matches!(result, Err(StoreError::Invalid(_))), "{from} {upto}: {result:?}");
        }
        store.truncate(P, 2, Cut { from: 1, upto: 3, dropped: &gone, gone: &[] }).await?;
        assert_eq!(positions(&store).await?.len(), 7);
        Ok(())
    })
}

#[test]
fn a_gap_behind_what_was_taken_out_is_damage() -> Result<()> {
    check(|place| async move {
        let database = database(&place).await?;
        let store = SurrealStore::open(database.clone()).await?;
        let sagas = ten(&store).await?;
        cut(&store).await?;
        assert_eq!(store.recover(P).await?.last_position, 10);
        database.query("DELETE journal:[3, 6]", ()).await?;
        let damaged =
            |result: String| assert!(result.contains("no position 6") || result.contains("lacks records"), "{result}");
        damaged(store.oldest(P, 9, ALL).await.unwrap_err().to_string());
        damaged(store.truncate(P, 1, Cut { from: 4, upto: 9, dropped: &[], gone: &[] }).await.unwrap_err().to_string());
        damaged(store.retention().history(P, id(1), &sagas[0].positions, 100).await.unwrap_err().to_string());
        database.query("DELETE journal:[3, 4]", ()).await?;
        let error = store.recover(P).await.unwrap_err();
        assert!(matches!(&error, StoreError::Damaged(text) if text.contains("no position 4")), "{error}");
        Ok(())
    })
}

/// As a version wrote it that did not compress yet.
async fn overwrite(database: &Database, position: u64, entries: &impl serde::Serialize) -> Result<Vec<u8>> {
    let blob = rmp_serde::to_vec_named(entries)?;
    let statement = format!("UPDATE journal:[3, {position}] SET entries = <bytes>$blob, format = 1");
    database.query(&statement, json!({"blob": blob})).await?;
    Ok(blob)
}

#[test]
fn what_this_version_does_not_know_is_moved_as_it_is_and_what_is_parked_stays() -> Result<()> {
    check(|place| async move {
        let database = database(&place).await?;
        let store = SurrealStore::open(database.clone()).await?;
        let sagas = ten(&store).await?;
        // Saga 102 has settled, and one of its facts is of a kind that comes later.
        let newer = json!([{"at": "2026-01-01T00:00:00Z", "fact": {"ship_launched": {"name": "Argo"}}}]);
        let entry = std::collections::BTreeMap::from([
            ("saga_id", rmp_serde::to_vec_named(&id(102))?),
            ("events", rmp_serde::to_vec_named(&newer)?),
        ]);
        // [{"saga_id": …, "events": …}], written out because its parts are of different kinds.
        let mut blob = vec![0x91, 0x82];
        for name in ["saga_id", "events"] {
            blob.extend(rmp_serde::to_vec_named(name)?);
            blob.extend(&entry[name]);
        }
        let statement = "UPDATE journal:[3, 2] SET entries = <bytes>$blob, format = 1";
        database.query(statement, json!({"blob": blob})).await?;
        let slab = store.oldest(P, 3, ALL).await?.expect("there is something");
        assert!(slab.settled.iter().all(|old| old.saga.state.saga_id != id(102)), "not one to be dropped");
        store.truncate(P, 1, Cut { from: 1, upto: 3, dropped: &[], gone: &slab.gone }).await?;
        let unread = store.retention().history(P, id(102), &[2], 10).await.unwrap_err();
        assert!(matches!(&unread, StoreError::Unread(saga) if saga.why.contains("ship_launched")), "{unread}");
        let moved: Option<Vec<u8>> = database
            .query(&format!("SELECT VALUE <array<int>>entries FROM history:[3, '{}', 2]", id(102)), ())
            .await?
            .take_first(0)?;
        let moved = lz4_flex::decompress_size_prepended(&moved.expect("moved"))?;
        assert!(moved.ends_with(&blob[1..]), "to the byte");
        assert_eq!(steps(&store, &sagas[0]).await?, [1, 3, 4, 5, 6, 7, 8, 9, 10], "its fact was written over above");

        // A record in another format, or one that somebody has parked, ends what can be taken out.
        database.query("UPDATE journal:[3, 8] SET format = 200", ()).await?;
        assert_eq!(store.oldest(P, 9, ALL).await?.map(|slab| slab.upto), Some(7));
        let facts = ParkedFacts { saga_id: id(105), positions: vec![5, 7] };
        store.park(P, 1, std::slice::from_ref(&facts)).await?;
        assert_eq!(store.oldest(P, 9, ALL).await?.map(|slab| slab.upto), Some(4));
        overwrite(&database, 8, &Vec::<JournalEntry>::new()).await?;
        assert_eq!(store.recover(P).await?.parked, [facts]);
        store.park(P, 1, &[]).await?;
        assert_eq!(store.recover(P).await?.parked, []);
        Ok(())
    })
}
