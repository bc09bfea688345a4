//! Records of several partitions in one transaction: what has come while one commit was on its way makes the next one together, so that
//! partitions share the statement, the transaction and the fsync. Alone in the line, a record does not wait for others.

use amends_database::{Database, DatabaseError, ErrorKind};
use amends_engine::ports::{JournalRecord, StoreError};
use surrealdb::types::{Array, SurrealValue, Value, Variables};
use tokio::sync::{mpsc, oneshot};

use crate::journal;
use crate::rows::JournalRow;
use crate::store::unavailable;

/// Records in one transaction: as many partitions as one process may well own. Each partition waits for its record before it sends the next.
const TOGETHER_MAX: usize = 64;

/// Bytes of records beyond which no further one joins: a transaction must fit into the engine's table in memory.
const TOGETHER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Several records, one fsync.
const INSERT: &str = "INSERT INTO journal $rows RETURN NONE";

/// A record that waits for its commit.
struct Waiting {
    row: JournalRow,
    committed: oneshot::Sender<Result<(), StoreError>>,
}

/// Takes records. Cheap to clone; the task behind it ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Commits(mpsc::Sender<Waiting>);

impl Commits {
    /// Commits into this database. Must be called within a tokio runtime.
    pub(crate) fn into(database: Database) -> Self {
        let (sender, receiver) = mpsc::channel(TOGETHER_MAX);
        tokio::spawn(commit_all(database, receiver));
        Self(sender)
    }

    /// Resolves when the record is on disk, or cannot be. When the future is dropped before, whether it is there is unknown.
    pub(crate) async fn append(&self, record: &JournalRecord) -> Result<(), StoreError> {
        let ended = || StoreError::Unavailable("the journal's writer has ended".into());
        let (committed, told) = oneshot::channel();
        self.0.send(Waiting { row: JournalRow::new(record)?, committed }).await.map_err(|_| ended())?;
        told.await.map_err(|_| ended())?
    }
}

async fn commit_all(database: Database, mut receiver: mpsc::Receiver<Waiting>) {
    // The one that was too large for the batch before.
    let mut left = None;
    loop {
        let first = match left.take() {
            Some(first) => first,
            None => match receiver.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let mut bytes = first.row.blob_bytes();
        let mut together = vec![first];
        while together.len() < TOGETHER_MAX
            && let Ok(next) = receiver.try_recv()
        {
            bytes += next.row.blob_bytes();
            if bytes > TOGETHER_BYTES_MAX {
                left = Some(next);
                break;
            }
            together.push(next);
        }
        commit(&database, together).await;
    }
}

/// Commits all of them at once, or finds out of each by itself what stands in its way.
async fn commit(database: &Database, together: Vec<Waiting>) {
    if together.len() > 1 {
        let rows = together.iter().map(|waiting| waiting.row.clone().into_value()).collect();
        match insert(database, rows).await {
            Ok(()) => {
                together.into_iter().for_each(|waiting| waiting.tell(Ok(())));
                return;
            }
            Err(error) => match error.kind() {
                ErrorKind::AlreadyExists | ErrorKind::Conflict => {}
                ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Bug => {
                    let error = unavailable("appending to the journal", &error);
                    together.into_iter().for_each(|waiting| waiting.tell(Err(error.clone())));
                    return;
                }
            },
        }
    }
    for waiting in together {
        let result = journal::append(database, &waiting.row).await;
        waiting.tell(result);
    }
}

async fn insert(database: &Database, rows: Vec<Value>) -> Result<(), DatabaseError> {
    let mut bindings = Variables::new();
    bindings.insert("rows", Array::from(rows).into_value());
    database.query_values(INSERT, bindings).await.map(|_| ())
}

impl Waiting {
    fn tell(self, result: Result<(), StoreError>) {
        // Whoever waited may have been replaced and gone.
        let _ = self.committed.send(result);
    }
}
