//! The unit of work: one transaction for the inbox key, the domain change and the outgoing events.

use amends_database::{Database, DatabaseError, Rows, Transaction};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

/// A domain event to be published if, and only if, the unit of work commits.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainEvent {
    /// `Name.v<N>`; the context's name is put before it.
    pub name: &'static str,
    /// The aggregate it is about.
    pub subject: String,
    /// The aggregate's version after the change, from 1.
    pub sequence: u64,
    /// The facts.
    pub data: Value,
}

/// One transaction, opened at first use; committed by the SDK after the handler has returned well, dropped otherwise.
///
/// On a write conflict the SDK runs the whole handler again with a fresh unit of work, a bounded number of times: whatever
/// a handler does outside the transaction must therefore be idempotent (a gateway call under the command's key is).
#[derive(Debug)]
pub struct UnitOfWork {
    database: Database,
    transaction: Option<Transaction>,
    events: Vec<DomainEvent>,
    now: DateTime<Utc>,
}

impl UnitOfWork {
    /// Runs statements in the transaction, opening it if this is the first.
    ///
    /// # Errors
    /// As [`Transaction::query`]; pass it on with `?`.
    pub async fn query(&mut self, _statements: &str, _bindings: impl Serialize + Send) -> Result<Rows, DatabaseError> {
        unimplemented!()
    }

    /// The database outside the transaction: for small commits of their own that must stand before an outside call is
    /// made, and for reads.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Publishes an event with the commit.
    pub fn publish(&mut self, event: DomainEvent) {
        self.events.push(event);
    }

    /// The time of this call; the same for all of it.
    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }
}
