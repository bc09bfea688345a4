//! A request to cancel: before the pivot the saga turns back, after it another saga cancels it forward. While the pivot is with the workers or in
//! doubt, nobody knows yet which of the two it will be, and whoever asks is told so.

use std::time::Duration;

use amends_schemas::command::StepError;
use amends_schemas::family::ParentLink;
use amends_schemas::limits::REASON_BYTES_MAX;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{Cancellation, SagaStatus, StartSaga};

use super::operate::illegal_here;
use super::turn::{Turn, later};
use super::types::Effect;
use crate::definition::Definition;
use crate::event::Fact;
use crate::state::{ForwardStage, SagaState};
use crate::uncertain::undecided_pivot;

/// How long the first try of a forward cancellation waits for its answer; it doubles up to [`FORWARD_RETRY_MAX`].
const FORWARD_RETRY_FIRST: Duration = Duration::from_secs(2);

/// The longest wait between two tries of a forward cancellation: its partition may be without an owner for a while, and
/// asking costs one message.
pub const FORWARD_RETRY_MAX: Duration = Duration::from_secs(60);

impl Turn<'_> {
    /// Takes a request to cancel and answers it. Asking twice is asking once.
    pub(super) fn cancel(&mut self, by: String, reason: String, parent: Option<ParentLink>) {
        let saga_id = self.state.saga_id;
        if self.state.status == SagaStatus::Terminated {
            let why = "an operator has ended it as it stood";
            let problem = illegal_here(self.definition, self.state, "cancel", None, why);
            self.decision.cancellation = Some(Err(problem));
            return;
        }
        self.decision.cancellation = Some(if cancels_backward(self.state) {
            self.cancel_backward(by, reason, parent);
            // What was just decided may have ended what was open: only now it can be said what will come of it.
            Ok(match undecided_pivot(self.definition, self.state) {
                Some(pivot) => Cancellation::Undecided { saga_id, step: pivot.name.to_string() },
                None => Cancellation::Compensating { saga_id },
            })
        } else {
            self.cancel_forward(by, reason, parent)
        });
    }

    fn cancel_backward(&mut self, by: String, reason: String, parent: Option<ParentLink>) {
        if self.state.cancel.is_none() && self.state.reason.is_none() {
            self.record(Fact::CancelRequested { by: bounded(by), reason: bounded(reason), forward: None, parent });
            self.advance();
            return;
        }
        // Should the pivot succeed after all, whoever makes amends by this waits for the saga that cancels forward.
        let free = self.state.cancel.as_ref().is_some_and(|cancel| cancel.parent.is_none());
        if let Some(parent) = parent.filter(|_| free && self.state.reason.is_none()) {
            self.record(Fact::CancellationAdopted { parent });
        }
    }

    fn cancel_forward(
        &mut self,
        by: String,
        reason: String,
        parent: Option<ParentLink>,
    ) -> Result<Cancellation, Problem> {
        let saga_id = self.state.saga_id;
        let forward_saga_id = saga_id.forward_cancellation();
        if self.definition.cancel_with.is_none() {
            let where_it_is = if self.state.pivot_passed { "past its point of no return" } else { "completed" };
            return Err(Problem::conflict(
                "past_pivot",
                format!(
                    "{} is {where_it_is}, and its definition names no `cancel_with` saga that could cancel it now",
                    self.definition.reference
                ),
            ));
        }
        self.adopt(parent.as_ref())?;
        let forward = self.state.cancel.as_ref().and_then(|cancel| cancel.forward.as_ref());
        match forward.map(|forward| &forward.stage) {
            None => {
                let forward = Some(forward_saga_id);
                self.record(Fact::CancelRequested { by: bounded(by), reason: bounded(reason), forward, parent });
                self.start_forward();
            }
            // Whoever asks again after a refusal wants it tried again. What is asked for stays the same: an earlier try may yet arrive.
            Some(ForwardStage::Refused { .. }) => {
                self.record(Fact::CancelRequestedAgain { by: bounded(by), reason: bounded(reason) });
                self.start_forward();
            }
            Some(ForwardStage::Waiting | ForwardStage::Dispatched { .. } | ForwardStage::Started) => {}
        }
        Ok(Cancellation::Forward { saga_id, forward_saga_id })
    }

    /// A request to cancel that was there already now serves another saga's amends, too.
    fn adopt(&mut self, parent: Option<&ParentLink>) -> Result<(), Problem> {
        let (Some(parent), Some(cancel)) = (parent, &self.state.cancel) else { return Ok(()) };
        if cancel.parent.as_ref() == Some(parent) {
            return Ok(());
        }
        let stage = cancel.forward.as_ref().map(|forward| &forward.stage);
        if matches!(stage, Some(ForwardStage::Dispatched { .. })) && cancel.parent.is_none() {
            // It may have been started without a word of whom to tell.
            return Err(Problem::unavailable(
                "cancellation_under_way",
                "the saga that cancels this one is being started for somebody else; ask again when that has been answered",
            ));
        }
        if cancel.parent.is_some() || stage == Some(&ForwardStage::Started) {
            return Err(Problem::conflict(
                "cancelled_by_others",
                "somebody else has cancelled this saga; see how the saga that cancels it ends, and resolve the step so",
            ));
        }
        self.record(Fact::CancellationAdopted { parent: parent.clone() });
        Ok(())
    }

    /// The pivot succeeded while a request to cancel was waiting for it: it is carried out forward, if the definition can.
    pub(super) fn turn_cancel_forward(&mut self) {
        let waiting = self.state.cancel.as_ref().is_some_and(|cancel| cancel.forward.is_none());
        if waiting && self.definition.cancel_with.is_some() {
            self.record(Fact::CancellationTurnedForward { saga_id: self.state.saga_id.forward_cancellation() });
        }
    }

    /// Asks for the forward cancellation, the first time or again, once the saga is completed.
    pub(super) fn start_forward(&mut self) {
        if self.state.status != SagaStatus::Completed {
            return;
        }
        let Some(forward) = self.state.cancel.as_ref().and_then(|cancel| cancel.forward.as_ref()) else { return };
        let attempt = match forward.stage {
            ForwardStage::Waiting | ForwardStage::Refused { .. } => 1,
            ForwardStage::Dispatched { attempt, .. } => attempt.saturating_add(1),
            ForwardStage::Started => return,
        };
        let saga_id = forward.saga_id;
        let Some(request) = forward_request(self.definition, self.state) else { return };
        let doublings = attempt.saturating_sub(1).min(16);
        let wait = FORWARD_RETRY_FIRST.saturating_mul(1 << doublings).min(FORWARD_RETRY_MAX);
        let timeout_at = later(self.now, wait);
        self.record(Fact::ForwardCancellationDispatched { saga_id, attempt, timeout_at });
        self.decision.effects.push(Effect::StartForward { request });
    }

    /// The forward cancellation's partition answered. What may be otherwise next time is asked again when its time comes.
    pub(super) fn forward_answered(&mut self, result: Result<(), Problem>) {
        let Some(forward) = self.state.cancel.as_ref().and_then(|cancel| cancel.forward.as_ref()) else { return };
        if !matches!(forward.stage, ForwardStage::Dispatched { .. }) {
            return;
        }
        let saga_id = forward.saga_id;
        match result {
            Ok(()) => self.record(Fact::ForwardCancellationStarted { saga_id }),
            Err(problem) => match problem.kind {
                ProblemKind::Unavailable | ProblemKind::Internal => {}
                ProblemKind::Invalid
                | ProblemKind::NotFound
                | ProblemKind::Conflict
                | ProblemKind::TooLarge
                | ProblemKind::Forbidden => {
                    let error = StepError::new(problem.code, problem.message);
                    self.record(Fact::ForwardCancellationRefused { saga_id, error });
                }
            },
        }
    }
}

