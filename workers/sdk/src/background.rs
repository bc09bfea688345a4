//! What a context does by itself, from time to time.

use std::future::Future;
use std::time::Duration;

use amends_database::{DatabaseError, ErrorKind};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::condition::Condition;
use crate::scope::Scope;
use crate::serve::{CONFLICT_ATTEMPTS_MAX, Panicked, isolated, pause_after_conflict};
use crate::work::{CommitError, UnitOfWork};

/// Repeated work, such as releasing expired holds. Errors are logged and the next tick tries again. Bounded: one tick
/// handles one bounded batch.
pub trait Background: Send + Sync + 'static {
    /// For logs.
    const NAME: &'static str;

    /// Pause between ticks.
    const EVERY: Duration;

    /// One round. Returns whether there is more to do at once.
    fn tick(&self, work: &mut UnitOfWork) -> impl Future<Output = Result<bool, DatabaseError>> + Send;
}

/// Background work without its type.
pub(crate) trait RunBackground: Send + Sync {
    fn name(&self) -> &'static str;
    fn every(&self) -> Duration;
    fn tick<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<bool, DatabaseError>>;
}

/// Background work.
pub(crate) struct BackgroundRunner<B>(pub(crate) B);

impl<B: Background> RunBackground for BackgroundRunner<B> {
    fn name(&self) -> &'static str {
        B::NAME
    }

    fn every(&self) -> Duration {
        B::EVERY
    }

    fn tick<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<bool, DatabaseError>> {
        async move {
            let mut attempt = 0;
            loop {
                attempt += 1;
                let mut work = UnitOfWork::new(scope);
                let error = match self.0.tick(&mut work).await {
                    Ok(more) => match work.commit(&[]).await {
                        Ok(()) => return Ok(more),
                        Err(CommitError::Database(error) | CommitError::Broken(error)) => error,
                    },
                    Err(error) => error,
                };
                match error.kind() {
                    ErrorKind::Conflict | ErrorKind::AlreadyExists if attempt < CONFLICT_ATTEMPTS_MAX => {
                        pause_after_conflict(attempt).await;
                    }
                    ErrorKind::Conflict
                    | ErrorKind::AlreadyExists
                    | ErrorKind::Unavailable
                    | ErrorKind::Locked
                    | ErrorKind::Bug => return Err(error),
                }
            }
        }
        .boxed()
    }
}

/// Ticks until shutdown; a tick that has begun ends well.
pub(crate) async fn run(background: std::sync::Arc<dyn RunBackground>, scope: Scope, shutdown: CancellationToken) {
    let mut condition = Condition::new(format!("{} of {}", background.name(), scope.context));
    while !shutdown.is_cancelled() {
        let (ticked, scope) = (std::sync::Arc::clone(&background), scope.clone());
        let more = match isolated(async move { ticked.tick(&scope).await }).await {
            Ok(Ok(more)) => {
                condition.well();
                more
            }
            Ok(Err(error)) => {
                condition.ill(&error.to_string());
                false
            }
            Err(Panicked) => {
                condition.ill("it panicked");
                false
            }
        };
        if !more {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(background.every()) => {}
            }
        }
    }
}
