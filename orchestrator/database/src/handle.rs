//! Opening a database, and running statements on it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use surrealdb::Surreal;
use surrealdb::engine::any::{self, Any};
use surrealdb::opt::auth::{Namespace, Root};
use surrealdb::types::Variables;
use tokio::time::{Instant, sleep, timeout};

use crate::error::{DatabaseError, ErrorKind};
use crate::location::{Location, check_remote_url, embedded_url};
use crate::rows::Rows;
use crate::transaction::Transaction;
use crate::value::to_variables;

/// How long opening waits for a folder that is locked. Dropping the last handle closes a database in the background, and a process that
/// replaces another may start a moment before its predecessor is gone.
pub const LOCK_WAIT: Duration = Duration::from_secs(2);

/// How long a server may take to accept a connection and sign us in.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a database that is ready may take to answer a trivial question.
pub const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two looks at a lock.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// One database of one namespace. Cheap to clone; the folder is closed, in the background, when the last clone and the last
/// transaction are dropped.
#[derive(Debug, Clone)]
pub struct Database {
    // In an `Arc` because cloning the client itself would open another session.
    inner: Arc<Surreal<Any>>,
}

impl Database {
    /// Opens it, creating what is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when another process keeps the folder for longer than [`LOCK_WAIT`]; [`ErrorKind::Unavailable`] for a server
    /// that is silent for [`OPEN_TIMEOUT`]; [`ErrorKind::Bug`] for a wrong name, address or password.
    pub async fn open(location: &Location, namespace: &str, database: &str) -> Result<Self, DatabaseError> {
        check_name(namespace)?;
        check_name(database)?;
        let client = match location {
            Location::Embedded(folder) => open_embedded(folder).await?,
            Location::Remote { url, username, password } => {
                check_remote_url(url)?;
                let credentials = username.as_deref().zip(password.as_deref());
                timeout(OPEN_TIMEOUT, open_remote(url, credentials, namespace))
                    .await
                    .map_err(|_| DatabaseError::unavailable(format!("{url} did not answer in {OPEN_TIMEOUT:?}")))??
            }
        };
        // A user of the namespace may not define it; then it exists, or choosing it fails below.
        let _ = client.query(format!("DEFINE NAMESPACE IF NOT EXISTS {namespace}")).await?;
        client.use_ns(namespace).await?;
        client.query(format!("DEFINE DATABASE IF NOT EXISTS {database}")).await?.check()?;
        client.use_ns(namespace).use_db(database).await?;
        Ok(Self { inner: Arc::new(client) })
    }

    /// Runs statements, each its own transaction, outside any other.
    ///
    /// `bindings` is a map of names to values (`json!({…})` or a struct), or `()`. Statements are numbered from zero in the order of the
    /// text; those after one that failed have run all the same, unless they stand in `BEGIN … COMMIT`.
    ///
    /// # Errors
    /// The first statement's that fails.
    pub async fn query(&self, statements: &str, bindings: impl Serialize + Send) -> Result<Rows, DatabaseError> {
        self.query_values(statements, to_variables(bindings)?).await
    }

    /// As [`Database::query`], with SurrealDB's own values, for what JSON cannot carry: bytes, datetimes, record ids.
    ///
    /// # Errors
    /// As [`Database::query`].
    pub async fn query_values(&self, statements: &str, bindings: Variables) -> Result<Rows, DatabaseError> {
        Rows::from_results(self.inner.query(statements).bind(bindings).await?)
    }

    /// Begins a transaction. Dropped without commit it leaves nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`].
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let client = Surreal::clone(&self.inner);
        Ok(Transaction::new(client.begin().await?))
    }

    /// Asks a trivial question, to know whether it is there.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is no answer within [`PING_TIMEOUT`].
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        timeout(PING_TIMEOUT, self.query("RETURN true", ()))
            .await
            .map_err(|_| DatabaseError::unavailable(format!("no answer in {PING_TIMEOUT:?}")))??;
        Ok(())
    }

    /// The client itself, for what this door does not offer. Do not clone it: a clone is another session.
    pub fn client(&self) -> &Surreal<Any> {
        &self.inner
    }
}

/// Names stand in statements as they are.
fn check_name(name: &str) -> Result<(), DatabaseError> {
    let fits = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    if !name.is_empty() && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(fits) {
        Ok(())
    } else {
        Err(DatabaseError::bug(format!(
            "`{name}` is no name for a database: use a-z, 0-9 and _, beginning with a letter"
        )))
    }
}

async fn open_embedded(folder: &Path) -> Result<Surreal<Any>, DatabaseError> {
    let url = embedded_url(folder)?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match any::connect(url.as_str()).await.map_err(DatabaseError::from) {
            Err(error) if error.kind() == ErrorKind::Locked && Instant::now() < deadline => sleep(LOCK_POLL).await,
            Err(error) if error.kind() == ErrorKind::Locked => {
                let message =
                    format!("{} is opened by another process: stop it, or use another folder", folder.display());
                return Err(DatabaseError::new(ErrorKind::Locked, message));
            }
            opened => return opened,
        }
    }
}

async fn open_remote(
    url: &str,
    credentials: Option<(&str, &str)>,
    namespace: &str,
) -> Result<Surreal<Any>, DatabaseError> {
    let client = any::connect(url).await?;
    if let Some((username, password)) = credentials {
        let (username, password) = (username.to_owned(), password.to_owned());
        let root = Root { username: username.clone(), password: password.clone() };
        if client.signin(root).await.is_err() {
            client.signin(Namespace { namespace: namespace.to_owned(), username, password }).await?;
        }
    }
    Ok(client)
}