/// Whether a cancel makes this saga turn back, rather than start another that cancels it forward.
pub(crate) fn cancels_backward(state: &SagaState) -> bool {
    match state.status {
        SagaStatus::Compensating | SagaStatus::Compensated => true,
        SagaStatus::Stuck if state.reason.is_some() => true,
        SagaStatus::Completed | SagaStatus::Terminated => false,
        SagaStatus::Running | SagaStatus::Stuck => !state.pivot_passed,
    }
}

/// What starts the forward cancellation; the same for every try. `None` when there is none to start.
pub(super) fn forward_request(definition: &Definition, state: &SagaState) -> Option<StartSaga> {
    let forward = state.cancel.as_ref()?.forward.as_ref()?;
    let cancel_with = definition.cancel_with.as_ref()?;
    Some(StartSaga {
        saga_id: forward.saga_id,
        definition: cancel_with.saga.clone(),
        version: None,
        input: cancel_with.input.resolve(state).unwrap_or_default(),
        tags: state.tags.clone(),
        start_at: None,
        priority: state.priority,
        parent: state.cancel.as_ref().and_then(|cancel| cancel.parent.clone()),
    })
}

/// A person's words, cut to [`REASON_BYTES_MAX`] at a character.
fn bounded(mut text: String) -> String {
    if text.len() > REASON_BYTES_MAX {
        let end = (0..=REASON_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
