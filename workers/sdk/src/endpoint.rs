//! What the API asks a context directly, over NATS request and reply.

use std::future::Future;

use amends_schemas::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::work::UnitOfWork;

/// A query, or a change that needs no saga. Served at `amends.ctx.<context>.<NAME>` in a queue group, answered with an
/// `Answer<Response>`. A change must be idempotent by its own means (an id chosen by the caller): a lost answer is asked again.
pub trait Endpoint: Send + Sync + 'static {
    /// The last token of its subject, in kebab-case.
    const NAME: &'static str;

    /// What is asked.
    type Request: DeserializeOwned + Send;

    /// What is answered.
    type Response: Serialize + Send;

    /// Answers. The unit of work commits when this returns well.
    fn handle(
        &self,
        work: &mut UnitOfWork,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Response, EndpointError>> + Send;
}

/// How an endpoint refuses.
#[derive(Debug)]
pub enum EndpointError {
    /// Told to the caller as it is; nothing commits.
    Problem(Problem),
    /// Conflicts are run again here, unavailability becomes `Unavailable`, the rest `Internal`.
    Database(amends_database::DatabaseError),
}

impl From<Problem> for EndpointError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<amends_database::DatabaseError> for EndpointError {
    fn from(error: amends_database::DatabaseError) -> Self {
        Self::Database(error)
    }
}
