//! What is done once a round is committed: answers, dispatches, timers, changes for watchers.

use std::sync::Arc;

use amends_core::decide::{Effect, command_of, resume};
use amends_core::definition::Definition;
use amends_core::preview::preview;
use amends_core::state::SagaState;
use amends_core::view::view;
use amends_schemas::ids::SagaId;
use amends_schemas::problem::Problem;
use amends_schemas::saga::SagaView;

use super::decide::definition_missing;
use super::round::After;
use super::run::Partition;
use crate::dispatcher::Attempt;
use crate::errand::ErrandName;
use crate::ports::JournalEntry;

impl Partition {
    /// Notes what the committed record changed.
    pub(super) fn committed(&mut self, entries: &[JournalEntry]) {
        for entry in entries {
            self.memory.touch(entry.saga_id, self.position);
            self.tell_watchers(entry.saga_id);
        }
    }

    /// Takes in who serves what now: sentences that it changes are written into the view again, and told to who watches.
    pub(super) fn look_around(&mut self) {
        for saga_id in self.memory.look_around(self.presence.surroundings()) {
            self.tell_watchers(saga_id);
        }
    }

    /// Publishes how a saga stands, if anybody watches it.
    pub(super) fn tell_watchers(&mut self, saga_id: SagaId) {
        if self.watches.is_watched(saga_id)
            && let Ok(view) = self.view(saga_id)
        {
            // Full: the watcher learns of a later change, or reads it.
            let _ = self.changes.try_send(view);
        }
    }

    pub(super) fn act(&mut self, after: After) {
        match after {
            After::Effects { saga_id, effects, traceparent } => self.execute(saga_id, effects, traceparent.as_ref()),
            After::View { saga_id, respond } => respond(self.view(saga_id)),
            After::History { query, respond } => self.answer_history(query, respond),
            After::Signalled { result, respond } => respond(result),
            After::Gates { saga_id } => self.tell_gates(saga_id),
            After::Turn { saga_id, step } => self.turn_decided(saga_id, step),
            After::Cancelled { result, respond } => respond(result),
            After::Operated { result, respond } => respond(result),
            After::Preview { saga_id, at, respond } => {
                respond(self.known(saga_id).map(|(definition, state)| preview(definition, state, at)));
            }
            After::Committed { respond } => respond(Ok(())),
        }
    }

    fn execute(&mut self, saga_id: SagaId, effects: Vec<Effect>, traceparent: Option<&Arc<str>>) {
        for effect in effects {
            match effect {
                Effect::Dispatch { step } => self.dispatch(saga_id, step, traceparent),
                // The gates are told of every step of the saga once the round is committed.
                Effect::Queue { .. } => {}
                Effect::StartChildren { step, children } => {
                    for child in children {
                        self.send_errand(saga_id, ErrandName::StartChild { step, child }, traceparent);
                    }
                }
                Effect::CancelChildren { step, children } => {
                    for child in children {
                        self.send_errand(saga_id, ErrandName::CancelChild { step, child }, traceparent);
                    }
                }
                Effect::TellParent => self.send_errand(saga_id, ErrandName::TellParent, traceparent),
                Effect::StartForward { request } => self.start_forward(saga_id, request, traceparent),
                Effect::WakeAt { at } => self.arm(saga_id, at),
            }
        }
    }

    fn dispatch(&self, saga_id: SagaId, step: usize, traceparent: Option<&Arc<str>>) {
        let Some(entry) = self.memory.get(saga_id) else { return };
        let Some(definition) = &entry.definition else { return };
        // None when a later input of the same round has already moved the step on.
        if let Some(command) = command_of(definition, &entry.state, step, &self.reply_to) {
            let dispatch = Arc::clone(&self.dispatch_id);
            let attempt = Attempt { command, dispatch, traceparent: traceparent.cloned() };
            if self.lanes.attempts.send(attempt).is_err() {
                tracing::error!(partition = %self.partition, "the dispatcher has ended before its partition");
            }
        }
    }

    /// Does again what every saga has under way, with its timers: after a takeover.
    pub(super) fn resume_all(&mut self) {
        self.resume_some(|_| true);
    }

    fn resume_some(&mut self, which: impl Fn(&Effect) -> bool) {
        let resumed: Vec<(SagaId, Vec<Effect>, Option<Arc<str>>)> = self
            .memory
            .iter()
            .filter_map(|(saga_id, entry)| {
                let definition = entry.definition.as_ref()?;
                let effects: Vec<Effect> = resume(definition, &entry.state).into_iter().filter(&which).collect();
                (!effects.is_empty()).then(|| (*saga_id, effects, entry.traceparent.clone()))
            })
            .collect();
        for (saga_id, effects, traceparent) in resumed {
            self.execute(saga_id, effects, traceparent.as_ref());
        }
    }

    /// Publishes everything in flight again under ids that the streams have not seen.
    pub(super) fn redispatch(&mut self) {
        self.sweeps += 1;
        self.dispatch_id = format!("e{}.{}", self.epoch, self.sweeps).into();
        tracing::info!(partition = %self.partition, dispatch = %self.dispatch_id,
            "dispatching everything in flight again");
        // Only commands travel through streams.
        self.resume_some(|effect| matches!(effect, Effect::Dispatch { .. }));
    }

    fn view(&self, saga_id: SagaId) -> Result<SagaView, Problem> {
        self.known(saga_id).map(|(definition, state)| view(definition, state, self.memory.around()))
    }

    fn known(&self, saga_id: SagaId) -> Result<(&Definition, &SagaState), Problem> {
        let entry = self
            .memory
            .get(saga_id)
            .ok_or_else(|| Problem::not_found("saga_not_found", format!("there is no saga {saga_id}")))?;
        let definition = entry.definition.as_deref().ok_or_else(|| definition_missing(entry, &self.library))?;
        Ok((definition, &entry.state))
    }
}
