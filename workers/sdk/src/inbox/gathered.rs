//! What is asked of the inbox at the same time is asked in one statement, and what is written to nothing but the inbox in one commit.
//!
//! With SurrealDB a statement costs tens of microseconds however little it does, and each command needs one to learn that it is new and one
//! to be remembered. Nobody waits for others to come: whoever comes while no batch is under way is served at once, alone if need be, and who
//! comes meanwhile is in the next. Two at once would be smaller ones, and slower by a tenth with 64 commands in hand.

use amends_database::{Database, DatabaseError, ErrorKind};
use tokio::sync::{mpsc, oneshot};

use super::{InboxRow, Recorded};

/// Commands in one batch. Their results are at most 64 KiB each, a small part of the largest transaction.
const BATCH_MAX: usize = 64;

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

    /// Records what no change of the context goes with, in a commit that others may share. All of the rows, or none.
    ///
    /// # Errors
    /// `AlreadyExists` when one of these rows is there already, whatever becomes of the others' rows.
    pub(crate) async fn record(&self, rows: &[InboxRow]) -> Result<(), DatabaseError> {
        match ask(&self.records, rows.to_vec()).await {
            Some(answer) => answer,
            // If they were written after all, they exist already, and whoever asks looks again.
            None => super::record(&self.database, rows).await,
        }
    }
}

/// `None` when whoever should answer has panicked.
async fn ask<Q, A>(queue: &mpsc::Sender<Asked<Q, A>>, question: Q) -> Option<Result<A, DatabaseError>> {
    let (answer, answered) = oneshot::channel();
    queue.send(Asked { question, answer }).await.ok()?;
    answered.await.ok()
}

/// Takes questions until nobody can ask any more, as many at once as there are.
fn gather<Q, A, F>(serve: impl Fn(Vec<Asked<Q, A>>) -> F + Send + 'static) -> mpsc::Sender<Asked<Q, A>>
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, mut queue) = mpsc::channel(BATCH_MAX);
    tokio::spawn(async move {
        let mut asked = Vec::new();
        while queue.recv_many(&mut asked, BATCH_MAX).await > 0 {
            // In a task of its own: a panic is the end of one batch, whose commands then look for themselves.
            let _ = tokio::spawn(serve(std::mem::take(&mut asked))).await;
        }
    });
    sender
}

async fn find_all(database: Database, asked: Vec<Asked<String, Option<Recorded>>>) {
    let keys: Vec<&str> = asked.iter().map(|asked| &*asked.question).collect();
    match super::find_many(&database, &keys).await {
        Ok(found) => {
            for Asked { question, answer } in asked {
                // Not taken out: another may ask the same. Who does not wait any more needs no answer.
                let _ = answer.send(Ok(found.get(&question).cloned()));
            }
        }
        Err(error) => answer_all(asked, &error),
    }
}

async fn record_all(database: Database, asked: Vec<Asked<Vec<InboxRow>, ()>>) {
    let rows: Vec<&InboxRow> = asked.iter().flat_map(|asked| &asked.question).collect();
    match super::record(&database, &rows).await {
        Ok(()) => {
            for asked in asked {
                let _ = asked.answer.send(Ok(()));
            }
        }
        Err(error) => match error.kind() {
            // It is one of them, and nothing was written: each for itself.
            ErrorKind::AlreadyExists | ErrorKind::Conflict | ErrorKind::Bug if asked.len() > 1 => {
                for Asked { question, answer } in asked {
                    let _ = answer.send(super::record(&database, &question).await);
                }
            }
            ErrorKind::AlreadyExists
            | ErrorKind::Conflict
            | ErrorKind::Bug
            | ErrorKind::Unavailable
            | ErrorKind::Locked => answer_all(asked, &error),
        },
    }
}

fn answer_all<Q, A>(asked: Vec<Asked<Q, A>>, error: &DatabaseError) {
    for asked in asked {
        let _ = asked.answer.send(Err(error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use amends_database::Location;
    use amends_schemas::command::Operation;
    use chrono::Utc;
    use futures::future::join_all;
    use serde_json::json;

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
