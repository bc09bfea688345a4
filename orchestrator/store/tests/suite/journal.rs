//! The journal against a real database: partitions fixed, records fenced, damage named.

use crate::common::{check, database, record, store};
use amends_engine::ports::{Store, StoreError};
use amends_schemas::ids::{PartitionCount, PartitionId};
use anyhow::Result;

const P: PartitionId = PartitionId(3);

fn count(n: u16) -> PartitionCount {
    PartitionCount::new(n).expect("in range")
}

#[test]
fn the_number_of_partitions_is_fixed_at_the_first_start() -> Result<()> {
    check(|place| async move {
        let first = store(&place).await?;
        assert_eq!(first.establish(Some(count(4)), count(8)).await?, count(4));
        assert_eq!(first.establish(None, count(8)).await?, count(4));
        drop(first);
        let second = store(&place).await?;
        assert_eq!(second.establish(Some(count(4)), count(8)).await?, count(4));
        let error = second.establish(Some(count(16)), count(8)).await.unwrap_err();
        assert!(matches!(error, StoreError::PartitionCount { stored: 4, requested: 16 }), "{error}");
        assert!(error.to_string().contains("start with 4"));
        Ok(())
    })
}

#[test]
fn first_starters_at_once_agree() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let starters: Vec<_> = (1..=8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.establish(None, count(n)).await })
            })
            .collect();
        let mut answers = Vec::new();
        for starter in starters {
            answers.push(starter.await??.get());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        Ok(())
    })
}

#[test]
fn a_record_is_read_back_as_it_was_written() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let mut records: Vec<_> = (1..=5).map(|position| record(3, position, 1, "a")).collect();
        records[2].entries.clear();
        for record in &records {
            store.append(record).await?;
        }
        store.append(&record(4, 1, 1, "other partition")).await?;
        assert_eq!(store.records(P, &[1, 2, 3, 4, 5]).await?, records);
        let asked = store.records(P, &[4, 99, 2, 4]).await?;
        assert_eq!(asked.iter().map(|record| record.position).collect::<Vec<_>>(), [4, 2, 4], "in the order asked for");
        Ok(())
    })
}

#[test]
fn appending_again_is_success_only_for_who_wrote_it() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        let ours = record(3, 1, 1, "a");
        store.append(&ours).await?;
        store.append(&ours).await?;
        let mut different = ours.clone();
        different.entries.clear();
        for other in [record(3, 1, 2, "b"), record(3, 1, 2, "a"), record(3, 1, 1, "b"), different] {
            let error = store.append(&other).await.unwrap_err();
            assert!(
                matches!(&error, StoreError::Fenced { partition: P, position: 1, owner, epoch: 1 } if owner == "a"),
                "{error}"
            );
        }
        assert_eq!(store.records(P, &[1]).await?, [ours]);
        Ok(())
    })
}

#[test]
fn of_eight_owners_one_wins_and_the_others_are_told_who() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        for position in 1..=10 {
            let owners: Vec<_> = (0..8)
                .map(|n| {
                    let store = store.clone();
                    tokio::spawn(async move { store.append(&record(3, position, n, &format!("owner-{n}"))).await })
                })
                .collect();
            let mut winners = Vec::new();
            let mut fenced_by = Vec::new();
            for (n, owner) in owners.into_iter().enumerate() {
                match owner.await? {
                    Ok(()) => winners.push(format!("owner-{n}")),
                    Err(StoreError::Fenced { owner, .. }) => fenced_by.push(owner),
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(winners.len(), 1);
            assert!(fenced_by.len() == 7 && fenced_by.iter().all(|owner| *owner == winners[0]), "{fenced_by:?}");
        }
        Ok(())
    })
}

