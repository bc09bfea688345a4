//! What SurrealDB relies on in an engine.

use std::sync::Arc;

use surrealdb_kvs::api::Transactable;
use surrealdb_kvs::{Error, Key, KeyRange, Result, TransactionBuilder, TransactionType};

use super::Tuning;
use super::store::Store;

const TUNING: Tuning = Tuning { memtable_bytes: 1024 * 1024, cache_bytes: 1024 * 1024 };

fn key(text: &str) -> Key<'_> {
    Key::from(text.as_bytes())
}

fn all() -> KeyRange<'static> {
    KeyRange { start: Key::from(b"".as_slice()), end: Key::from(b"\xff".as_slice()) }
}

async fn begin(store: &Store) -> Box<dyn Transactable> {
    store.new_transaction(TransactionType::Write).await.expect("begun").0
}

async fn text_of(transaction: &dyn Transactable, under: &str) -> Option<String> {
    let value = transaction.get(key(under), None).await.expect("read");
    value.map(|value| String::from_utf8(value).expect("text"))
}

async fn set(transaction: &dyn Transactable, under: &str, value: &str) -> Result<()> {
    transaction.set(key(under), value.into()).await
}

/// A store with a few entries, in a folder that goes with it.
async fn store(entries: &[(&str, &str)]) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), TUNING).expect("opened");
    let transaction = begin(&store).await;
    for (under, value) in entries {
        set(&*transaction, under, value).await.expect("set");
    }
    transaction.commit().await.expect("committed");
    (folder, store)
}

#[tokio::test]
async fn conditions_are_kept() {
    let (_folder, store) = store(&[("a", "1")]).await;
    let transaction = begin(&store).await;
    let met = |result: Result<()>| match result {
        Ok(()) => true,
        Err(Error::TransactionConditionNotMet | Error::TransactionKeyAlreadyExists) => false,
        Err(error) => panic!("{error}"),
    };
    let value = || b"2".to_vec();
    assert!(!met(transaction.put(key("a"), value()).await));
    assert!(met(transaction.put(key("b"), value()).await));
    assert!(!met(transaction.put(key("b"), value()).await), "its own");
    assert!(!met(transaction.putc(key("a"), value(), None).await));
    assert!(!met(transaction.putc(key("a"), value(), Some(b"3".to_vec())).await));
    assert!(met(transaction.putc(key("a"), value(), Some(b"1".to_vec())).await));
    assert!(met(transaction.putc(key("c"), value(), None).await));
    assert!(!met(transaction.delc(key("a"), Some(b"1")).await));
    assert!(!met(transaction.delc(key("a"), None).await));
    assert!(met(transaction.delc(key("a"), Some(b"2")).await));
    assert!(met(transaction.put(key("a"), value()).await), "it is gone");
    transaction.del(key("c")).await.expect("deleted");
    transaction.commit().await.expect("committed");
    let found = begin(&store).await.scan(all(), 10, 0, None).await.expect("read").values;
    assert_eq!(found, [("a", "2"), ("b", "2")].map(|(key, value)| (key.into(), value.into())));
}

#[tokio::test]
async fn savepoints_stand_within_each_other() {
    let (_folder, store) = store(&[("a", "1")]).await;
    let transaction = begin(&store).await;
    let transaction = &*transaction;
    assert_eq!(text_of(transaction, "b").await, None);
    transaction.new_save_point().await.expect("set");
    set(transaction, "a", "2").await.expect("set");
    set(transaction, "b", "2").await.expect("set");
    transaction.new_save_point().await.expect("set");
    set(transaction, "b", "3").await.expect("set");
    transaction.release_last_save_point().await.expect("released");
    assert_eq!(text_of(transaction, "b").await.as_deref(), Some("3"));
    transaction.rollback_to_save_point().await.expect("gone back");
    assert_eq!(text_of(transaction, "a").await.as_deref(), Some("1"));
    assert_eq!(text_of(transaction, "b").await, None, "as before both");
    assert!(matches!(transaction.rollback_to_save_point().await, Err(Error::NoSavepoint)));
    set(transaction, "b", "4").await.expect("set");
    assert_eq!(
        text_of(transaction, "b").await.as_deref(),
        Some("4"),
        "what was absent is not taken for absent for ever"
    );
    transaction.new_save_point().await.expect("set");
    transaction.del(key("a")).await.expect("deleted");
    transaction.del(key("b")).await.expect("deleted");
    assert_eq!((text_of(transaction, "a").await, text_of(transaction, "b").await), (None, None));
    transaction.rollback_to_save_point().await.expect("gone back");
    assert_eq!(text_of(transaction, "a").await.as_deref(), Some("1"), "deleting it is undone");
    assert_eq!(text_of(transaction, "b").await.as_deref(), Some("4"), "and of its own");
    transaction.commit().await.expect("committed");
    assert_eq!(text_of(&*begin(&store).await, "b").await.as_deref(), Some("4"));
}

