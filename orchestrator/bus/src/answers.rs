//! Answers on their way out: encoded and published off the partition's loop.

use amends_schemas::command::REPLY_COMMITTED;
use amends_schemas::limits::MESSAGE_BYTES_MAX;
use amends_schemas::operate::{CompensationPreview, Operated};
use amends_schemas::problem::{Answer, Problem, ProblemKind};
use amends_schemas::saga::{Cancellation, HistoryEntry, HistoryPage, PartitionStanding, SagaView};
use amends_schemas::signal::SignalReceipt;
use async_nats::Subject;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

/// Answers waiting to be published. Each belongs to a request taken from the same connection, so that more than this pile up
/// only when NATS takes nothing; then they are dropped, and whoever asked asks again.
const ANSWERS_WAITING_MAX: usize = 8192;

/// What is answered.
#[derive(Debug)]
pub(crate) enum Body {
    /// A reply is committed, or cannot be.
    Reply(Result<(), Problem>),
    /// A saga.
    View(Result<SagaView, Problem>),
    /// Some of its facts.
    History(Result<HistoryPage, Problem>),
    /// All of its facts.
    WholeHistory(Result<HistoryPage, Problem>),
    /// What became of a signal.
    Signalled(Result<SignalReceipt, Problem>),
    /// That it is committed.
    Committed(Result<(), Problem>),
    /// What cancelling did.
    Cancellation(Result<Cancellation, Problem>),
    /// What an operator's act did.
    Operated(Result<Operated, Problem>),
    /// How a partition stands.
    Standing(PartitionStanding),
    /// What cancelling would do.
    Preview(Result<CompensationPreview, Problem>),
}

/// Takes answers without waiting. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Answers(mpsc::Sender<(Subject, Body)>);

impl Answers {
    /// Publishes over `client` until the last sender is dropped.
    pub(crate) fn publish_over(client: async_nats::Client) -> Self {
        let (sender, mut receiver) = mpsc::channel::<(Subject, Body)>(ANSWERS_WAITING_MAX);
        tokio::spawn(async move {
            while let Some((subject, body)) = receiver.recv().await {
                if let Err(error) = client.publish(subject, encode(body)).await {
                    tracing::debug!(%error, "an answer cannot be published");
                }
            }
        });
        Self(sender)
    }

    /// Answers, if anybody waits for it.
    pub(crate) fn send(&self, subject: Option<Subject>, body: Body) {
        let Some(subject) = subject else { return };
        if self.0.try_send((subject, body)).is_err() {
            tracing::warn!("an answer is dropped, for NATS takes none; whoever asked asks again");
        }
    }
}

fn encode(body: Body) -> Bytes {
    match body {
        Body::Reply(Ok(())) => Bytes::from_static(REPLY_COMMITTED),
        Body::Reply(Err(problem)) => answer(Err::<(), _>(problem)),
        Body::View(result) => answer(result),
        Body::History(result) => answer(result),
        Body::WholeHistory(result) => answer(result.and_then(whole)),
        Body::Signalled(result) => answer(result),
        Body::Committed(result) => answer(result),
        Body::Cancellation(result) => answer(result),
        Body::Operated(result) => answer(result),
        Body::Standing(standing) => answer(Ok(standing)),
        Body::Preview(result) => answer(result),
    }
}

/// The facts of a history that was asked for without a limit, if they are all.
fn whole(page: HistoryPage) -> Result<Vec<HistoryEntry>, Problem> {
    if page.more {
        let message = "this history is longer than one answer holds; ask for it page by page";
        return Err(Problem::new(ProblemKind::TooLarge, "history_too_long", message));
    }
    Ok(page.items)
}

/// An answer as JSON, within what a message holds.
pub(crate) fn answer<T: Serialize>(result: Result<T, Problem>) -> Bytes {
    let refused = |problem: Problem| serde_json::to_vec(&Answer::<()>::Error(problem)).unwrap_or_default();
    let encoded = serde_json::to_vec(&Answer::from(result))
        .unwrap_or_else(|error| refused(Problem::internal("answer_not_encodable", error.to_string())));
    if encoded.len() <= MESSAGE_BYTES_MAX {
        return encoded.into();
    }
    let message = format!("the answer has {} bytes; a message holds {MESSAGE_BYTES_MAX}", encoded.len());
    refused(Problem::new(ProblemKind::TooLarge, "answer_too_large", message)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committed_reply_is_three_bytes_and_everything_else_is_json() {
        assert_eq!(&encode(Body::Reply(Ok(())))[..], b"+OK");
        let refused = encode(Body::Reply(Err(Problem::not_found("saga_not_found", "no such saga"))));
        let read: Answer<()> = serde_json::from_slice(&refused).expect("json");
        assert!(matches!(read, Answer::Error(problem) if problem.code == "saga_not_found"));
    }

    #[test]
    fn an_answer_that_fits_no_message_becomes_a_problem() {
        let read: Answer<String> = serde_json::from_slice(&answer(Ok("x".repeat(MESSAGE_BYTES_MAX)))).expect("json");
        assert!(matches!(read, Answer::Error(problem) if problem.code == "answer_too_large"));
    }
}