#[test]
fn records_of_many_partitions_at_once_stand_or_fall_each_by_itself() -> Result<()> {
    check(|place| async move {
        let store = store(&place).await?;
        // Somebody else owns two of them by now.
        for partition in [5, 11] {
            store.append(&record(partition, 1, 7, "other")).await?;
        }
        for position in 1..=5 {
            let appending: Vec<_> = (0..16)
                .map(|partition| {
                    let store = store.clone();
                    tokio::spawn(async move { store.append(&record(partition, position, 1, "us")).await })
                })
                .collect();
            for (partition, appended) in (0..16).zip(appending) {
                match appended.await? {
                    Ok(()) => assert!(position > 1 || ![5, 11].contains(&partition), "{partition}"),
                    Err(StoreError::Fenced { partition: of, owner, epoch: 7, .. }) => {
                        assert_eq!((of, &*owner, position), (PartitionId(partition), "other", 1));
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
        for partition in 0..16 {
            let found = store.records(PartitionId(partition), &[1, 2, 3, 4, 5]).await?;
            let owner = if [5, 11].contains(&partition) { "other" } else { "us" };
            assert_eq!((found.len(), &*found[0].owner), (5, owner), "{partition}");
        }
        Ok(())
    })
}

#[test]
fn an_empty_partition_recovers_as_nothing() -> Result<()> {
    check(|place| async move {
        let recovered = store(&place).await?.recover(P).await?;
        assert_eq!((recovered.last_position, recovered.last_epoch), (0, 0));
        assert!(recovered.sagas.is_empty() && recovered.tail.is_empty());
        Ok(())
    })
}

#[test]
fn the_whole_journal_is_recovered_in_order() -> Result<()> {
    check(|place| async move {
        let first = store(&place).await?;
        // More than one page, and neighbours on both sides.
        let records: Vec<_> = (1..=450).map(|position| record(3, position, 1 + position / 100, "a")).collect();
        for partition in [2, 4] {
            first.append(&record(partition, 1, 1, "neighbour")).await?;
        }
        for chunk in records.chunks(50) {
            let appends = chunk.iter().map(|record| {
                let (first, record) = (first.clone(), record.clone());
                tokio::spawn(async move { first.append(&record).await })
            });
            for append in appends.collect::<Vec<_>>() {
                append.await??;
            }
        }
        drop(first);
        let recovered = store(&place).await?.recover(P).await?;
        assert_eq!((recovered.last_position, recovered.last_epoch), (450, 5));
        assert_eq!(recovered.tail, records);
        Ok(())
    })
}

#[test]
fn a_gap_is_damage_and_names_the_position() -> Result<()> {
    check(|place| async move {
        let database = database(&place).await?;
        let store = amends_store::SurrealStore::open(database.clone()).await?;
        for position in 1..=10 {
            store.append(&record(3, position, 1, "a")).await?;
        }
        database.query("DELETE journal:[3, 7]", ()).await?;
        let error = store.recover(P).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged(text) if text.contains("no position 7, but position 8")),
            "{error}"
        );
        Ok(())
    })
}

#[test]
fn a_checkpoint_without_its_record_is_damage() -> Result<()> {
    check(|place| async move {
        let database = database(&place).await?;
        let store = amends_store::SurrealStore::open(database.clone()).await?;
        for position in 1..=3 {
            store.append(&record(3, position, 1, "a")).await?;
        }
        store.project(P, 1, 3, &[]).await?;
        assert_eq!(store.recover(P).await?.last_position, 3);
        database.query("DELETE journal:[3, 3]", ()).await?;
        let error = store.recover(P).await.unwrap_err();
        assert!(matches!(&error, StoreError::Damaged(text) if text.contains("position 3")), "{error}");
        Ok(())
    })
}

#[test]
fn a_record_of_a_later_version_is_named_and_not_guessed_at() -> Result<()> {
    check(|place| async move {
        let database = database(&place).await?;
        let store = amends_store::SurrealStore::open(database.clone()).await?;
        store.append(&record(3, 1, 1, "a")).await?;
        database.query("UPDATE journal:[3, 1] SET format = 200", ()).await?;
        let error = store.recover(P).await.unwrap_err();
        let named = "position 1 of partition 3 is written in format 200";
        assert!(matches!(&error, StoreError::Damaged(text) if text.contains(named)), "{error}");
        Ok(())
    })
}