#[tokio::test]
async fn ranges_are_walked_both_ways_and_end_before_their_end() {
    let (_folder, store) = store(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await;
    let transaction = begin(&store).await;
    set(&*transaction, "bb", "5").await.expect("set");
    transaction.del(key("c")).await.expect("deleted");
    let range = || KeyRange { start: key("a"), end: key("d") };
    let names =
        |keys: Vec<Vec<u8>>| keys.into_iter().map(|key| String::from_utf8(key).expect("text")).collect::<Vec<_>>();
    let forward = transaction.keys(range(), 10, 0, None).await.expect("read");
    assert_eq!(forward.key_bytes, 4);
    assert_eq!(names(forward.keys), ["a", "b", "bb"]);
    assert_eq!(names(transaction.keysr(range(), 10, 0, None).await.expect("read").keys), ["bb", "b", "a"]);
    assert_eq!(names(transaction.keys(range(), 1, 1, None).await.expect("read").keys), ["b"]);
    assert_eq!(names(transaction.keysr(range(), 1, 2, None).await.expect("read").keys), ["a"]);
    assert_eq!(names(transaction.keys(range(), 0, 0, None).await.expect("read").keys), [""; 0]);
    let backward = transaction.scanr(range(), u32::MAX, 0, None).await.expect("read");
    assert_eq!(backward.values[0], (b"bb".to_vec(), b"5".to_vec()));
    assert_eq!((backward.key_bytes, backward.value_bytes), (4, 3));
    assert_eq!(transaction.count(range(), None).await.expect("counted"), 3);
    assert!(matches!(transaction.keys(range(), 1, 0, Some(1)).await, Err(Error::UnsupportedVersionedQueries)));
}

#[tokio::test]
async fn of_two_that_meet_one_is_refused_and_commits_end_a_transaction() {
    let (_folder, store) = store(&[("a", "1"), ("b", "1")]).await;
    let (first, second, third) = (begin(&store).await, begin(&store).await, begin(&store).await);
    set(&*first, "a", "2").await.expect("set");
    set(&*second, "a", "3").await.expect("set");
    // A locked read is checked as well, though it writes nothing.
    assert_eq!(third.getu(key("a")).await.expect("read").as_deref(), Some(b"1".as_slice()));
    set(&*third, "b", "4").await.expect("set");
    assert_eq!(text_of(&*second, "a").await.as_deref(), Some("3"), "its own");
    first.commit().await.expect("committed");
    assert!(matches!(second.commit().await, Err(Error::TransactionConflict(_))));
    assert!(matches!(third.commit().await, Err(Error::TransactionConflict(_))));
    assert!(first.closed() && matches!(first.commit().await, Err(Error::TransactionFinished)));
    assert!(matches!(set(&*first, "a", "5").await, Err(Error::TransactionFinished)));
    let cancelled = begin(&store).await;
    set(&*cancelled, "a", "6").await.expect("set");
    cancelled.cancel().await.expect("cancelled");
    assert!(matches!(cancelled.get(key("a"), None).await, Err(Error::TransactionFinished)));
    let reader = store.new_transaction(TransactionType::Read).await.expect("begun").0;
    assert!(matches!(set(&*reader, "a", "7").await, Err(Error::TransactionReadonly)));
    assert_eq!(text_of(&*reader, "a").await.as_deref(), Some("2"));
    assert_eq!(text_of(&*reader, "b").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_commit_at_once_is_there_when_it_is_opened_again() {
    let (folder, first) = store(&[]).await;
    let shared = Arc::new(first);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let store = Arc::clone(&shared);
        writers.spawn(async move {
            for number in 0..20 {
                let transaction = begin(&store).await;
                // Together far more than the table, so that files are begun.
                let value = "x".repeat(10_000 + number);
                set(&*transaction, &format!("{writer:02}/{number:02}"), &value).await.expect("set");
                transaction.commit().await.expect("committed");
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("it has ended");
    }
    let late = begin(&shared).await;
    set(&*late, "late", "1").await.expect("set");
    shared.shutdown().await.expect("closed");
    assert!(matches!(late.commit().await, Err(Error::Shutdown)));
    let store = Store::open(folder.path(), TUNING).expect("opened again");
    let found = begin(&store).await.scan(all(), u32::MAX, 0, None).await.expect("read").values;
    assert_eq!(found.len(), 16 * 20);
    assert!(found.iter().enumerate().all(|(place, (_, value))| value.len() == 10_000 + place % 20));
}

/// What was written before this engine stood between, and a way back.
#[tokio::test(flavor = "multi_thread")]
async fn folders_of_surrealdb_s_own_engine_are_read_and_read_by_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("surrealkv://{}", folder.path().join("db").display());
    let database = surrealdb::engine::any::connect(&url).await.expect("connected");
    database.use_ns("amends").use_db("test").await.expect("there");
    database.query("CREATE entry:1 SET text = 'before'").await.and_then(|done| done.check()).expect("written");
    drop(database);

    let read = async |database: surrealdb::Surreal<surrealdb::engine::any::Any>| -> Vec<String> {
        database.query("SELECT VALUE text FROM entry").await.expect("read").take(0).expect("texts")
    };
    let database = opened(&url, folder.path()).await;
    database.use_ns("amends").use_db("test").await.expect("there");
    database.query("CREATE entry:2 SET text = 'within'").await.and_then(|done| done.check()).expect("written");
    let texts: Vec<String> =
        database.query("SELECT VALUE text FROM entry").await.expect("read").take(0).expect("texts");
    assert_eq!(texts, ["before", "within"]);
    drop(database);

    let after = loop {
        // Both are closed in the background.
        match surrealdb::engine::any::connect(&url).await {
            Ok(database) => break database,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    };
    after.use_ns("amends").use_db("test").await.expect("there");
    assert_eq!(read(after).await, ["before", "within"]);
}

/// Opened by us, once nobody else has it open.
async fn opened(url: &str, folder: &std::path::Path) -> surrealdb::Surreal<surrealdb::engine::local::Db> {
    for _ in 0..200 {
        if let Ok(database) = super::open(url, &folder.join("db"), TUNING).await {
            return database;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("still open")
}
