//! Requests: decoded, handled in a transaction, answered.

use std::sync::Arc;
use std::time::Duration;

use amends_database::{DatabaseError, ErrorKind};
use amends_schemas::limits::{MESSAGE_BYTES_MAX, SAGA_INPUT_BYTES_MAX};
use amends_schemas::problem::{Answer, Problem, ProblemKind};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::conflict::{CONFLICT_ATTEMPTS_MAX, pause_after_conflict};
use super::isolated::{Panicked, isolated};
use crate::endpoint::{Endpoint, EndpointError};
use crate::scope::Scope;
use crate::work::{CommitError, UnitOfWork};

/// Largest request: what a saga may be started with is the largest thing that comes through the API.
const REQUEST_BYTES_MAX: usize = SAGA_INPUT_BYTES_MAX;

/// How long a request may take. Whoever asked has given up by then; the transaction is dropped.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// An endpoint without its types.
pub(crate) trait ServeEndpoint: Send + Sync {
    fn name(&self) -> &'static str;
    fn serve<'a>(&'a self, scope: &'a Scope, request: &'a [u8]) -> BoxFuture<'a, Result<Value, Problem>>;
}

/// Answers one request; the bytes are an `Answer`.
pub(crate) async fn answer_request(scope: &Scope, endpoint: &Arc<dyn ServeEndpoint>, request: Bytes) -> Vec<u8> {
    let answer = Answer::from(serve_request(scope, endpoint, request).await);
    let bytes = serde_json::to_vec(&answer).unwrap_or_default();
    if !bytes.is_empty() && bytes.len() <= MESSAGE_BYTES_MAX {
        return bytes;
    }
    tracing::error!(endpoint = endpoint.name(), bytes = bytes.len(), "an answer cannot be sent");
    let problem =
        Problem::new(ProblemKind::TooLarge, "answer_too_large", "The answer is too large to be sent; ask for less.");
    serde_json::to_vec(&Answer::<Value>::Error(problem)).expect("a problem has string keys only")
}

/// Handles one request, [`isolated`].
pub(crate) async fn serve_request(
    scope: &Scope,
    endpoint: &Arc<dyn ServeEndpoint>,
    request: Bytes,
) -> Result<Value, Problem> {
    if request.len() > REQUEST_BYTES_MAX {
        let message = format!("The request has {} bytes; {REQUEST_BYTES_MAX} is the most.", request.len());
        return Err(Problem::new(ProblemKind::TooLarge, "request_too_large", message));
    }
    let (scope, handler) = (scope.clone(), Arc::clone(endpoint));
    let serving = isolated(async move { handler.serve(&scope, &request).await });
    match tokio::time::timeout(REQUEST_TIME_MAX, serving).await {
        Ok(Ok(result)) => result,
        Ok(Err(Panicked)) => {
            tracing::error!(code = "bug", endpoint = endpoint.name(), "a handler panicked");
            Err(Problem::internal("bug", "The handler panicked."))
        }
        Err(_) => {
            Err(Problem::unavailable("request_timed_out", "It took too long and was given up; nothing has changed."))
        }
    }
}

/// An endpoint.
pub(crate) struct EndpointServer<E>(pub(crate) E);

impl<E: Endpoint> ServeEndpoint for EndpointServer<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn serve<'a>(&'a self, scope: &'a Scope, request: &'a [u8]) -> BoxFuture<'a, Result<Value, Problem>> {
        async move {
            for attempt in 1..=CONFLICT_ATTEMPTS_MAX {
                // Decoded anew for each run: a handler consumes it.
                let decoded: E::Request = serde_json::from_slice(request).map_err(|error| malformed(&error))?;
                let mut work = UnitOfWork::new(scope);
                let error = match self.0.handle(&mut work, decoded).await {
                    Ok(response) => {
                        let response = serde_json::to_value(response).map_err(|error| {
                            tracing::error!(
                                code = "bug",
                                endpoint = E::NAME,
                                error = &error as &dyn std::error::Error,
                                "an answer is no JSON"
                            );
                            Problem::internal("bug", "The answer cannot be written as JSON.")
                        })?;
                        match work.commit(&[]).await {
                            Ok(()) => return Ok(response),
                            Err(CommitError::Database(error)) => error,
                            Err(CommitError::Broken(error)) => {
                                tracing::error!(
                                    code = "bug",
                                    endpoint = E::NAME,
                                    error = &error as &dyn std::error::Error,
                                    "a handler succeeds after a statement has failed"
                                );
                                return Err(Problem::internal("bug", "The handler has a bug."));
                            }
                        }
                    }
                    Err(EndpointError::Problem(problem)) => return Err(problem),
                    Err(EndpointError::Database(error)) => error,
                };
                match error.kind() {
                    ErrorKind::Conflict | ErrorKind::AlreadyExists => pause_after_conflict(attempt).await,
                    ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Bug => return Err(refusal::<E>(&error)),
                }
            }
            Err(Problem::unavailable("write_conflict", "Others change the same thing at this moment; ask again."))
        }
        .boxed()
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::invalid("malformed_request", error.to_string())
}

fn refusal<E: Endpoint>(error: &DatabaseError) -> Problem {
    tracing::error!(endpoint = E::NAME, error = error as &dyn std::error::Error, "the database did not do it");
    match error.kind() {
        ErrorKind::Bug => Problem::internal("bug", "The database refuses a statement."),
        ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Conflict | ErrorKind::AlreadyExists => {
            Problem::unavailable("database_unavailable", "The context's database does not answer; ask again.")
        }
    }
}
