//! What the crate promises, wherever the database lives.

use std::time::Duration;

use amends_database::{Database, DatabaseError, ErrorKind, Location};
use amends_test_support::{TestSurreal, surreal, surreal_server};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Each test ends within this.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where one test's databases live: in a folder, or in a server that keeps its data in a folder.
pub struct Place {
    pub folder: TempDir,
    pub server: Option<TestSurreal>,
}

impl Place {
    /// Of the database called `name`.
    pub fn location(&self, name: &str) -> Location {
        match &self.server {
            None => Location::Embedded(self.folder.path().join(name)),
            Some(server) => Location::Remote {
                url: server.url(),
                username: Some(surreal::USERNAME.into()),
                password: Some(surreal::PASSWORD.into()),
            },
        }
    }
}

pub async fn open(place: &Place) -> Result<Database> {
    Ok(Database::open(&place.location("test"), "amends", "test").await?)
}

/// Runs one test in a fresh place and with a deadline.
pub fn check<F, Fut>(test: F) -> Result<()>
where
    F: FnOnce(Place) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let server = if crate::REMOTE { Some(surreal_server().await) } else { None };
        let place = Place { folder: tempfile::tempdir()?, server };
        tokio::time::timeout(DEADLINE, test(place)).await.context("the test hangs")?
    })
}

pub async fn count(database: &Database, table: &str) -> Result<u64> {
    let rows = database.query(&format!("SELECT count() FROM {table} GROUP ALL"), ()).await?.take::<Value>(0)?;
    Ok(rows.first().map_or(0, |row| row["count"].as_u64().unwrap_or(0)))
}

pub fn kind<T>(answer: Result<T, DatabaseError>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind())
}

#[test]
fn what_is_committed_is_there_when_opened_again() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        database.query("CREATE type::record('seat', $id) SET row = 3", json!({"id": "a-1"})).await?;
        let transaction = database.begin().await?;
        transaction.query("CREATE type::record('seat', $id) SET row = 4", json!({"id": "a-2"})).await?;
        transaction.commit().await?;
        drop(database);

        let database = open(&place).await?;
        let rows = database.query("SELECT VALUE record::id(id) FROM seat ORDER BY id", ()).await?.take::<String>(0)?;
        assert_eq!(rows, ["a-1", "a-2"]);
        Ok(())
    })
}

#[test]
fn values_come_back_as_they_went() -> Result<()> {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        id: String,
        none: Option<String>,
        int: i64,
        float: f64,
        text: String,
        list: Vec<Option<bool>>,
        nested: Value,
    }
    check(|place| async move {
        let database = open(&place).await?;
        let sample = Sample {
            id: "0193a1de-7d41-7cc1-9b5e-0242ac120002".into(),
            none: None,
            int: i64::MAX,
            float: 0.1,
            text: "person:1 and u'x'".into(),
            list: vec![Some(true), None],
            nested: json!({"amount": "120.00", "empty": {}, "null": null}),
        };
        database
            .query("CREATE type::record('sample', $id) CONTENT $sample", json!({"id": sample.id, "sample": sample}))
            .await?;
        let read = database.query("SELECT *, record::id(id) AS id FROM sample", ()).await?.take_first::<Sample>(0)?;
        assert_eq!(read, Some(sample));

        let mut rows = database
            .query(
                "RETURN <datetime> $at; RETURN <decimal> '1.10'; RETURN NONE; SELECT * FROM sample WHERE false; \
                 SELECT VALUE id FROM sample",
                json!({"at": "2026-11-21T03:20:00.5Z"}),
            )
            .await?;
        assert_eq!(rows.take::<String>(0)?, ["2026-11-21T03:20:00.500Z"]);
        assert_eq!(rows.take::<String>(1)?, ["1.1"], "a decimal forgets its trailing zero");
        assert_eq!(rows.take_first::<Value>(2)?, None);
        assert!(rows.take::<Value>(3)?.is_empty());
        assert_eq!(rows.take::<String>(4)?, ["sample:`0193a1de-7d41-7cc1-9b5e-0242ac120002`"]);
        assert_eq!(kind(rows.take::<String>(4)), Some(ErrorKind::Bug), "rows are taken once");
        Ok(())
    })
}

#[test]
fn of_eight_racing_creators_one_wins() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        for round in 0..5 {
            let racers: Vec<_> = (0..8)
                .map(|racer| {
                    let database = database.clone();
                    tokio::spawn(async move {
                        database
                            .query(
                                "CREATE type::record('seat', $id) SET racer = $racer",
                                json!({"id": format!("{round}"), "racer": racer}),
                            )
                            .await
                    })
                })
                .collect();
            let mut winners = 0;
            for racer in racers {
                match kind(racer.await?) {
                    None => winners += 1,
                    Some(ErrorKind::AlreadyExists | ErrorKind::Conflict) => {}
                    Some(other) => panic!("{other:?}"),
                }
            }
            assert_eq!(winners, 1, "round {round}");
        }
        Ok(())
    })
}

#[test]
fn a_lost_update_is_a_conflict() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        database.query("CREATE seat:a SET taken = 0", ()).await?;
        let (first, second) = (database.begin().await?, database.begin().await?);
        for transaction in [&first, &second] {
            transaction.query("UPDATE seat:a SET taken += 1", ()).await?;
        }
        first.commit().await?;
        assert_eq!(kind(second.commit().await), Some(ErrorKind::Conflict));
        let taken = database.query("SELECT VALUE taken FROM seat:a", ()).await?.take::<u64>(0)?;
        assert_eq!(taken, [1]);
        Ok(())
    })
}

