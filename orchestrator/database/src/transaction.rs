//! Several statements that happen together, or not at all.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use surrealdb::engine::any::Any;
use surrealdb::method;

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
    inner: Option<method::Transaction<Any>>,
    failed: Mutex<Option<DatabaseError>>,
}

impl Transaction {
    pub(crate) fn new(inner: method::Transaction<Any>) -> Self {
        Self { inner: Some(inner), failed: Mutex::new(None) }
    }

    /// Runs statements within it.
    ///
    /// # Errors
    /// As [`Database::query`](crate::Database::query); after an error the transaction is to be dropped, and does not commit.
    pub async fn query(&self, statements: &str, bindings: impl Serialize + Send) -> Result<Rows, DatabaseError> {
        let answer = self.run(statements, bindings).await;
        if let Err(error) = &answer {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
        answer
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
            None => Ok(inner.commit().await.map(drop)?),
            Some(error) => {
                // The statement's error says more than whatever comes of cancelling.
                let _ = inner.cancel().await;
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
        Ok(inner.cancel().await.map(drop)?)
    }

    async fn run(&self, statements: &str, bindings: impl Serialize + Send) -> Result<Rows, DatabaseError> {
        let variables = to_variables(bindings)?;
        let inner = self.inner.as_ref().expect("only commit and cancel take it, and they consume self");
        Rows::from_results(inner.query(statements).bind(variables).await?)
    }
}

impl Drop for Transaction {
    /// Cancels it in the background, so that the engine does not keep it until the session ends.
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                if let Err(error) = inner.cancel().await {
                    tracing::debug!(error = error.message(), "an unfinished transaction could not be cancelled");
                }
            });
        }
    }
}
