//! What is asked of the inbox at the same time is asked in one statement, and what is written to nothing but the inbox in one commit.
//!
//! With SurrealDB a statement costs tens of microseconds however little it does, and each command needs one to learn that it is new and one
//! to be remembered. Nobody waits for others to come: whoever comes while no batch is under way is served at once, alone if need be, and who
//! comes meanwhile is in the next. Two at once would be smaller ones, and slower by a tenth with 64 commands in hand.

use amends_database::{Database, DatabaseError, ErrorKind};
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::{InboxRow, Recorded};

/// Commands in one batch. Their results are at most 64 KiB each, a small part of the largest transaction.
const BATCH_MAX: usize = 64;

/// Commands that may wait for a batch: more than most contexts have in hand. Those beyond wait for a place.
const WAITING_MAX: usize = 1024;

/// One context's inbox. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    database: Database,
    finds: mpsc::Sender<Asked<String, Option<Recorded>>>,
    records: mpsc::Sender<Asked<Vec<InboxRow>, ()>>,
}

/// A question, and where its answer goes.
#[derive(Debug)]
struct Asked<Q, A> {
    question: Q,
    answer: oneshot::Sender<Result<A, DatabaseError>>,
}

impl Inbox {
    /// Must be called within a tokio runtime. What is under way ends by itself after the last clone is dropped.
    pub(crate) fn new(database: Database) -> Self {
        let (finding, recording) = (database.clone(), database.clone());
        let finds = gather(move |asked| find_all(finding.clone(), asked));
        let records = gather(move |asked| record_all(recording.clone(), asked));
        Self { database, finds, records }
    }

    /// What is recorded under a key, if anything.
    pub(crate) async fn find(&self, key: &str) -> Result<Option<Recorded>, DatabaseError> {
        match ask(&self.finds, key.to_owned()).await {
            Some(answer) => answer,
            None => super::find(&self.database, key).await,
        }
    }

    /// Records what no change of the context goes with, in a commit that others may share. All of the rows, or none. Whoever stops waiting may
    /// find them recorded all the same, also later.
    ///
    /// # Errors
    /// `AlreadyExists` when one of these rows is there already, whatever becomes of the others' rows; `Unavailable` when nobody knows whether
    /// they are recorded.
    pub(crate) async fn record(&self, rows: &[InboxRow]) -> Result<(), DatabaseError> {
        match ask(&self.records, rows.to_vec()).await {
            Some(answer) => answer,
            // If they were written after all, they exist already, and whoever asks looks again.
            None => super::record(&self.database, rows).await,
        }
    }
}

/// `None` when whoever should answer has panicked, or is gone with the runtime.
async fn ask<Q, A>(queue: &mpsc::Sender<Asked<Q, A>>, question: Q) -> Option<Result<A, DatabaseError>> {
    let (answer, answered) = oneshot::channel();
    queue.send(Asked { question, answer }).await.ok()?;
    answered.await.ok()
}

/// Takes questions until nobody can ask any more, as many at once as there are. `serve` answers each; its error is that nothing can be
/// answered now.
fn gather<Q, A, F>(serve: impl Fn(Vec<Asked<Q, A>>) -> F + Send + 'static) -> mpsc::Sender<Asked<Q, A>>
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = Result<(), DatabaseError>> + Send + 'static,
{
    let (sender, mut queue) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        let mut asked = Vec::new();
        while queue.recv_many(&mut asked, BATCH_MAX).await > 0 {
            // In a task of its own: a panic is the end of one batch, whose commands then look for themselves.
            match tokio::spawn(serve(std::mem::take(&mut asked))).await {
                Ok(Ok(())) => {}
                // Who came meanwhile would wait as long again, for the same.
                Ok(Err(error)) => answer_all(std::iter::from_fn(|| queue.try_recv().ok()), &error),
                Err(error) if error.is_panic() => tracing::error!(code = "bug", "a batch of the inbox panicked"),
                // The runtime ends.
                Err(_) => return,
            }
        }
    });
    sender
}

