//! What sagas want of others: sent as errands, and what the answers mean.

use std::sync::Arc;

use amends_core::decide::{Effect, Input, child_cancel, child_ended, child_request, resume};
use amends_schemas::command::Operation;
use amends_schemas::family::ChildEnded;
use amends_schemas::ids::SagaId;
use amends_schemas::limits::STEP_OUTPUT_BYTES_MAX;
use amends_schemas::saga::StartSaga;
use serde_json::Value;

use super::decide::has_more_bytes_than;
use super::round::Round;
use super::run::Partition;
use crate::errand::{Errand, ErrandName, PeerAsk, Refusal};

impl Partition {
    pub(super) fn start_forward(&self, saga_id: SagaId, request: StartSaga, traceparent: Option<&Arc<str>>) {
        self.run_errand(saga_id, ErrandName::Forward, vec![PeerAsk::Start(request)], traceparent);
    }

    /// Sends an errand whose questions are read off the saga as it stands; nothing when it no longer has such a child or end.
    pub(super) fn send_errand(&self, saga_id: SagaId, name: ErrandName, traceparent: Option<&Arc<str>>) {
        let Some(entry) = self.memory.get(saga_id) else { return };
        let Some(definition) = entry.definition.as_deref() else { return };
        let asks = match name {
            // Its request comes with the effect, and the saga's own timer asks again.
            ErrandName::Forward => None,
            ErrandName::StartChild { step, child } => {
                child_request(definition, &entry.state, step, child).map(|start| vec![PeerAsk::Start(start)])
            }
            ErrandName::CancelChild { step, child } => {
                let start = child_request(definition, &entry.state, step, child);
                let cancel = child_cancel(definition, &entry.state, step, child);
                start.zip(cancel).map(|(start, cancel)| vec![PeerAsk::Start(start), PeerAsk::Cancel(cancel)])
            }
            ErrandName::TellParent => {
                child_ended(definition, &entry.state).map(|told| vec![PeerAsk::ChildEnded(within_bounds(told))])
            }
        };
        if let Some(asks) = asks {
            self.run_errand(saga_id, name, asks, traceparent.or(entry.traceparent.as_ref()));
        }
    }

    fn run_errand(&self, saga_id: SagaId, name: ErrandName, asks: Vec<PeerAsk>, traceparent: Option<&Arc<str>>) {
        let errand = Errand { saga_id, name, asks, traceparent: traceparent.cloned() };
        if self.lanes.errands.send(errand).is_err() {
            tracing::error!(partition = %self.partition, "the dispatcher has ended before its partition");
        }
    }

    /// Decides what an answer means.
    pub(super) fn errand_ended(
        &mut self,
        round: &mut Round,
        saga_id: SagaId,
        name: ErrandName,
        result: Result<(), Refusal>,
    ) {
        let input = match (name, result) {
            (ErrandName::Forward, result) => {
                Input::ForwardCancellationAnswered { result: result.map_err(|refusal| refusal.problem) }
            }
            // A child tells of its end itself.
            (ErrandName::StartChild { .. } | ErrandName::CancelChild { .. }, Ok(())) => return,
            (ErrandName::StartChild { step, child }, Err(Refusal { problem, .. })) => {
                Input::ChildRefused { step, child, operation: Operation::Do, problem }
            }
            // One that cannot be started has never been, and cannot be cancelled.
            (ErrandName::CancelChild { step, child }, Err(Refusal { ask: 0, problem })) => {
                let operation = Operation::Do;
                self.decide_if_here(
                    round,
                    saga_id,
                    Input::ChildRefused { step, child, operation, problem: problem.clone() },
                );
                Input::ChildRefused { step, child, operation: Operation::Undo, problem }
            }
            // A child at work that cannot be cancelled comes to its end by itself; the core only heeds it of one that has completed.
            (ErrandName::CancelChild { step, child }, Err(Refusal { problem, .. })) => {
                Input::ChildRefused { step, child, operation: Operation::Undo, problem }
            }
            (ErrandName::TellParent, Ok(())) => Input::ParentTold,
            (ErrandName::TellParent, Err(Refusal { problem, .. })) => {
                tracing::warn!(saga.id = %saga_id, %problem, "the saga that waits for this one's end cannot be told");
                Input::ParentTold
            }
        };
        self.decide_if_here(round, saga_id, input);
    }

    /// Nobody has answered: sends it again if the saga would ask for it after a restart.
    pub(super) fn errand_stranded(&self, saga_id: SagaId, name: ErrandName) {
        let Some(entry) = self.memory.get(saga_id) else { return };
        let Some(definition) = entry.definition.as_deref() else { return };
        let wanted = resume(definition, &entry.state).iter().any(|effect| asks_for(effect, name));
        if wanted {
            tracing::info!(saga.id = %saga_id, errand = ?name, "nobody answers; asking again");
            self.send_errand(saga_id, name, None);
        }
    }
}

fn asks_for(effect: &Effect, name: ErrandName) -> bool {
    match (effect, name) {
        (Effect::StartChildren { step, children }, ErrandName::StartChild { step: wanted, child })
        | (Effect::CancelChildren { step, children }, ErrandName::CancelChild { step: wanted, child }) => {
            *step == wanted && children.contains(&child)
        }
        (Effect::TellParent, ErrandName::TellParent) => true,
        (
            Effect::Dispatch { .. }
            | Effect::Queue { .. }
            | Effect::StartChildren { .. }
            | Effect::CancelChildren { .. }
            | Effect::TellParent
            | Effect::StartForward { .. }
            | Effect::WakeAt { .. },
            _,
        ) => false,
    }
}

/// What a child came to becomes a step's output, and has the same bound. A larger one is not carried; the child itself keeps it.
fn within_bounds(mut told: ChildEnded) -> ChildEnded {
    if has_more_bytes_than(&told.output, STEP_OUTPUT_BYTES_MAX) {
        tracing::warn!(saga.id = %told.saga_id, "an output of more than {STEP_OUTPUT_BYTES_MAX} bytes is not told to the parent");
        told.output = Value::Null;
    }
    told
}
