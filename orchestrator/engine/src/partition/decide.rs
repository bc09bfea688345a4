//! Each input, decided in memory. Nothing here is told to anybody before it is committed.

use std::sync::Arc;

use amends_core::accept::accept;
use amends_core::decide::{self, Decision, Input, Start};
use amends_core::definition::DefinitionLibrary;
use amends_schemas::command::{OUTPUT_TOO_LARGE, Operation, Reply, StepError, StepResult};
use amends_schemas::ids::SagaId;
use amends_schemas::limits::{NAME_BYTES_MAX, REASON_BYTES_MAX, START_AHEAD_DAYS_MAX, STEP_OUTPUT_BYTES_MAX};
use amends_schemas::operate::Operated;
use amends_schemas::problem::Problem;
use amends_schemas::saga::{CancelSaga, Cancellation, SagaView, StartSaga};
use amends_schemas::signal::SignalReceipt;
use chrono::TimeDelta;

use super::memory::Entry;
use super::round::{After, Round};
use super::run::Partition;
use crate::ports::{StoreError, UnreadSaga};
use crate::request::{Ask, Internal, Origin, Request, Respond};

/// Whether a saga is known, once memory and the projector's queue have been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// Only the view can tell; it has to be read first.
    Unread,
    /// It was read: there is no such saga.
    Absent,
}

/// What a decision says to whoever asked; nothing for inputs that nobody asked.
struct Told {
    cancellation: Option<Result<Cancellation, Problem>>,
    operated: Option<Result<Operated, Problem>>,
    signalled: Option<Result<SignalReceipt, Problem>>,
}

impl Partition {
    /// Decides a request, or has the saga it names read first.
    pub(super) fn request(&mut self, round: &mut Round, request: Request) {
        round.input_count += 1;
        round.bytes += request.bytes;
        let saga_id = request.ask.saga_id();
        if saga_id.partition(self.partition_count) != self.partition {
            let problem = Problem::invalid(
                "wrong_partition",
                format!("saga {saga_id} belongs to partition {}", saga_id.partition(self.partition_count)),
            );
            return request.ask.refuse(problem);
        }
        self.request_knowing(round, request, Elsewhere::Unread);
    }

    fn request_knowing(&mut self, round: &mut Round, request: Request, elsewhere: Elsewhere) {
        let saga_id = request.ask.saga_id();
        if let Some(waiting) = self.loading.get_mut(&saga_id) {
            waiting.push(request);
            return;
        }
        if let Some(aside) = self.memory.aside(saga_id) {
            return request.ask.refuse(record_unread(&aside.saga));
        }
        let here = self.memory.recall(saga_id, &self.library);
        if !here && elsewhere == Elsewhere::Unread && !self.store.surely_absent(saga_id) {
            return self.load(saga_id, request);
        }
        let Request { ask, origin, bytes } = request;
        let span = origin.span.clone();
        let _entered = span.as_ref().map(tracing::Span::enter);
        match ask {
            Ask::Start(start, respond) => self.start(round, start, origin, respond),
            ask if !here => {
                if let Ask::Reply(reply, _) = &ask {
                    tracing::warn!(saga.id = %saga_id, step.name = reply.step, partition = %self.partition,
                        "a worker answers for a saga that is not in the journal");
                }
                ask.refuse(Problem::not_found("saga_not_found", format!("there is no saga {saga_id}")));
            }
            Ask::Get(saga_id, respond) => round.after.push(After::View { saga_id, respond }),
            Ask::History(query, respond) => round.after.push(After::History { query, respond }),
            Ask::Watch(saga_id, respond) => self.watch(round, saga_id, respond),
            Ask::Cancel(cancel, respond) => {
                if let Err(problem) = check_cancel(&cancel) {
                    return respond(Err(problem));
                }
                let CancelSaga { by, reason, parent, .. } = cancel;
                match self.decide(round, saga_id, Input::Cancel { by, reason, parent }, origin) {
                    Ok(decision) => {
                        let result = decision.cancellation.unwrap_or_else(|| {
                            Err(Problem::internal("cancel_undecided", "the core did not say what cancelling did"))
                        });
                        round.after.push(After::Cancelled { result, respond });
                    }
                    Err(problem) => respond(Err(problem)),
                }
            }
            Ask::Signal(signal, respond) => match self.decide(round, saga_id, Input::Signal(signal), origin) {
                Ok(decision) => {
                    let result = decision.signalled.unwrap_or_else(|| {
                        Err(Problem::internal("signal_undecided", "the core did not say what became of the signal"))
                    });
                    round.after.push(After::Signalled { result, respond });
                }
                Err(problem) => respond(Err(problem)),
            },
            Ask::ChildEnded(told, respond) => match self.decide(round, saga_id, Input::ChildEnded(told), origin) {
                Ok(_) => round.after.push(After::Committed { respond }),
                Err(problem) => respond(Err(problem)),
            },
            Ask::Preview(saga_id, respond) => {
                round.after.push(After::Preview { saga_id, at: round.now, respond });
            }
            Ask::Operate(operate, respond) => {
                let verb = operate.act.verb().as_str();
                match self.decide(round, saga_id, Input::Operate(operate), origin) {
                    Ok(decision) => {
                        let result = decision.operated.unwrap_or_else(|| {
                            Err(Problem::internal("operation_undecided", "the core did not say what the act did"))
                        });
                        if result.is_ok() {
                            tracing::info!(saga.id = %saga_id, verb, "an operator acts");
                        }
                        round.after.push(After::Operated { result, respond });
                    }
                    Err(problem) => respond(Err(problem)),
                }
            }
            Ask::Reply(reply, respond) => {
                let Reply { step, operation, attempt, result, .. } = bounded(reply, bytes);
                match self.decide(round, saga_id, Input::Reply { step, operation, attempt, result }, origin) {
                    Ok(_) => round.after.push(After::Committed { respond }),
                    Err(problem) => respond(Err(problem)),
                }
            }
        }
    }