async fn find_all(database: Database, asked: Vec<Asked<String, Option<Recorded>>>) -> Result<(), DatabaseError> {
    let keys: Vec<&str> = asked.iter().map(|asked| &*asked.question).collect();
    match super::find_many(&database, &keys).await {
        Ok(found) => {
            for Asked { question, answer } in asked {
                // Not taken out: another may ask the same. Who does not wait any more needs no answer.
                let _ = answer.send(Ok(found.get(&question).cloned()));
            }
            Ok(())
        }
        Err(error) => {
            let singly = |key: String| {
                let database = database.clone();
                async move { super::find(&database, &key).await }
            };
            refused(asked, error, singly).await
        }
    }
}

async fn record_all(database: Database, asked: Vec<Asked<Vec<InboxRow>, ()>>) -> Result<(), DatabaseError> {
    let rows: Vec<&InboxRow> = asked.iter().flat_map(|asked| &asked.question).collect();
    match super::record(&database, &rows).await {
        Ok(()) => {
            for asked in asked {
                let _ = asked.answer.send(Ok(()));
            }
            Ok(())
        }
        // If they were written after all (a server's answer may be unreadable), each is there already, and whoever asks looks again.
        Err(error) => {
            let singly = |rows: Vec<InboxRow>| {
                let database = database.clone();
                async move { super::record(&database, &rows).await }
            };
            refused(asked, error, singly).await
        }
    }
}

/// What becomes of a batch that the database has refused: each is served for itself, so that nobody suffers from another's fault. An error
/// that each would meet is everybody's answer.
async fn refused<Q, A, F>(
    asked: Vec<Asked<Q, A>>,
    error: DatabaseError,
    singly: impl Fn(Q) -> F,
) -> Result<(), DatabaseError>
where
    F: Future<Output = Result<A, DatabaseError>>,
{
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Locked => {
            answer_all(asked, &error);
            Err(error)
        }
        ErrorKind::AlreadyExists | ErrorKind::Conflict | ErrorKind::Bug => {
            let serving = asked.into_iter().map(|Asked { question, answer }| {
                let served = singly(question);
                async move {
                    let _ = answer.send(served.await);
                }
            });
            join_all(serving).await;
            Ok(())
        }
    }
}

