//! Opening a database, and running statements on it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use surrealdb::Surreal;
use surrealdb::engine::any::{self, Any};
use surrealdb::engine::local::Db;
use surrealdb::opt::auth::{Namespace, Root};
use surrealdb::types::Variables;
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;
use crate::connection::Connection;
use crate::engine::{self, Tuning};
use crate::error::{DatabaseError, ErrorKind};
use crate::location::{Location, check_remote_url, embedded_url};
use crate::rows::Rows;
use crate::transaction::Transaction;
use crate::value::to_variables;

/// How long opening waits for a folder that is locked. Dropping the last handle closes a database in the background, and a process that
/// replaces another may start before its predecessor is gone: one that is merging files closes when they are merged, which takes seconds
/// on a busy machine.
pub const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How long a server may take to accept a connection and sign us in.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a database that is ready may take to answer a trivial question.
pub const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two looks at a lock.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// How often processes that define the same namespace at once may get in each other's way.
const CHOOSE_ATTEMPTS_MAX: usize = 32;

/// Before it is tried again.
const CHOOSE_PAUSE: Duration = Duration::from_millis(50);

/// One database of one namespace. Cheap to clone; the folder is closed, in the background, when the last clone and the last
/// transaction are dropped. A connection to a server that is lost is opened again by the next statement.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    slot: RwLock<Slot>,
    location: Location,
    namespace: String,
    database: String,
}

impl Database {
    /// Opens it, creating what is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when another process keeps the folder for longer than [`LOCK_WAIT`]; [`ErrorKind::Unavailable`] for a server
    /// that is silent for [`OPEN_TIMEOUT`]; [`ErrorKind::Bug`] for a wrong name, address or password.
    pub async fn open(location: &Location, namespace: &str, database: &str) -> Result<Self, DatabaseError> {
        Self::open_tuned(location, namespace, database, Tuning::default()).await
    }

    /// As [`Database::open`], with an embedded engine set up in another way; a server is set up by whoever starts it.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_tuned(
        location: &Location,
        namespace: &str,
        database: &str,
        tuning: Tuning,
    ) -> Result<Self, DatabaseError> {
        check_name(namespace)?;
        check_name(database)?;
        let connection = match location {
            Location::Embedded(folder) => {
                let client = open_embedded(folder, tuning).await?;
                choose(&client, namespace, database).await?;
                Connection::embedded(Client::Embedded(client))
            }
            Location::Remote { .. } => connect(location, namespace, database).await?,
        };
        let inner = Inner {
            slot: RwLock::new(Slot { connection: Arc::new(connection), attempts: 0, failure: None }),
            location: location.clone(),
            namespace: namespace.to_owned(),
            database: database.to_owned(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether it is a folder that this process alone has open.
    pub fn is_embedded(&self) -> bool {
        matches!(self.inner.location, Location::Embedded(_))
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
        let connection = self.connection().await?;
        let results = connection.answer(connection.client().query(statements, bindings)).await?;
        Rows::from_results(results).inspect_err(|error| connection.look_at(error))
    }

    /// Begins a transaction. Dropped without commit it leaves nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`].
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let connection = self.connection().await?;
        let transaction = connection.answer(connection.session().begin()).await?;
        Ok(Transaction::new(connection, transaction))
    }

    /// Asks a trivial question, to know whether it is there.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is no answer within [`PING_TIMEOUT`].
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        match timeout(PING_TIMEOUT, self.query("RETURN true", ())).await {
            Ok(answer) => answer.map(drop),
            Err(_) => Err(DatabaseError::unavailable(format!("no answer in {PING_TIMEOUT:?}"))),
        }
    }

    /// The connection, or a new one when it was lost.
    async fn connection(&self) -> Result<Arc<Connection>, DatabaseError> {
        let attempts = {
            let slot = self.inner.slot.read().await;
            if !slot.connection.is_lost() {
                return Ok(Arc::clone(&slot.connection));
            }
            slot.attempts
        };
        let mut slot = self.inner.slot.write().await;
        if !slot.connection.is_lost() {
            return Ok(Arc::clone(&slot.connection));
        }
        // Who waited while another tried in vain does not try again: many in a queue would each wait for all before them.
        if let Some(failure) = slot.failure.as_ref().filter(|_| slot.attempts != attempts) {
            return Err(failure.clone());
        }
        slot.attempts += 1;
        let Inner { location, namespace, database, .. } = &*self.inner;
        match connect(location, namespace, database).await {
            Ok(connection) => {
                tracing::info!(database, "connected to the database server again");
                slot.connection = Arc::new(connection);
                slot.failure = None;
                Ok(Arc::clone(&slot.connection))
            }
            // It has worked before: whatever is wrong now, the server can be mended.
            Err(error) => {
                let error = DatabaseError::unavailable(format!("the database server is not back yet: {error}"));
                slot.failure = Some(error.clone());
                Err(error)
            }
        }
    }
}