    /// Decides what the partition's own helpers report.
    pub(super) fn internal(&mut self, round: &mut Round, internal: Internal) {
        match internal {
            Internal::Loaded { saga_id, result } => {
                let waiting = self.loading.remove(&saga_id).unwrap_or_default();
                match result {
                    Ok(found) => {
                        if let Some(stored) = found {
                            let entry = Entry::of_stored(*stored, &self.library);
                            self.memory.visit(entry);
                        }
                        for request in waiting {
                            self.request_knowing(round, request, Elsewhere::Absent);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(saga.id = %saga_id, %error, "a saga cannot be read from the view");
                        let problem = match &error {
                            StoreError::Unread(saga) => record_unread(saga),
                            StoreError::Unavailable(_)
                            | StoreError::Fenced { .. }
                            | StoreError::Damaged(_)
                            | StoreError::PartitionCount { .. }
                            | StoreError::Invalid(_) => {
                                Problem::unavailable("store_unavailable", "the database cannot answer")
                            }
                        };
                        for request in waiting {
                            request.ask.refuse(problem.clone());
                        }
                    }
                }
            }
            Internal::ErrandEnded { saga_id, name, result } => self.errand_ended(round, saga_id, name, result),
            Internal::ErrandStranded { saga_id, name } => self.errand_stranded(saga_id, name),
            Internal::Admitted { saga_id, step } => {
                self.decide_if_here(round, saga_id, Input::Admitted { step });
                // Whatever came of it, the gate is to know.
                round.after.push(After::Turn { saga_id, step });
            }
            Internal::CommandRefused { reply } => {
                let Reply { saga_id, step, operation, attempt, result } = reply;
                self.decide_if_here(round, saga_id, Input::Reply { step, operation, attempt, result });
            }
            Internal::Projected { result } => self.projection_ended(result),
            Internal::Forgetting { mut saga_ids, free } => {
                saga_ids.retain(|saga_id| !self.memory.has(*saga_id) && !self.loading.contains_key(saga_id));
                self.loading.extend(saga_ids.iter().map(|saga_id| (*saga_id, Vec::new())));
                if let Err(saga_ids) = free.send(saga_ids) {
                    saga_ids.iter().for_each(|saga_id| _ = self.loading.remove(saga_id));
                }
            }
            Internal::Redispatch => self.redispatch(),
            Internal::ProveOwnership => round.must_write = true,
        }
    }

    /// An answer from within to a saga that waits for it; one that has left memory no longer does.
    pub(super) fn decide_if_here(&mut self, round: &mut Round, saga_id: SagaId, input: Input) {
        if self.memory.get(saga_id).is_some()
            && let Err(problem) = self.decide(round, saga_id, input, Origin::default())
        {
            tracing::warn!(saga.id = %saga_id, %problem, "an answer cannot be decided upon");
        }
    }

    fn start(&mut self, round: &mut Round, start: StartSaga, origin: Origin, respond: Respond<SagaView>) {
        let saga_id = start.saga_id;
        if let Some(entry) = self.memory.get(saga_id) {
            if entry.state.was_started_by(&start) {
                round.after.push(After::View { saga_id, respond });
            } else {
                respond(Err(Problem::conflict(
                    "idempotency_conflict",
                    format!(
                        "saga {saga_id} was started with another definition, input, tags, time, priority or parent"
                    ),
                )));
            }
            return;
        }
        if let Some(lacks) = self.library.lacks(&start.definition, start.version) {
            let message = format!("this orchestrator cannot run {}: {lacks}", start.definition);
            return respond(Err(Problem::unavailable(Problem::CONTRACT_MISSING, message)));
        }
        let Some(definition) = self.library.find(&start.definition, start.version).map(Arc::clone) else {
            let name: String = start.definition.chars().take(NAME_BYTES_MAX).collect();
            let version = start.version.map(|version| format!("@{version}")).unwrap_or_default();
            return respond(Err(Problem::not_found(
                "definition_not_found",
                format!("there is no definition {name}{version}"),
            )));
        };
        if let Err(problem) = accept(&definition, &start.input, &start.tags).and(check_start(&start, round.now)) {
            return respond(Err(problem));
        }
        let (state, decision) = decide::start(&definition, saga_id, Start::from(start), round.now);
        tracing::debug!(saga.id = %saga_id, saga.definition = %definition.reference, "a saga is accepted");
        let mut entry = Entry::begun(state, Some(definition));
        entry.traceparent.clone_from(&origin.traceparent);
        self.memory.insert(entry);
        self.keep(round, saga_id, decision, origin.traceparent);
        round.after.push(After::View { saga_id, respond });
    }

    fn watch(&mut self, round: &mut Round, saga_id: SagaId, respond: Respond<SagaView>) {
        if self.watches.add(saga_id, self.settings.watch, self.settings.watches_max) {
            round.after.push(After::View { saga_id, respond });
        } else {
            respond(Err(Problem::unavailable("too_many_watches", "too many sagas are watched; read it instead")));
        }
    }

    /// Decides one input of a saga in memory. What whoever asked is to be told is handed back.
    fn decide(&mut self, round: &mut Round, saga_id: SagaId, input: Input, origin: Origin) -> Result<Told, Problem> {
        let Some(entry) = self.memory.get_mut(saga_id) else {
            return Err(Problem::not_found("saga_not_found", format!("there is no saga {saga_id}")));
        };
        let Some(definition) = &entry.definition else { return Err(definition_missing(entry, &self.library)) };
        let mut decision = decide::decide(definition, &mut entry.state, input, round.now);
        if origin.traceparent.is_some() && !decision.events.is_empty() {
            entry.traceparent.clone_from(&origin.traceparent);
        }
        let traceparent = origin.traceparent.or_else(|| entry.traceparent.clone());
        let told = Told {
            cancellation: decision.cancellation.take(),
            operated: decision.operated.take(),
            signalled: decision.signalled.take(),
        };
        tracing::debug!(saga.id = %saga_id, fact_count = decision.events.len(), status = entry.state.status.as_str(),
            "decided");
        self.keep(round, saga_id, decision, traceparent);
        Ok(told)
    }

    fn keep(&mut self, round: &mut Round, saga_id: SagaId, decision: Decision, traceparent: Option<Arc<str>>) {
        if !decision.events.is_empty() && self.memory.get(saga_id).is_some_and(|entry| entry.limited) {
            round.after.push(After::Gates { saga_id });
        }
        round.add(saga_id, decision.events);
        if !decision.effects.is_empty() {
            round.after.push(After::Effects { saga_id, effects: decision.effects, traceparent });
        }
    }

    /// Decides what is due, in at most half a round: a storm of timers must not keep requests waiting.
    pub(super) fn timers_due(&mut self, round: &mut Round) {
        while round.input_count <= self.settings.batch_inputs_max / 2
            && let Some((at, saga_id)) = self.timers.pop_due(round.now)
        {
            let Some(entry) = self.memory.get_mut(saga_id) else { continue };
            if entry.armed != Some(at) {
                continue;
            }
            entry.armed = None;
            if decide::next_wakeup(&entry.state).is_some_and(|next| next <= round.now) {
                round.input_count += 1;
                if let Err(problem) = self.decide(round, saga_id, Input::TimeReached, Origin::default()) {
                    tracing::error!(saga.id = %saga_id, %problem, "a timer cannot be decided upon");
                    continue;
                }
            }
            self.arm_next(saga_id, round.now);
        }
    }

    /// Arms what a saga waits for after one of its timers has come up.
    fn arm_next(&mut self, saga_id: SagaId, now: chrono::DateTime<chrono::Utc>) {
        let Some(next) = self.memory.get(saga_id).and_then(|entry| decide::next_wakeup(&entry.state)) else { return };
        if next <= now {
            // A decision that leaves its own time due would spin; that is the core's mistake, and a pause bounds it.
            tracing::error!(saga.id = %saga_id, "a timer that was decided upon is still due");
            self.arm(saga_id, now + self.settings.timer_check_max);
        } else {
            self.arm(saga_id, next);
        }
    }

    /// Has a saga woken at `at`, unless it is woken before anyway.
    pub(super) fn arm(&mut self, saga_id: SagaId, at: chrono::DateTime<chrono::Utc>) {
        if let Some(entry) = self.memory.get_mut(saga_id)
            && entry.armed.is_none_or(|armed| at < armed)
        {
            entry.armed = Some(at);
            self.timers.push(at, saga_id);
        }
    }
}

/// The problem of a saga that is parked.
pub(super) fn definition_missing(entry: &Entry, library: &DefinitionLibrary) -> Problem {
    let definition = &entry.state.definition;
    let message = match entry.lacks(library) {
        Some(lacks) => format!("this orchestrator cannot run {definition}: {lacks}"),
        None => format!("this orchestrator lacks {definition} with hash {}", definition.hash),
    };
    Problem::unavailable(Problem::DEFINITION_MISSING, message)
}

/// The problem of a saga of which a newer version wrote what this one does not know.
pub(super) fn record_unread(saga: &UnreadSaga) -> Problem {
    Problem::unavailable(
        Problem::RECORD_UNREAD,
        format!("saga {} was written by a newer version of the orchestrator; start one that reads it", saga.saga_id),
    )
}

fn check_start(start: &StartSaga, now: chrono::DateTime<chrono::Utc>) -> Result<(), Problem> {
    if start.start_at.is_some_and(|at| at - now > TimeDelta::days(START_AHEAD_DAYS_MAX)) {
        return Err(Problem::invalid(
            "start_at_too_far",
            format!("`start_at` is more than {START_AHEAD_DAYS_MAX} days ahead"),
        ));
    }
    Ok(())
}

fn check_cancel(cancel: &CancelSaga) -> Result<(), Problem> {
    if cancel.reason.len() > REASON_BYTES_MAX || cancel.by.len() > REASON_BYTES_MAX {
        return Err(Problem::invalid(
            "reason_too_long",
            format!("`reason` and `by` have at most {REASON_BYTES_MAX} bytes each"),
        ));
    }
    Ok(())
}

/// An output beyond its bound is not kept, but neither is it taken for a failure: what the worker did is done. The step is
/// in doubt, and comes before a person at once, for it would answer the same again. What an undo returns is nobody's, and is left out.
///
/// `bytes` is the reply's whole size when it is known, so that most need not be measured.
fn bounded(mut reply: Reply, bytes: usize) -> Reply {
    if (bytes == 0 || bytes > STEP_OUTPUT_BYTES_MAX)
        && let StepResult::Succeeded { output, .. } = &reply.result
        && has_more_bytes_than(output, STEP_OUTPUT_BYTES_MAX)
    {
        reply.result = match reply.operation {
            Operation::Do | Operation::Probe => StepResult::Unknown {
                error: StepError::new(
                    OUTPUT_TOO_LARGE,
                    format!(
                        "It answered with more than {STEP_OUTPUT_BYTES_MAX} bytes of output, which are not kept, and would answer the same \
                         again. See in its context what it has done, resolve it as succeeded with an output that fits, or as failed, and \
                         have its worker return less."
                    ),
                ),
            },
            Operation::Undo => StepResult::Succeeded { outcome: None, output: serde_json::Value::Null },
        };
    }
    reply
}

/// Whether a value is longer than `most` as JSON; stops counting there.
pub(super) fn has_more_bytes_than(value: &serde_json::Value, most: usize) -> bool {
    struct Room(usize);
    impl std::io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::WriteZero)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Room(most), value).is_err()
}
