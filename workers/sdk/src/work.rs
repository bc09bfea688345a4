//! The unit of work: one transaction for the inbox key, the domain change and the outgoing events.

use amends_database::{Database, DatabaseError, ErrorKind, Rows, Transaction};
use amends_schemas::event::CloudEvent;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::inbox::InboxRow;
use crate::outbox::{OutboxRow, Writes};
use crate::scope::Scope;

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

/// One transaction, opened at first use; committed by the SDK after the handler has returned well, dropped otherwise. A handler that never
/// uses it has its answer recorded in a commit that others in its case may share.
///
/// On a write conflict the SDK runs the whole handler again with a fresh unit of work, a bounded number of times: whatever
/// a handler does outside the transaction must therefore be idempotent (a gateway call under the command's key is).
///
/// A statement that fails ends the transaction, and with it whatever the unit of work held. A handler that expects the failure may
/// still answer `Failed` (the answer then commits alone) or look at things again, in a new transaction; a success after it is a bug.
#[derive(Debug)]
pub struct UnitOfWork {
    scope: Scope,
    transaction: Option<Transaction>,
    broken: Option<DatabaseError>,
    events: Vec<DomainEvent>,
    now: DateTime<Utc>,
}

/// Why a unit of work did not commit.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// The database's reason.
    Database(DatabaseError),
    /// The handler went on to succeed after one of its statements had failed in this way.
    Broken(DatabaseError),
}

impl UnitOfWork {
    pub(crate) fn new(scope: &Scope) -> Self {
        Self { scope: scope.clone(), transaction: None, broken: None, events: Vec::new(), now: Utc::now() }
    }

    /// Runs statements in the transaction, opening it if this is the first.
    ///
    /// # Errors
    /// As [`Transaction::query`]; pass it on with `?`.
    pub async fn query(&mut self, statements: &str, bindings: impl Serialize + Send) -> Result<Rows, DatabaseError> {
        let transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => self.scope.database.begin().await?,
        };
        match transaction.query(statements, bindings).await {
            Ok(rows) => {
                self.transaction = Some(transaction);
                Ok(rows)
            }
            Err(error) => {
                self.broken.get_or_insert_with(|| error.clone());
                self.events.clear();
                Err(error)
            }
        }
    }

    /// The database outside the transaction: for small commits of their own that must stand before an outside call is
    /// made, and for reads.
    pub const fn database(&self) -> &Database {
        &self.scope.database
    }

    /// Publishes an event with the commit.
    pub fn publish(&mut self, event: DomainEvent) {
        self.events.push(event);
    }

    /// The time of this call; the same for all of it.
    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Commits everything together with rows of the inbox, and hands the events to the relay.
    pub(crate) async fn commit(mut self, inbox: &[InboxRow]) -> Result<(), CommitError> {
        if let Some(error) = self.broken.take() {
            return Err(match error.kind() {
                ErrorKind::Conflict | ErrorKind::Unavailable | ErrorKind::Locked => CommitError::Database(error),
                ErrorKind::AlreadyExists | ErrorKind::Bug => CommitError::Broken(error),
            });
        }
        self.write(inbox).await.map_err(CommitError::Database)
    }

    /// As [`UnitOfWork::commit`], for a clean failure: what a failed statement has ended is left out.
    pub(crate) async fn commit_failure(mut self, inbox: &[InboxRow]) -> Result<(), CommitError> {
        if self.broken.take().is_some() {
            self.transaction = None;
            self.events.clear();
        }
        self.write(inbox).await.map_err(CommitError::Database)
    }

    async fn write(mut self, inbox: &[InboxRow]) -> Result<(), DatabaseError> {
        let traceparent = amends_nats::trace::traceparent(Some(&self.scope.headers())).map(str::to_owned);
        let events: Vec<OutboxRow> = std::mem::take(&mut self.events)
            .into_iter()
            .map(|event| OutboxRow::new(&self.seal(event), traceparent.clone()))
            .collect();
        let writes = Writes::new(inbox, &events);
        let statements = writes.statements();
        match self.transaction.take() {
            Some(transaction) => {
                if !statements.is_empty() {
                    transaction.query(&statements, &writes).await?;
                }
                transaction.commit().await?;
            }
            None if statements.is_empty() => {}
            None if events.is_empty() => self.scope.inbox.record(inbox).await?,
            None => {
                let whole = format!("BEGIN TRANSACTION; {statements} COMMIT TRANSACTION;");
                self.scope.database.query(&whole, &writes).await?;
            }
        }
        self.scope.relay.committed(events);
        Ok(())
    }

    /// Makes the event one that others can read. The id is taken here, right before the commit: see [`crate::outbox`].
    fn seal(&self, event: DomainEvent) -> CloudEvent {
        CloudEvent {
            specversion: "1.0".to_owned(),
            id: Uuid::now_v7(),
            source: format!("/amends/{}", self.scope.context),
            event_type: format!("{}.{}", self.scope.context, event.name),
            subject: event.subject,
            time: self.now,
            datacontenttype: "application/json".to_owned(),
            sequence: event.sequence,
            data: event.data,
        }
    }
}
