//! What one saga wants of others: children started and cancelled, a parent told, a forward cancellation. Asked of their partitions,
//! again and again until they answer.
//!
//! Every question is idempotent, so asking twice is asking once. An errand that nobody answers for a while comes back to the loop, which
//! knows whether its saga still wants it.

use std::sync::Arc;

use amends_schemas::family::ChildEnded;
use amends_schemas::ids::SagaId;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{CancelSaga, StartSaga};
use tokio::time::Instant;

use crate::dispatcher::{Sending, longer};
use crate::ports::TransportError;
use crate::request::Internal;

/// A question to the owner of a partition, on behalf of a saga.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerAsk {
    /// Start a saga.
    Start(StartSaga),
    /// Cancel one.
    Cancel(CancelSaga),
    /// Know of a child's end.
    ChildEnded(ChildEnded),
}

impl PeerAsk {
    /// The saga that is asked.
    pub fn saga_id(&self) -> SagaId {
        match self {
            PeerAsk::Start(request) => request.saga_id,
            PeerAsk::Cancel(request) => request.saga_id,
            PeerAsk::ChildEnded(told) => told.parent.saga_id,
        }
    }
}

/// Which errand of its saga it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrandName {
    /// Start the forward cancellation. The saga's own timer asks again.
    Forward,
    /// Start a child.
    StartChild { step: usize, child: u32 },
    /// Cancel a child.
    CancelChild { step: usize, child: u32 },
    /// Tell the parent of the end.
    TellParent,
}

/// Why an errand came to nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// Which of its questions was refused, from zero.
    pub(crate) ask: usize,
    pub(crate) problem: Problem,
}

/// One errand.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) saga_id: SagaId,
    pub(crate) name: ErrandName,
    /// One after the other; the first refusal ends it.
    pub(crate) asks: Vec<PeerAsk>,
    pub(crate) traceparent: Option<Arc<str>>,
}

/// Runs an errand and reports its end, or that it comes to none.
pub(crate) async fn run(sending: &Sending, errand: Errand) {
    let Errand { saga_id, name, .. } = errand;
    let give_up = Instant::now() + sending.settings.errand_patience;
    let mut delay = sending.settings.dispatch_retry_min;
    loop {
        // The loop is gone only when the partition is lost, and then its next owner sends on the same errand.
        if let Some(result) = ask_all(sending, &errand).await {
            let _ = sending.internal.send(Internal::ErrandEnded { saga_id, name, result });
            return;
        }
        if name == ErrandName::Forward {
            return;
        }
        if Instant::now() + delay > give_up {
            let _ = sending.internal.send(Internal::ErrandStranded { saga_id, name });
            return;
        }
        tokio::time::sleep(delay).await;
        delay = longer(delay, sending.settings.dispatch_retry_max);
    }
}

/// `None` when it is to be asked again.
async fn ask_all(sending: &Sending, errand: &Errand) -> Option<Result<(), Refusal>> {
    for (index, ask) in errand.asks.iter().enumerate() {
        let partition = ask.saga_id().partition(sending.partition_count);
        match sending.transport.ask_partition(partition, ask, errand.traceparent.as_deref()).await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => match problem.kind {
                ProblemKind::Unavailable | ProblemKind::Internal => {
                    tracing::debug!(saga.id = %errand.saga_id, errand = ?errand.name, %problem, "not answered yet");
                    return None;
                }
                ProblemKind::Invalid
                | ProblemKind::NotFound
                | ProblemKind::Conflict
                | ProblemKind::TooLarge
                | ProblemKind::Forbidden => return Some(Err(Refusal { ask: index, problem })),
            },
            Err(TransportError::Refused(reason)) => {
                let problem = Problem::new(ProblemKind::TooLarge, "message_too_large", reason);
                return Some(Err(Refusal { ask: index, problem }));
            }
            Err(TransportError::Unavailable(reason)) => {
                tracing::debug!(saga.id = %errand.saga_id, errand = ?errand.name, reason, "cannot be asked yet");
                return None;
            }
        }
    }
    Some(Ok(()))
}