fn answer_all<Q, A>(asked: impl IntoIterator<Item = Asked<Q, A>>, error: &DatabaseError) {
    for asked in asked {
        let _ = asked.answer.send(Err(error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use amends_database::Location;
    use amends_schemas::command::Operation;
    use chrono::Utc;
    use serde_json::json;
    use tokio::sync::{Semaphore, watch};

    use super::*;

    async fn inbox(folder: &tempfile::TempDir) -> Inbox {
        let location = Location::Embedded(folder.path().join("db"));
        let database = Database::open(&location, "amends", "inbox").await.unwrap();
        database.query(super::super::SCHEMA, ()).await.unwrap();
        Inbox::new(database)
    }

    fn done(n: usize) -> Recorded {
        Recorded::Succeeded { outcome: None, output: json!({ "number": n }) }
    }

    fn row(n: usize) -> InboxRow {
        InboxRow::step(format!("key {n}"), Operation::Do, &done(n), Utc::now())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_is_answered_what_it_asked() {
        let folder = tempfile::tempdir().unwrap();
        let inbox = inbox(&folder).await;
        let recorded = join_all((0..300).filter(|n| n % 3 > 0).map(|n| {
            let inbox = inbox.clone();
            async move { inbox.record(&[row(n)]).await }
        }));
        assert!(recorded.await.iter().all(Result::is_ok));
        // Some ask the same at once.
        let asked: Vec<String> = (0..600).map(|n| format!("key {}", n / 2)).collect();
        let found = join_all(asked.iter().map(|key| inbox.find(key))).await;
        for (n, found) in found.into_iter().enumerate() {
            let n = n / 2;
            assert_eq!(found.unwrap(), (n % 3 > 0).then(|| done(n)), "{n}");
        }
        assert_eq!(inbox.find("key 1").await.unwrap(), Some(done(1)), "alone");
        assert_eq!(inbox.find("key 0").await.unwrap(), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_there_already_keeps_nobody_else_from_being_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let inbox = inbox(&folder).await;
        inbox.record(&[row(7)]).await.unwrap();
        // Each records two rows, all or none.
        let both = |n: usize| [row(1_000 + n), row(n)];
        let recorded = join_all((0..64).map(|n| {
            let inbox = inbox.clone();
            async move { inbox.record(&both(n)).await }
        }))
        .await;
        for (n, recorded) in recorded.into_iter().enumerate() {
            let refused = recorded.err().map(|error| error.kind());
            assert_eq!(refused, (n == 7).then_some(ErrorKind::AlreadyExists), "{n}");
            let beside = inbox.find(&format!("key {}", 1_000 + n)).await.unwrap();
            assert_eq!(beside, (n != 7).then(|| done(1_000 + n)), "{n}");
        }
    }

    /// Keys are text, whatever they look like.
    #[tokio::test(flavor = "multi_thread")]
    async fn keys_come_back_as_they_went() {
        let folder = tempfile::tempdir().unwrap();
        let inbox = inbox(&folder).await;
        let keys =
            ["1", "-1", "1.5", "a b", "`", "⟨x⟩", "'", "inbox:1", "018f3a52-5a75-7d2e-9d55-3f0d3f4c8a10", "null"];
        for (n, key) in keys.iter().enumerate() {
            let row = InboxRow::step((*key).to_owned(), Operation::Do, &done(n), Utc::now());
            inbox.record(&[row]).await.unwrap();
        }
        let found = super::super::find_many(&inbox.database, &keys).await.unwrap();
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(found.get(*key), Some(&done(n)), "{key}");
            assert_eq!(inbox.find(key).await.unwrap(), Some(done(n)), "{key} alone");
        }
    }

    /// What became of a question of one batch and of ten that came meanwhile, and how large the batches were.
    async fn one_and_ten<F>(serve: impl Fn() -> F + Send + 'static) -> (Vec<Option<Option<ErrorKind>>>, Vec<usize>)
    where
        F: Future<Output = Result<(), DatabaseError>> + Send + 'static,
    {
        let (sizes, mut seen) = watch::channel(Vec::new());
        let go_on = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&go_on);
        let queue = gather(move |asked: Vec<Asked<(), ()>>| {
            sizes.send_modify(|sizes| sizes.push(asked.len()));
            let (served, gate) = (serve(), Arc::clone(&gate));
            async move {
                gate.acquire().await.unwrap().forget();
                let served = served.await;
                for asked in asked {
                    asked.answer.send(served.clone()).unwrap();
                }
                served
            }
        });
        let mut answers = Vec::new();
        for n in 0..11 {
            let (answer, answered) = oneshot::channel();
            queue.try_send(Asked { question: (), answer }).unwrap();
            answers.push(answered);
            if n == 0 {
                seen.wait_for(|sizes| sizes.len() == 1).await.unwrap();
            }
        }
        go_on.add_permits(2);
        let answers = join_all(answers).await;
        let answers =
            answers.into_iter().map(|answer| answer.ok().map(|answer| answer.err().map(|error| error.kind())));
        (answers.collect(), seen.borrow().clone())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_comes_meanwhile_is_in_the_next_batch() {
        let (answers, sizes) = one_and_ten(|| std::future::ready(Ok(()))).await;
        assert_eq!((answers, sizes), (vec![Some(None); 11], vec![1, 10]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_comes_while_the_database_does_not_answer_is_told_so_at_once() {
        let nobody = Location::Remote { url: "ws://127.0.0.1:1".to_owned(), username: None, password: None };
        let error = Database::open(&nobody, "amends", "inbox").await.unwrap_err();
        let (answers, sizes) = one_and_ten(move || std::future::ready(Err(error.clone()))).await;
        assert_eq!((answers, sizes), (vec![Some(Some(ErrorKind::Unavailable)); 11], vec![1]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn after_a_panic_the_next_batch_is_served() {
        let served = AtomicUsize::new(0);
        let (answers, sizes) = one_and_ten(move || {
            let first = served.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                assert!(!first, "a panic that this test wants");
                Ok(())
            }
        })
        .await;
        let wanted: Vec<_> = std::iter::once(None).chain(std::iter::repeat_n(Some(None), 10)).collect();
        assert_eq!((answers, sizes), (wanted, vec![1, 10]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_database_is_let_go_with_the_last_clone() {
        let folder = tempfile::tempdir().unwrap();
        let first = inbox(&folder).await;
        let second = first.clone();
        join_all((0..10).map(|n| first.find(if n % 2 == 0 { "one" } else { "other" }))).await;
        drop((first, second));
        // Opening waits for a folder that is being closed, and not for one that stays open.
        inbox(&folder).await.record(&[row(1)]).await.unwrap();
    }
}