/// The connection in use, and how connecting again went.
#[derive(Debug)]
struct Slot {
    connection: Arc<Connection>,
    attempts: u64,
    failure: Option<DatabaseError>,
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

async fn open_embedded(folder: &Path, tuning: Tuning) -> Result<Surreal<Db>, DatabaseError> {
    let url = embedded_url(folder)?;
    let deadline = Instant::now() + LOCK_WAIT;
    let mut waits = false;
    loop {
        match engine::open(&url, folder, tuning).await.map_err(DatabaseError::from) {
            Err(error) if error.kind() == ErrorKind::Locked && Instant::now() < deadline => {
                if !std::mem::replace(&mut waits, true) {
                    tracing::info!(folder = %folder.display(), "waiting for another process to close its database");
                }
                sleep(LOCK_POLL).await;
            }
            Err(error) if error.kind() == ErrorKind::Locked => {
                let message =
                    format!("{} is opened by another process: stop it, or use another folder", folder.display());
                return Err(DatabaseError::new(ErrorKind::Locked, message));
            }
            opened => return opened,
        }
    }
}

/// Connects to a server, within [`OPEN_TIMEOUT`].
async fn connect(location: &Location, namespace: &str, database: &str) -> Result<Connection, DatabaseError> {
    let Location::Remote { url, username, password } = location else {
        return Err(DatabaseError::bug("an embedded database has no server"));
    };
    check_remote_url(url)?;
    let credentials = username.as_deref().zip(password.as_deref());
    let opened = timeout(OPEN_TIMEOUT, async {
        let client = any::connect(url.as_str()).await?;
        if let Some((username, password)) = credentials {
            sign_in(&client, username, password, namespace).await?;
        }
        choose(&client, namespace, database).await?;
        Ok::<_, DatabaseError>(client)
    });
    let client =
        opened.await.map_err(|_| DatabaseError::unavailable(format!("{url} did not answer in {OPEN_TIMEOUT:?}")))??;
    Ok(Connection::remote(Client::Server(client)))
}

async fn sign_in(client: &Surreal<Any>, username: &str, password: &str, namespace: &str) -> Result<(), DatabaseError> {
    let (username, password) = (username.to_owned(), password.to_owned());
    let root = Root { username: username.clone(), password: password.clone() };
    if client.signin(root).await.is_ok() {
        return Ok(());
    }
    let user = Namespace { namespace: namespace.to_owned(), username, password };
    match client.signin(user).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_allowed() => {
            Err(DatabaseError::bug(format!("the server refuses the user or the password: {}", error.message())))
        }
        Err(error) => Err(error.into()),
    }
}

/// Chooses the namespace and the database, and defines them if they are missing. Every role of a new deployment does so at once.
async fn choose<C: surrealdb::Connection>(
    client: &Surreal<C>,
    namespace: &str,
    database: &str,
) -> Result<(), DatabaseError> {
    let mut attempt = 1;
    loop {
        match try_choose(client, namespace, database).await {
            Err(error)
                if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists)
                    && attempt < CHOOSE_ATTEMPTS_MAX =>
            {
                attempt += 1;
                sleep(CHOOSE_PAUSE).await;
            }
            chosen => return chosen,
        }
    }
}

async fn try_choose<C: surrealdb::Connection>(
    client: &Surreal<C>,
    namespace: &str,
    database: &str,
) -> Result<(), DatabaseError> {
    // A user of the namespace may not define it; then it exists, or choosing it fails below.
    let _ = client.query(format!("DEFINE NAMESPACE IF NOT EXISTS {namespace}")).await?;
    client.use_ns(namespace).await?;
    client.query(format!("DEFINE DATABASE IF NOT EXISTS {database}")).await?.check()?;
    client.use_ns(namespace).use_db(database).await?;
    Ok(())
}
