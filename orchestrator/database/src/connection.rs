//! One connection to the engine, and the sessions on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::client::Client;
use crate::error::{DatabaseError, ErrorKind};

/// How long a server may take to answer a statement. Far more than any statement of ours needs; a server that hangs, or a network that
/// swallows, must not hold callers for ever.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Sessions kept for the next transaction. A server verifies the password for each new one, which costs far more than the statements of a
/// transaction; an embedded engine takes some 60 µs for one, ten times what beginning on one that is there does. More transactions than
/// this at once are rare, and a server allows 256 on one connection.
const IDLE_SESSIONS_MAX: usize = 32;

/// One connection. A server's may be lost; then another takes its place, and this one goes with its last transaction.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    /// Signed in, and free for a transaction: beginning one takes a session of its own.
    idle: Mutex<Vec<Client>>,
    remote: bool,
    lost: AtomicBool,
}

impl Connection {
    pub(crate) const fn embedded(client: Client) -> Self {
        Self::new(client, false)
    }

    pub(crate) const fn remote(client: Client) -> Self {
        Self::new(client, true)
    }

    const fn new(client: Client, remote: bool) -> Self {
        Self { client, idle: Mutex::new(Vec::new()), remote, lost: AtomicBool::new(false) }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Whether another has to take its place.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// A session for one transaction.
    pub(crate) fn session(&self) -> Client {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // Cloning a client opens another session of the same user in the same database.
        idle.unwrap_or_else(|| self.client.clone())
    }

    /// Takes a session back when its transaction is over.
    pub(crate) fn give_back(&self, session: Client) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_SESSIONS_MAX {
            idle.push(session);
        }
    }

    /// Awaits an answer: as long as it takes from an embedded engine, [`ANSWER_TIMEOUT`] from a server.
    pub(crate) async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, surrealdb::Error>>,
    ) -> Result<T, DatabaseError> {
        if !self.remote {
            return Ok(asked.await?);
        }
        let answered = match timeout(ANSWER_TIMEOUT, asked).await {
            Ok(answered) => answered.map_err(DatabaseError::from),
            Err(_) => Err(DatabaseError::unavailable(format!("the server did not answer in {ANSWER_TIMEOUT:?}"))),
        };
        answered.inspect_err(|error| self.look_at(error))
    }

    /// Gives a server's connection up for lost when this error may come of it. The client connects again by itself, but a session that
    /// could not be restored then (a server that was not ready yet) stays unusable, and statements wait without an end meanwhile.
    pub(crate) fn look_at(&self, error: &DatabaseError) {
        if self.remote && error.kind() == ErrorKind::Unavailable {
            self.lost.store(true, Ordering::Release);
        }
    }
}