/// The rule the documentation states: what is only read is not protected; what is read for update, or written as well, is.
#[test]
fn write_skew_is_prevented_by_reading_for_update_or_writing_what_was_read() -> Result<()> {
    const READ: &str = "SELECT * FROM policy:p";
    const READ_FOR_UPDATE: &str = "SELECT * FROM policy:p FOR UPDATE";
    const TOUCH: &str = "UPDATE policy:p SET version += 1";
    check(|place| async move {
        let database = open(&place).await?;
        database.query("DEFINE TABLE seat; CREATE policy:p SET capacity = 1, version = 0", ()).await?;
        let conflict = Some(ErrorKind::Conflict);
        for (how, expected) in [(READ, None), (READ_FOR_UPDATE, None), (TOUCH, conflict)] {
            let (first, second) = (database.begin().await?, database.begin().await?);
            for (transaction, seat) in [(&first, "first"), (&second, "second")] {
                transaction.query(how, ()).await?;
                transaction.query("UPSERT type::record('seat', $seat) SET taken = true", json!({"seat": seat})).await?;
            }
            first.commit().await?;
            assert_eq!(kind(second.commit().await), expected, "both with {how}");
        }
        // One writes what the other has decided upon.
        for (how, expected) in [(READ, None), (READ_FOR_UPDATE, conflict)] {
            let (reader, writer) = (database.begin().await?, database.begin().await?);
            reader.query(how, ()).await?;
            reader.query("UPSERT seat:third SET taken = true", ()).await?;
            writer.query(TOUCH, ()).await?;
            writer.commit().await?;
            assert_eq!(kind(reader.commit().await), expected, "reading with {how}");
        }
        Ok(())
    })
}

/// Why repositories define their tables first.
#[test]
fn the_first_writes_to_an_undefined_table_conflict() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        let (first, second) = (database.begin().await?, database.begin().await?);
        first.query("CREATE seat:a", ()).await?;
        second.query("CREATE seat:b", ()).await?;
        first.commit().await?;
        assert_eq!(kind(second.commit().await), Some(ErrorKind::Conflict));
        Ok(())
    })
}

#[test]
fn a_unique_index_is_kept_within_and_without_transactions() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        database.query("DEFINE TABLE user; DEFINE INDEX email ON user FIELDS email UNIQUE", ()).await?;
        database.query("CREATE user:1 SET email = 'ada@example.org'", ()).await?;

        let error = database.query("CREATE user:2 SET email = 'ada@example.org'", ()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(!error.to_string().contains("ada"), "{error}");

        let transaction = database.begin().await?;
        let answer = transaction.query("CREATE user:3 SET email = 'ada@example.org'", ()).await;
        assert_eq!(kind(answer), Some(ErrorKind::AlreadyExists));
        drop(transaction);

        let (first, second) = (database.begin().await?, database.begin().await?);
        first.query("CREATE user:4 SET email = 'grace@example.org'", ()).await?;
        second.query("CREATE user:5 SET email = 'grace@example.org'", ()).await?;
        first.commit().await?;
        assert_eq!(kind(second.commit().await), Some(ErrorKind::Conflict));
        assert_eq!(count(&database, "user").await?, 2);
        Ok(())
    })
}

#[test]
fn an_unfinished_transaction_leaves_nothing() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        database.query("DEFINE TABLE seat", ()).await?;
        let dropped = database.begin().await?;
        dropped.query("CREATE seat:a", ()).await?;
        assert_eq!(dropped.query("SELECT * FROM seat", ()).await?.take::<Value>(0)?.len(), 1, "it sees its own writes");
        assert_eq!(count(&database, "seat").await?, 0, "others do not");
        drop(dropped);
        let cancelled = database.begin().await?;
        cancelled.query("CREATE seat:b", ()).await?;
        cancelled.cancel().await?;
        assert_eq!(count(&database, "seat").await?, 0);
        // Nothing of them is in the way either.
        database.query("CREATE seat:a; CREATE seat:b", ()).await?;
        Ok(())
    })
}

#[test]
fn a_transaction_with_a_failed_statement_does_not_commit() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        database.query("CREATE seat:a", ()).await?;
        let transaction = database.begin().await?;
        transaction.query("CREATE seat:b", ()).await?;
        assert_eq!(kind(transaction.query("CREATE seat:a", ()).await), Some(ErrorKind::AlreadyExists));
        assert_eq!(kind(transaction.commit().await), Some(ErrorKind::AlreadyExists));
        assert_eq!(count(&database, "seat").await?, 1);
        Ok(())
    })
}

#[test]
fn the_error_of_a_block_is_that_of_the_statement_that_failed() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        database.query("CREATE seat:a", ()).await?;
        let answer = database.query("BEGIN; CREATE seat:b; CREATE seat:a; CREATE seat:c; COMMIT", ()).await;
        assert_eq!(kind(answer), Some(ErrorKind::AlreadyExists));
        assert_eq!(count(&database, "seat").await?, 1);
        assert_eq!(kind(database.query("SELEKT * FROM seat", ()).await), Some(ErrorKind::Bug));
        Ok(())
    })
}

#[test]
fn several_databases_live_side_by_side_in_one_process() -> Result<()> {
    check(|place| async move {
        let mut databases = Vec::new();
        for name in ["journal", "events", "registration", "payment", "billing"] {
            databases.push(Database::open(&place.location(name), "amends", name).await?);
        }
        databases[0].query("CREATE seat:a", ()).await?;
        for database in &databases[1..] {
            database.ping().await?;
            database.query("CREATE seat:a", ()).await?;
        }
        Ok(())
    })
}
