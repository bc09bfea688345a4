//! Several statements that happen together, or not at all.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use surrealdb::types::Variables;

use crate::client::Begun;
use crate::connection::Connection;
use crate::error::DatabaseError;
use crate::rows::Rows;
use crate::value::to_variables;

/// A transaction: all of it, or nothing.
///
/// It reads the database as it was when it began, and its own writes. At commit, what it wrote or read `FOR UPDATE` and another has written
/// since it began is a [`Conflict`](crate::ErrorKind::Conflict); what it merely read is not checked.
#[derive(Debug)]
pub struct Transaction {
    // `None` once finished.
    inner: Option<Begun>,
    failed: Mutex<Option<DatabaseError>>,
    connection: Arc<Connection>,
}

impl Transaction {
    pub(crate) const fn new(connection: Arc<Connection>, inner: Begun) -> Self {
        Self { inner: Some(inner), failed: Mutex::new(None), connection }
    }

    /// Runs statements within it.
    ///
    /// # Errors
    /// As [`Database::query`](crate::Database::query); after an error the transaction is to be dropped, and does not commit.
    pub async fn query(&self, statements: &str, bindings: impl Serialize + Send) -> Result<Rows, DatabaseError> {
        match to_variables(bindings) {
            Ok(variables) => self.query_values(statements, variables).await,
            Err(error) => Err(self.fail(error)),
        }
    }

    /// As [`Transaction::query`], with SurrealDB's own values, for what JSON cannot carry: bytes, datetimes, record ids.
    ///
    /// # Errors
    /// As [`Transaction::query`].
    pub async fn query_values(&self, statements: &str, bindings: Variables) -> Result<Rows, DatabaseError> {
        let inner = self.inner.as_ref().expect("only commit and cancel take it, and they consume self");
        let answer = self.connection.answer(inner.query(statements, bindings)).await;
        answer.and_then(Rows::from_results).map_err(|error| {
            self.connection.look_at(&error);
            self.fail(error)
        })
    }

    /// Makes it so, fsynced when this returns. When the future is dropped before, whether it happened is unknown.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when another transaction got in between; the error of a statement that failed
    /// before. Nothing is left of it then.
    pub async fn commit(mut self) -> Result<(), DatabaseError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let inner = self.inner.take().expect("only commit and cancel take it, and they consume self");
        match failed {
            None => {
                let session = self.connection.answer(inner.commit()).await?;
                self.connection.give_back(session);
                Ok(())
            }
            Some(error) => {
                // The statement's error says more than whatever comes of cancelling.
                let _ = end(&self.connection, inner).await;
                Err(error)
            }
        }
    }

    /// Leaves nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable); it is gone all the same.
    pub async fn cancel(mut self) -> Result<(), DatabaseError> {
        let inner = self.inner.take().expect("only commit and cancel take it, and they consume self");
        end(&self.connection, inner).await
    }

    /// Remembers the first error, so that nothing half done commits.
    fn fail(&self, error: DatabaseError) -> DatabaseError {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        error
    }
}

impl Drop for Transaction {
    /// Cancels it in the background, so that the engine does not keep it until the session ends.
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let connection = Arc::clone(&self.connection);
            runtime.spawn(async move {
                if let Err(error) = end(&connection, inner).await {
                    tracing::debug!(%error, "an unfinished transaction could not be cancelled");
                }
            });
        }
    }
}

/// Cancels it, and keeps its session for the next one.
async fn end(connection: &Connection, transaction: Begun) -> Result<(), DatabaseError> {
    let session = connection.answer(transaction.cancel()).await?;
    connection.give_back(session);
    Ok(())
}
