//! Domain events: heard once each.

use std::sync::Arc;

use amends_database::{DatabaseError, ErrorKind};
use amends_schemas::event::CloudEvent;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::conflict::{CONFLICT_ATTEMPTS_MAX, pause_after_conflict};
use super::isolated::{Panicked, isolated};
use crate::inbox::{self, InboxRow};
use crate::scope::Scope;
use crate::subscriber::Subscriber;
use crate::work::{CommitError, UnitOfWork};

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Taken in, now or before.
    Done,
    /// The database is in trouble: to be delivered again.
    Later,
    /// The handler has a bug: to be delivered again, but not for ever.
    Bug(String),
    /// Its facts cannot be read and never will be.
    Unreadable(String),
}

/// A subscriber without its types.
pub(crate) trait ServeSubscriber: Send + Sync {
    fn event_type(&self) -> &'static str;
    fn serve<'a>(&'a self, scope: &'a Scope, event: &'a CloudEvent) -> BoxFuture<'a, Heard>;
}

/// Takes one event in, [`isolated`].
pub(crate) async fn hear(scope: &Scope, subscriber: &Arc<dyn ServeSubscriber>, event: CloudEvent) -> Heard {
    let (scope, subscriber) = (scope.clone(), Arc::clone(subscriber));
    let hearing = async move {
        let _same_event = scope.locks.lock(inbox::event_key(event.id)).await;
        subscriber.serve(&scope, &event).await
    };
    isolated(hearing).await.unwrap_or_else(|Panicked| Heard::Bug("the handler panicked".to_owned()))
}

/// A subscriber.
pub(crate) struct SubscriberServer<S>(pub(crate) S);

impl<S: Subscriber> ServeSubscriber for SubscriberServer<S> {
    fn event_type(&self) -> &'static str {
        S::EVENT
    }

    fn serve<'a>(&'a self, scope: &'a Scope, event: &'a CloudEvent) -> BoxFuture<'a, Heard> {
        async move {
            let key = inbox::event_key(event.id);
            for attempt in 1..=CONFLICT_ATTEMPTS_MAX {
                match scope.inbox.find(&key).await {
                    Ok(Some(_)) => return Heard::Done,
                    Ok(None) => {}
                    Err(error) => return later(&error),
                }
                let data = match serde_json::from_value::<S::Data>(event.data.clone()) {
                    Ok(data) => data,
                    Err(error) => return Heard::Unreadable(error.to_string()),
                };
                let mut work = UnitOfWork::new(scope);
                let error = match self.0.handle(&mut work, event, data).await {
                    Ok(()) => {
                        let row = InboxRow::event(event.id, work.now());
                        match work.commit(&[row]).await {
                            Ok(()) => return Heard::Done,
                            Err(CommitError::Database(error)) => error,
                            Err(CommitError::Broken(error)) => {
                                return Heard::Bug(format!(
                                    "the handler succeeds after a statement has failed: {error}"
                                ));
                            }
                        }
                    }
                    Err(error) => error,
                };
                match error.kind() {
                    ErrorKind::Conflict | ErrorKind::AlreadyExists => pause_after_conflict(attempt).await,
                    ErrorKind::Unavailable | ErrorKind::Locked => return later(&error),
                    ErrorKind::Bug => return Heard::Bug(error.to_string()),
                }
            }
            Heard::Later
        }
        .boxed()
    }
}

fn later(error: &DatabaseError) -> Heard {
    tracing::warn!(error = error as &dyn std::error::Error, "the database does not answer");
    Heard::Later
}
