//! Asking the right partition to start a saga.

use amends_schemas::ids::PartitionCount;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::StartSaga;

use crate::errand::PeerAsk;
use crate::ports::Transport;

/// What came of it.
pub(super) enum Start {
    /// The saga is there.
    Started,
    /// It never will be.
    Refused(Problem),
    /// Nobody can say; the same again later.
    Later(String),
}

/// Asks once. Asking again starts nothing again.
pub(super) async fn start(
    transport: &dyn Transport,
    partition_count: PartitionCount,
    request: &StartSaga,
    traceparent: Option<&str>,
) -> Start {
    let partition = request.saga_id.partition(partition_count);
    let ask = PeerAsk::Start(request.clone());
    match transport.ask_partition(partition, &ask, traceparent).await {
        Ok(Ok(())) => Start::Started,
        // Its id is made of the time or the act: it was started for this one, before the schedule was given another content.
        Ok(Err(problem)) if problem.code == "idempotency_conflict" => Start::Started,
        // It was started, and is parked.
        Ok(Err(problem)) if problem.is_parked() => Start::Started,
        // Until another binary comes; whoever else starts sagas in this partition is not to wait for that.
        Ok(Err(problem)) if problem.code == Problem::CONTRACT_MISSING => Start::Refused(problem),
        Ok(Err(problem)) => match problem.kind {
            ProblemKind::Unavailable => Start::Later(problem.to_string()),
            ProblemKind::Invalid
            | ProblemKind::NotFound
            | ProblemKind::Conflict
            | ProblemKind::TooLarge
            | ProblemKind::Forbidden
            | ProblemKind::Internal => Start::Refused(problem),
        },
        Err(error) => Start::Later(error.to_string()),
    }
}
