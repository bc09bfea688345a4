//! Requests with typed answers.

use std::time::Duration;

use amends_schemas::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Nats;

impl Nats {
    /// Sends `question` as JSON, with the current trace context, and reads an `Answer<A>`.
    ///
    /// # Errors
    /// The answered problem; `ProblemKind::Unavailable` with code `no_responders` or `request_timeout` when nobody answers
    /// (in the second case it is unknown whether it was done); `ProblemKind::TooLarge` beyond the message bound.
    pub async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        _subject: String,
        _question: &Q,
        _timeout: Duration,
    ) -> Result<A, Problem> {
        unimplemented!()
    }
}
