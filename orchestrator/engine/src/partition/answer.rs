//! What is done once a round is committed: answers, dispatches, timers, changes for watchers.

use std::sync::Arc;

use amends_core::decide::{Effect, command_of, resume};
use amends_core::definition::Definition;
use amends_core::preview::preview;
use amends_core::state::SagaState;
use amends_core::view::{history_entry, view};
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{HistoryEntry, SagaView};
use chrono::{DateTime, Utc};

use super::decide::{definition_missing, record_unread};
use super::round::After;
use super::run::Partition;
use crate::dispatcher::Job;
use crate::ports::{JournalEntry, Store, StoreError};

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
            After::History { saga_id, respond } => match self.history(saga_id) {
                Ok(history) => _ = tokio::spawn(async move { respond(history.read().await) }),
                Err(problem) => respond(Err(problem)),
            },
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
                Effect::StartForward { request } => {
                    self.send(Job::Forward { cancelled: saga_id, request, traceparent: traceparent.cloned() });
                }
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
            self.send(Job::Command { command, dispatch, traceparent: traceparent.cloned() });
        }
    }

    fn send(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            tracing::error!(partition = %self.partition, "the dispatcher has ended before its partition");
        }
    }

    /// Does again what every saga has under way: after a takeover with its timers, and when a stream was lost.
    pub(super) fn resume_all(&mut self) {
        let resumed: Vec<(SagaId, Vec<Effect>, Option<Arc<str>>)> = self
            .memory
            .iter()
            .filter_map(|(saga_id, entry)| {
                let definition = entry.definition.as_ref()?;
                let effects = resume(definition, &entry.state);
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
        self.resume_all();
    }

    fn view(&self, saga_id: SagaId) -> Result<SagaView, Problem> {
        self.known(saga_id).map(|(definition, state)| view(definition, state, self.memory.around()))
    }

    fn known(&self, saga_id: SagaId) -> Result<(&Definition, &SagaState), Problem> {
        let entry = self
            .memory
            .get(saga_id)
            .ok_or_else(|| Problem::not_found("saga_not_found", format!("there is no saga {saga_id}")))?;
        let definition = entry.definition.as_deref().ok_or_else(|| definition_missing(entry))?;
        Ok((definition, &entry.state))
    }

    fn history(&self, saga_id: SagaId) -> Result<History, Problem> {
        let entry = self
            .memory
            .get(saga_id)
            .ok_or_else(|| Problem::not_found("saga_not_found", format!("there is no saga {saga_id}")))?;
        let definition = entry.definition.as_ref().ok_or_else(|| definition_missing(entry))?;
        let (fact_count, facts_max) = (entry.state.event_count, self.settings.history_facts_max);
        if fact_count > facts_max as u64 {
            return Err(too_long(fact_count));
        }
        Ok(History {
            store: Arc::clone(&self.store),
            partition: self.partition,
            saga_id,
            definition: Arc::clone(definition),
            positions: entry.positions.clone(),
            fact_count,
            created_at: entry.state.created_at,
            facts_max,
        })
    }
}

/// Reads one saga's facts back.
struct History {
    store: Arc<dyn Store>,
    partition: PartitionId,
    saga_id: SagaId,
    definition: Arc<Definition>,
    positions: Vec<u64>,
    fact_count: u64,
    created_at: DateTime<Utc>,
    facts_max: usize,
}

impl History {
    async fn read(self) -> Result<Vec<HistoryEntry>, Problem> {
        let Self { partition, saga_id, positions, facts_max, .. } = &self;
        let events = match self.store.retention().history(*partition, *saga_id, positions, *facts_max).await {
            Ok(events) => events,
            Err(StoreError::Unread(saga)) => return Err(record_unread(&saga)),
            Err(error) => {
                tracing::warn!(saga.id = %saga_id, %error, "a history cannot be read");
                return Err(Problem::unavailable("store_unavailable", "the database cannot answer"));
            }
        };
        let trimmed = self.fact_count.saturating_sub(events.len() as u64);
        let mut facts = Vec::with_capacity(events.len() + 1);
        if trimmed > 0 {
            facts.push(history_trimmed(trimmed, self.created_at));
        }
        facts.extend(
            (trimmed + 1..).zip(&events).map(|(sequence, event)| history_entry(&self.definition, sequence, event)),
        );
        Ok(facts)
    }
}

/// Stands for facts that are past keeping: the first `count` of them.
fn history_trimmed(count: u64, at: DateTime<Utc>) -> HistoryEntry {
    let data = serde_json::json!({"count": count});
    HistoryEntry { sequence: 1, at, event: "history_trimmed".to_owned(), step: None, data }
}

fn too_long(fact_count: u64) -> Problem {
    Problem::new(ProblemKind::TooLarge, "history_too_long", format!("this saga has {fact_count} facts"))
}
