//! What the store knows without asking the database: which sagas it surely has not.

use std::time::Duration;

use crate::common::{check, database, id, record, saga};
use amends_engine::ports::{JournalEntry, JournalRecord, Store};
use amends_schemas::ids::{PartitionCount, SagaId};
use amends_schemas::saga::SagaStatus;
use amends_store::SurrealStore;
use anyhow::{Context, Result};
use serde_json::json;

/// Between two looks at a store that reads in the background.
const POLL: Duration = Duration::from_millis(5);

const EIGHT: PartitionCount = PartitionCount::new(8).expect("in range");

/// A store that owns every partition.
async fn owner(place: &crate::common::Place) -> Result<SurrealStore> {
    let store = SurrealStore::open(database(place).await?).await?;
    own_all(&store).await?;
    Ok(store)
}

async fn own_all(store: &SurrealStore) -> Result<()> {
    store.establish(Some(EIGHT), EIGHT).await?;
    for partition in EIGHT.iter() {
        store.recover(partition).await?;
    }
    Ok(())
}

/// Waits until the store is sure about this saga.
async fn sure(store: &SurrealStore, saga_id: SagaId) -> Result<()> {
    let sure = async {
        while !store.surely_absent(saga_id) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), sure).await.context("it does not become sure")
}

/// Writes these sagas as an owner does: first into the journal of each partition, at this position, then their rows.
async fn write(store: &SurrealStore, position: u64, numbers: std::ops::RangeInclusive<u128>) -> Result<()> {
    for partition in EIGHT.iter() {
        let own = numbers.clone().filter(|number| id(*number).partition(EIGHT) == partition);
        let sagas: Vec<_> = own.map(|number| saga(number, SagaStatus::Completed, "registration", &[])).collect();
        let begun = sagas.iter().map(|saga| JournalEntry { saga_id: saga.state.saga_id, events: Vec::new() });
        store.append(&JournalRecord { entries: begun.collect(), ..record(partition.0, position, 1, "one") }).await?;
        store.project(partition, 1, position, &sagas).await?;
    }
    Ok(())
}

#[test]
fn a_new_saga_is_surely_absent_and_a_stored_one_never_is() -> Result<()> {
    check(|place| async move {
        let store = owner(&place).await?;
        sure(&store, id(1)).await?;
        write(&store, 1, 1..=3_000).await?;
        assert!((1..=3_000).all(|number| !store.surely_absent(id(number))));
        assert!(store.load(id(3_000)).await?.is_some());
        assert_eq!(store.load(id(5_000)).await?, None);
        drop(store);

        // More than one page is read again by whoever comes next.
        let next = owner(&place).await?;
        assert!((1..=3_000).all(|number| !next.surely_absent(id(number))));
        for partition in 0..8 {
            sure(&next, id(5_000 + partition)).await?;
        }
        assert!((1..=3_000).all(|number| !next.surely_absent(id(number))));
        Ok(())
    })
}

#[test]
fn what_another_owner_wrote_is_read_after_each_takeover() -> Result<()> {
    check(|place| async move {
        let database = database(&place).await?;
        let first = SurrealStore::open(database.clone()).await?;
        let other = SurrealStore::open(database).await?;
        first.establish(Some(EIGHT), EIGHT).await?;
        let partition = id(1).partition(EIGHT);
        // Another of the same partition.
        let second = (2..).find(|number| id(*number).partition(EIGHT) == partition).context("there is one")?;
        first.recover(partition).await?;
        sure(&first, id(1)).await?;
        write(&other, 1, 1..=1).await?;
        // It no longer owns it; once it does again, it looks.
        first.recover(partition).await?;
        assert!(!first.surely_absent(id(1)));
        sure(&first, id(second)).await?;
        assert!(!first.surely_absent(id(1)));
        Ok(())
    })
}

#[test]
fn what_was_kept_and_the_journal_behind_it_spare_reading_the_rows() -> Result<()> {
    check(|place| async move {
        let database = database(&place).await?;
        let first = SurrealStore::open(database.clone()).await?;
        own_all(&first).await?;
        // There are none, and that is kept.
        sure(&first, id(5_000)).await?;
        while database.query("SELECT VALUE upto FROM known", ()).await?.take_values(0)?.len() < 8 {
            tokio::time::sleep(POLL).await;
        }
        write(&first, 1, 1..=50).await?;
        write(&first, 2, 51..=100).await?;
        // Whoever reads rows does not find this one.
        database.query(&format!("DELETE saga:`{}`", id(1)), ()).await?;

        let next = SurrealStore::open(database.clone()).await?;
        own_all(&next).await?;
        for number in 0..8 {
            sure(&next, id(5_000 + number)).await?;
        }
        assert!((1..=100).all(|number| !next.surely_absent(id(number))), "the journal says that they have begun");

        // What was kept is of no use without the whole journal behind it.
        let partition = id(1).partition(EIGHT);
        let statement = "UPSERT type::record('truncation', $partition) SET position = 1";
        database.query(statement, json!({"partition": partition})).await?;
        let last = SurrealStore::open(database).await?;
        own_all(&last).await?;
        sure(&last, id(1)).await?;
        assert!((2..=100).all(|number| !last.surely_absent(id(number))));
        Ok(())
    })
}

#[test]
fn a_long_journal_behind_what_was_kept_is_read_once() -> Result<()> {
    check(|place| async move {
        let database = database(&place).await?;
        let first = SurrealStore::open(database.clone()).await?;
        own_all(&first).await?;
        sure(&first, id(1)).await?;
        let partition = id(1).partition(EIGHT);
        let kept = async || -> Result<Option<u64>> {
            let statement = "SELECT VALUE upto FROM type::record('known', $partition)";
            Ok(database.query(statement, json!({"partition": partition})).await?.take_first(0)?)
        };
        while kept().await? != Some(0) {
            tokio::time::sleep(POLL).await;
        }
        for position in 1..=1_000 {
            let begun = JournalEntry { saga_id: id(1), events: Vec::new() };
            first.append(&JournalRecord { entries: vec![begun], ..record(partition.0, position, 1, "one") }).await?;
        }
        let next = SurrealStore::open(database.clone()).await?;
        own_all(&next).await?;
        let other = (2..).map(id).find(|other| other.partition(EIGHT) == partition).context("there is one")?;
        sure(&next, other).await?;
        assert!(!next.surely_absent(id(1)));
        while kept().await? != Some(1_000) {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    })
}
