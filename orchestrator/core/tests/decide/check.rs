//! Runs a script of inputs against a saga and compares the facts of each decision, line by line.
//!
//! A line is `[TIME] INPUT => FACTS`; times count from the start of the saga and stay until the next one. `-` is no fact.
//! After every line the saga is also replayed from its facts, and effects are compared with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_core::decide::{
    Decision, Effect, Input, Start, child_cancel, child_ended, child_request, command_of, decide, next_wakeup, resume,
    start,
};
use amends_core::definition::{Definition, Node};
use amends_core::event::{DoubtCause, Event, Fact};
use amends_core::evolve::{begin, evolve};
use amends_core::preview::preview;
use amends_core::state::{Phase, SagaState};
use amends_core::surroundings::Surroundings;
use amends_core::validate::parse;
use amends_core::view::waiting_for;
use amends_schemas::command::{Operation, StepError, StepResult};
use amends_schemas::contract::ContractRegistry;
use amends_schemas::family::{ChildEnded, ParentLink};
use amends_schemas::ids::SagaId;
use amends_schemas::operate::{OperateSaga, OperatorAct, Resolution};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Cancellation, SagaStatus};
use amends_schemas::signal::{SignalEffect, SignalSaga};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// Contracts for tests: `t.seat@1` with outcomes and an undo, `t.pay@1` with undo and probe, `t.read@1` with a probe but no
/// undo, `t.plain@1` with an undo, `t.last@1` with neither; `t.few@1` and `t.fewer@1` as `t.pay@1` and `t.last@1`, but limited;
/// `t.strict@1` with an undo, and an input that must have a number `seat`.
pub fn contracts() -> ContractRegistry {
    let mut registry = ContractRegistry::empty();
    let strict = r#"{"type":"object","required":["seat"],"properties":{"seat":{"type":"integer"}}}"#;
    for (name, outcomes, undo, probe, limits, input) in [
        ("t.seat@1", r#"["paid","free","waitlisted"]"#, true, false, "null", "{}"),
        ("t.pay@1", "[]", true, true, "null", "{}"),
        ("t.read@1", "[]", false, true, "null", "{}"),
        ("t.plain@1", "[]", true, false, "null", "{}"),
        ("t.last@1", "[]", false, false, "null", "{}"),
        ("t.few@1", "[]", true, true, r#"{"concurrency":1}"#, "{}"),
        ("t.fewer@1", "[]", false, false, r#"{"per_second":1}"#, "{}"),
        ("t.strict@1", "[]", true, false, "null", strict),
    ] {
        let document = format!(
            r#"{{"contract":"{name}","title":"t","outcomes":{outcomes},"undo":{undo},"probe":{probe},"limits":{limits},"input":{input},"output":{{}}}}"#
        );
        registry.add(name, &document).expect("valid");
    }
    registry
}

/// Reserve, pay (the pivot, probed), confirm: the shape of most sagas. Waits have no jitter, so that times are plain.
pub const PAID: &str = "
saga: test
version: 1
title: Test
input: {type: object}
deadline: 100s
cancel_with: {saga: other, input: {of: /saga/id, why: /cancel/reason}}
steps:
  - name: seat
    call: t.seat@1
    kind: compensable
    compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}
    timeout: 10s
    retry: {attempts: 3, backoff: 1s, jitter: 0}
    on_unknown: retry
  - name: pay
    when: {step: seat, outcome: paid}
    call: t.pay@1
    kind: pivot
    input: {seat: /steps/seat/output/seat}
    timeout: 5s
    retry: {attempts: 3, backoff: 1s, jitter: 0}
    on_unknown: probe
  - name: confirm
    when: {step: seat, outcome: paid}
    call: t.last@1
    kind: retriable
    timeout: 5s
    retry: {attempts: 2, backoff: 1s, jitter: 0}
    on_unknown: retry
output: {outcome: /steps/seat/outcome}
";

/// Two compensable steps and a third that is waived, before a pivot without undo.
pub const UNDO: &str = "
saga: test
version: 1
title: Test
input: {type: object}
steps:
  - {name: a, call: t.plain@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s, retry: {attempts: 2, backoff: 1s, jitter: 0}}
  - {name: b, call: t.pay@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s, retry: {attempts: 2, backoff: 1s, jitter: 0}}
  - {name: c, call: t.last@1, kind: compensable, compensate: {waive: nothing to undo}, timeout: 5s, on_unknown: ask}
  - {name: d, call: t.read@1, kind: pivot, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}, on_unknown: probe}
";

/// When every test begins.
pub fn epoch() -> DateTime<Utc> {
    "2026-01-02T10:00:00Z".parse().expect("a time")
}

pub fn saga_id() -> SagaId {
    "0193a1de-7d41-7cc1-9b5e-0242ac120002".parse().expect("a uuid")
}

pub fn definition(yaml: &str) -> Definition {
    parse("test.yaml", yaml, &contracts()).unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// A saga under test, with all its facts.
pub struct Run {
    pub definition: Definition,
    pub state: SagaState,
    pub events: Vec<Event>,
    pub now: DateTime<Utc>,
    /// Every id under which a child was started, in order.
    pub children: BTreeMap<(usize, u32), Vec<SagaId>>,
    /// The children whose ends have not been told.
    pub at_work: BTreeSet<(usize, u32)>,
    /// The steps that were last put in a queue.
    pub queued: Vec<String>,
}

/// A saga that waits for the end of the one under test.
pub fn parent() -> ParentLink {
    let saga_id = "0193a1de-7d41-7cc1-9b5e-0242ac12000a".parse().expect("a uuid");
    ParentLink { saga_id, step: "kids".to_owned(), child: 0, operation: Operation::Do }
}

/// Runs a script; its first line is `start`.
#[track_caller]
pub fn check(yaml: &str, script: &str) -> Run {
    check_with(yaml, Start { input: json!({"policy": "full"}), ..Start::default() }, script)
}

/// The same with another input.
#[track_caller]
pub fn check_given(yaml: &str, input: Value, script: &str) -> Run {
    check_with(yaml, Start { input, ..Start::default() }, script)
}

/// The same of a saga that is started so.
#[track_caller]
pub fn check_with(yaml: &str, given: Start, script: &str) -> Run {
    let definition = definition(yaml);
    let (state, decision) =
        start(&definition, saga_id(), Start { tags: BTreeSet::from(["tag".to_owned()]), ..given }, epoch());
    let mut run = Run {
        definition,
        state,
        events: decision.events.clone(),
        now: epoch(),
        children: BTreeMap::new(),
        at_work: BTreeSet::new(),
        queued: Vec::new(),
    };
    for (number, line) in script.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (when, then) = line.split_once("=>").unwrap_or_else(|| panic!("line {number}: no `=>` in {line}"));
        let have = run.answer(when.trim(), &decision);
        let phases: Vec<&Phase> = run.state.steps.iter().map(|step| &step.phase).collect();
        assert_eq!(have, then.trim(), "line {number} of the script: {}\n{phases:?}", when.trim());
        run.check_replay();
    }
    run
}

impl Run {
    /// Takes one input, as text, and tells what follows.
    pub fn give(&mut self, when: &str) -> String {
        self.answer(when, &Decision::default())
    }

    fn answer(&mut self, when: &str, started: &Decision) -> String {
        let mut words: Vec<&str> = when.split_whitespace().collect();
        if let Some(at) = words.first().and_then(|word| seconds(word)) {
            self.now = epoch() + at;
            words.remove(0);
        }
        match words.as_slice() {
            ["start"] => self.told(started),
            ["next"] => next_wakeup(&self.state).map_or_else(|| "-".to_owned(), since_epoch),
            ["waiting"] => {
                waiting_for(&self.definition, &self.state, &Surroundings::default()).unwrap_or_else(|| "-".to_owned())
            }
            ["command", step] => self.command(step),
            ["recover"] => self.resumed(),
            ["preview"] => self.preview(),
            ["request", step, child] => self.request(step, child),
            ["tell"] => self.tell(),
            _ => {
                let wake_before = next_wakeup(&self.state);
                let input = self.input(&words);
                let decision = decide(&self.definition, &mut self.state, input, self.now);
                self.events.extend(decision.events.iter().cloned());
                let woken = decision.effects.iter().any(|effect| matches!(effect, Effect::WakeAt { .. }));
                let wake = next_wakeup(&self.state);
                assert_eq!(woken, wake.is_some() && wake != wake_before, "asks to be woken when that changes: {when}");
                self.told(&decision)
            }
        }
    }

    /// A decision as text. Its effects follow from its facts, which is checked here once for all scripts.
    fn told(&mut self, decision: &Decision) -> String {
        self.take_children(decision);
        let mut facts: Vec<String> = decision.events.iter().map(|event| self.fact(&event.fact)).collect();
        let dispatched = |event: &&Event| matches!(event.fact, Fact::StepDispatched { .. });
        let asked = |event: &&Event| matches!(event.fact, Fact::ForwardCancellationDispatched { .. });
        let dispatches = |effect: &&Effect| matches!(effect, Effect::Dispatch { .. });
        let forwards = |effect: &&Effect| matches!(effect, Effect::StartForward { .. });
        assert_eq!(
            decision.events.iter().filter(dispatched).count(),
            decision.effects.iter().filter(dispatches).count()
        );
        assert_eq!(decision.events.iter().filter(asked).count(), decision.effects.iter().filter(forwards).count());
        let queued = |event: &&Event| match event.fact {
            Fact::StepQueued { step, .. } => matches!(self.state.steps[step].phase, Phase::Queued { .. }),
            _ => false,
        };
        let resumed = |event: &Event| matches!(event.fact, Fact::SagaResumed { .. });
        let queues: Vec<&Effect> =
            decision.effects.iter().filter(|effect| matches!(effect, Effect::Queue { .. })).collect();
        if !decision.events.iter().any(resumed) {
            assert_eq!(decision.events.iter().filter(queued).count(), queues.len());
        }
        assert!(queues.iter().enumerate().all(|(at, queue)| !queues[..at].contains(queue)), "queued once");
        let name = |effect: &&Effect| match effect {
            Effect::Queue { step } => Some(self.definition.steps[*step].name.to_string()),
            _ => None,
        };
        self.queued = queues.iter().filter_map(name).collect();
        let ended = decision.events.iter().any(|event| event.fact.is_end());
        let tells = decision.effects.contains(&Effect::TellParent);
        assert_eq!(tells, ended && self.state.parent.is_some(), "the parent is told of the end");
        match &decision.signalled {
            None => {}
            Some(Ok(receipt)) => facts.push(match receipt.effect {
                SignalEffect::Taken => format!("told taken@{}", receipt.sequence),
                SignalEffect::Kept => format!("told kept@{}", receipt.sequence),
            }),
            Some(Err(problem)) => facts.push(format!("told {}", problem.code)),
        }
        match &decision.operated {
            None => {}
            Some(Ok(operated)) => facts.push(format!("told {}@{}", operated.verb.as_str(), operated.sequence)),
            Some(Err(problem)) => facts.push(format!("told {}", problem.code)),
        }
        match &decision.cancellation {
            None => {}
            Some(Ok(Cancellation::Compensating { .. })) => facts.push("told compensating".to_owned()),
            Some(Ok(Cancellation::Forward { .. })) => facts.push("told forward".to_owned()),
            Some(Err(problem)) => facts.push(format!("told {}", problem.code)),
        }
        if facts.is_empty() { "-".to_owned() } else { facts.join("; ") }
    }

    fn fact(&self, fact: &Fact) -> String {
        let name = fact.step().map(|step| self.definition.steps[step].name.to_string()).unwrap_or_default();
        let doubt = |in_doubt: &bool| if *in_doubt { " in doubt" } else { "" };
        match fact {
            Fact::SagaStarted { .. } => "started".to_owned(),
            Fact::StepSkipped { .. } => format!("{name} skipped"),
            Fact::StartTimeReached {} => "start reached".to_owned(),
            Fact::StepQueued { operation, .. } => format!("{name} {operation} queued"),
            Fact::WaitStarted { until: Some(until), .. } => format!("{name} waits till {}", since_epoch(*until)),
            Fact::WaitStarted { until: None, .. } => format!("{name} waits"),
            Fact::SignalReceived { signal, outcome, taken, .. } => {
                let outcome = outcome.as_ref().map(|outcome| format!(":{outcome}")).unwrap_or_default();
                format!("signal {signal}{outcome} {}", if *taken { "taken" } else { "kept" })
            }
            Fact::ChildrenStarted { total, .. } => format!("{name} has {total}"),
            Fact::ChildrenDispatched { operation: Operation::Undo, children, .. } => {
                format!("{name} cancels {}", numbers(children))
            }
            Fact::ChildrenDispatched { children, .. } => format!("{name} starts {}", numbers(children)),
            Fact::ChildEnded { child, operation: Operation::Undo, error, .. } => match error {
                None => format!("{name}/{child} undone"),
                Some(error) => format!("{name}/{child} not undone {}", error.code),
            },
            Fact::ChildEnded { child, error, .. } => match error {
                None => format!("{name}/{child} ok"),
                Some(error) => format!("{name}/{child} failed {}", error.code),
            },
            Fact::ChildrenHalted { cancelled, .. } => {
                format!("{name} halted{}", if *cancelled { " and cancelled" } else { "" })
            }
            Fact::StepInterrupted { error, .. } => format!("{name} interrupted {}", error.code),
            Fact::CancellationAdopted { .. } => "cancel adopted".to_owned(),
            Fact::ParentTold {} => "parent told".to_owned(),
            Fact::InputEdited { .. } => format!("{name} input edited"),
            Fact::RewindOrdered { .. } => format!("{name} ordered back"),
            Fact::Rewound { steps } => {
                let names: Vec<&str> = steps.iter().map(|step| &*self.definition.steps[*step].name).collect();
                format!("rewound {}", names.join(","))
            }
            Fact::StepDispatched { operation, attempt, timeout_at, .. } => {
                format!("{name} {operation}#{attempt} till {}", since_epoch(*timeout_at))
            }
            Fact::StepSucceeded { outcome, pivot, .. } => {
                let outcome = outcome.as_ref().map(|outcome| format!(":{outcome}")).unwrap_or_default();
                format!("{name} ok{outcome}{}", if *pivot { " pivot" } else { "" })
            }
            Fact::StepFailed { error, .. } => format!("{name} failed {}", error.code),
            Fact::StepInDoubt { operation, cause, .. } => {
                let cause = match cause {
                    DoubtCause::TimedOut => "timed out",
                    DoubtCause::Reported => "reported",
                };
                format!("{name} in doubt, {operation} {cause}")
            }
            Fact::RetryScheduled { operation, until, in_doubt, .. } => {
                format!("{name} {operation} again at {}{}", since_epoch(*until), doubt(in_doubt))
            }
            Fact::StepUndone { .. } => format!("{name} undone"),
            Fact::CompensationWaived { .. } => format!("{name} waived"),
            Fact::StepStuck { operation, error, in_doubt, .. } => {
                format!("{name} stuck on {operation}{} {}", doubt(in_doubt), error.code)
            }
            Fact::CancelRequested { forward: None, .. } => "cancel requested".to_owned(),
            Fact::CancelRequested { forward: Some(_), .. } => "cancel requested forward".to_owned(),
            Fact::CancellationTurnedForward { .. } => "cancel turned forward".to_owned(),
            Fact::DeadlinePassed {} => "deadline passed".to_owned(),
            Fact::CompensationStarted { reason } => format!("back {}", reason.as_str()),
            Fact::ForwardCancellationDispatched { attempt, timeout_at, .. } => {
                format!("forward#{attempt} till {}", since_epoch(*timeout_at))
            }
            Fact::ForwardCancellationStarted { .. } => "forward started".to_owned(),
            Fact::ForwardCancellationRefused { error, .. } => format!("forward refused {}", error.code),
            Fact::SagaCompleted { .. } => "completed".to_owned(),
            Fact::SagaCompensated { reason } => format!("compensated {}", reason.as_str()),
            Fact::SagaPaused { .. } => "paused".to_owned(),
            Fact::SagaResumed { .. } => "resumed".to_owned(),
            Fact::RetryOrdered { operation, in_doubt, anew, .. } => {
                format!("{name} {operation} ordered{}{}", if *anew { " anew" } else { "" }, doubt(in_doubt))
            }
            Fact::StepPassedOver { operation, .. } => format!("{name} {operation} passed over"),
            Fact::StepResolved { operation, succeeded, .. } => {
                format!("{name} {operation} resolved as {}", if *succeeded { "succeeded" } else { "failed" })
            }
            Fact::SagaTerminated { .. } => "terminated".to_owned(),
        }
    }

    fn command(&self, step: &str) -> String {
        let index = self.definition.step_index(step).expect("a step of the definition");
        let Some(command) = command_of(&self.definition, &self.state, index, "reply") else { return "-".to_owned() };
        let mut text = format!("{}#{} {} {}", command.operation, command.attempt, command.contract, command.input);
        // The key of the first round is that of every saga so far.
        let key = command.key.strip_prefix(&format!("{}/{step}", saga_id())).expect("names saga and step");
        let (round, operation) = key.split_once('/').expect("names the operation");
        assert_eq!(operation == "undo", command.operation == Operation::Undo);
        if !round.is_empty() {
            write!(text, " {round}").expect("writes to a text");
        }
        if let Some(output) = command.output {
            write!(text, " of {output}").expect("writes to a text");
        }
        if let Some(reason) = command.reason {
            write!(text, " because {}", reason.as_str()).expect("writes to a text");
        }
        assert_eq!(command.reply_to, "reply");
        text
    }

    fn preview(&self) -> String {
        let preview = preview(&self.definition, &self.state, self.now);
        let steps = preview.steps.iter().map(|step| {
            let uncertain = if step.if_it_happened { "?" } else { "" };
            let action = serde_json::to_value(step.action).expect("json");
            format!("{} {}{uncertain}", action.as_str().expect("text"), step.step)
        });
        let steps: Vec<String> = steps.collect();
        let side = serde_json::to_value(preview.pivot).expect("json");
        let stays = preview.irreversible.join(",");
        format!("{}: {} | {} | stays {stays}", side.as_str().expect("text"), preview.summary, steps.join(", "))
            .trim_end()
            .to_owned()
    }

    fn resumed(&self) -> String {
        let effects = resume(&self.definition, &self.state);
        let told = effects.iter().map(|effect| match effect {
            Effect::Dispatch { step } => format!("dispatch {}", self.definition.steps[*step].name),
            Effect::StartForward { request } => format!("start {} {}", request.definition, request.input),
            Effect::Queue { step } => format!("queue {}", self.definition.steps[*step].name),
            Effect::StartChildren { step, children } => {
                format!("start {} {}", self.definition.steps[*step].name, numbers(children))
            }
            Effect::CancelChildren { step, children } => {
                format!("cancel {} {}", self.definition.steps[*step].name, numbers(children))
            }
            Effect::TellParent => "tell parent".to_owned(),
            Effect::WakeAt { at } => format!("wake {}", since_epoch(*at)),
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// Effects on children follow from facts; nobody at work is forgotten.
    fn take_children(&mut self, decision: &Decision) {
        let mut started = Vec::new();
        let mut cancelled = Vec::new();
        for effect in &decision.effects {
            match effect {
                Effect::StartChildren { step, children } => {
                    started.extend(children.iter().map(|child| (*step, *child)))
                }
                Effect::CancelChildren { step, children } => {
                    cancelled.extend(children.iter().map(|child| (*step, *child)));
                }
                Effect::Dispatch { .. }
                | Effect::Queue { .. }
                | Effect::TellParent
                | Effect::StartForward { .. }
                | Effect::WakeAt { .. } => {}
            }
        }
        let mut wanted = (Vec::new(), Vec::new());
        for event in &decision.events {
            match &event.fact {
                Fact::ChildrenDispatched { step, operation, children } => {
                    let children = children.iter().map(|child| (*step, *child));
                    if *operation == Operation::Undo { wanted.1.extend(children) } else { wanted.0.extend(children) }
                }
                Fact::ChildrenHalted { step, cancelled: true } => {
                    wanted.1.extend(self.at_work.iter().filter(|(of, _)| of == step));
                }
                Fact::ChildEnded { step, child, operation: Operation::Do, .. } => {
                    self.at_work.remove(&(*step, *child));
                    wanted.1.retain(|cancelled| *cancelled != (*step, *child));
                }
                _ => {}
            }
        }
        assert_eq!((&started, &cancelled), (&wanted.0, &wanted.1), "{:#?}", decision.events);
        for (step, child) in started {
            self.at_work.insert((step, child));
            let request = child_request(&self.definition, &self.state, step, child).expect("a request");
            let ids = self.children.entry((step, child)).or_default();
            assert!(!ids.contains(&request.saga_id), "a child that is started anew is another saga");
            ids.push(request.saga_id);
        }
        for (step, child) in cancelled {
            let cancel = child_cancel(&self.definition, &self.state, step, child).expect("a request");
            assert_eq!(Some(&cancel.saga_id), self.children[&(step, child)].last());
            assert_eq!(cancel.parent.map(|parent| parent.operation), Some(Operation::Undo));
        }
    }

    /// What starts a child.
    fn request(&self, step: &str, child: &str) -> String {
        let index = self.definition.step_index(step).expect("a step of the definition");
        let child: u32 = child.parse().expect("a number");
        let Some(request) = child_request(&self.definition, &self.state, index, child) else { return "-".to_owned() };
        let parent = request.parent.expect("it has a parent");
        assert_eq!((parent.saga_id, &*parent.step, parent.child), (saga_id(), step, child));
        let version = request.version.map(|version| format!("@{version}")).unwrap_or_default();
        format!("{}{version} {}", request.definition, request.input)
    }

    /// What the parent is told.
    fn tell(&self) -> String {
        let Some(told) = child_ended(&self.definition, &self.state) else { return "-".to_owned() };
        assert_eq!((&told.parent, told.saga_id), (&parent(), saga_id()));
        match told.error {
            None => format!("{} {}", told.status.as_str(), told.output),
            Some(error) => format!("{} {}: {}", told.status.as_str(), error.code, error.message),
        }
    }

    /// The facts alone make the same saga, and the same again after a trip through JSON.
    fn check_replay(&self) {
        let mut replayed = begin(&self.definition, saga_id(), &self.events[0]).expect("begins with SagaStarted");
        for event in &self.events[1..] {
            let written = serde_json::to_string(event).expect("writes");
            let read: Event = serde_json::from_str(&written).expect("reads");
            // As the journal holds it.
            let packed = rmp_serde::to_vec_named(event).expect("writes");
            assert_eq!(rmp_serde::from_slice::<Event>(&packed).expect("reads"), read);
            evolve(&mut replayed, &read);
        }
        let packed = rmp_serde::to_vec_named(&self.state).expect("writes");
        assert_eq!(rmp_serde::from_slice::<SagaState>(&packed).expect("reads"), self.state);
        assert_eq!(replayed, self.state);
        assert_eq!(self.state.event_count, self.events.len() as u64);
        let in_flight = self.state.steps.iter().filter(|step| matches!(step.phase, Phase::InFlight { .. })).count();
        let branches = self.definition.flow.iter().any(|node| matches!(node, Node::Parallel(_)));
        assert!(in_flight <= 1 || branches, "steps go one at a time");
    }

    fn input(&self, words: &[&str]) -> Input {
        match words {
            ["child", step, child, how @ ..] => self.child(step, child, Operation::Do, how),
            ["undone", step, child, how @ ..] => self.child(step, child, Operation::Undo, how),
            ["refused", step, child, operation, code] => Input::ChildRefused {
                step: self.definition.step_index(step).expect("a step of the definition"),
                child: child.parse().expect("a number"),
                operation: if *operation == "undo" { Operation::Undo } else { Operation::Do },
                problem: match *code {
                    "unavailable" => Problem::unavailable("no_owner", "later"),
                    code => Problem::conflict(code, "no"),
                },
            },
            ["admitted", step] => {
                Input::Admitted { step: self.definition.step_index(step).expect("a step of the definition") }
            }
            ["parent", "told"] => Input::ParentTold,
            ["parent", "cancels"] => Input::Cancel {
                by: "parent".to_owned(),
                reason: "its parent failed".to_owned(),
                parent: Some(ParentLink { operation: Operation::Undo, ..parent() }),
            },
            words => input(words),
        }
    }

    /// `child STEP CHILD[~START] [STATUS]`, the end of a child, or of the saga that cancels it.
    fn child(&self, step: &str, child: &str, operation: Operation, how: &[&str]) -> Input {
        let index = self.definition.step_index(step).expect("a step of the definition");
        let (child, start) = match child.split_once('~') {
            Some((child, start)) => (child, Some(start.parse::<usize>().expect("a number"))),
            None => (child, None),
        };
        let child: u32 = child.parse().expect("a number");
        let ids = &self.children[&(index, child)];
        let id = ids[start.unwrap_or(ids.len() - 1)];
        let status = match how {
            [] => SagaStatus::Completed,
            ["compensated"] => SagaStatus::Compensated,
            ["terminated"] => SagaStatus::Terminated,
            other => panic!("no end {other:?}"),
        };
        Input::ChildEnded(ChildEnded {
            parent: ParentLink { saga_id: saga_id(), step: step.to_owned(), child, operation },
            saga_id: if operation == Operation::Undo { id.forward_cancellation() } else { id },
            status,
            output: json!({"of": child}),
            error: None,
        })
    }
}

/// `0,1,2`, or `0..99` of many.
fn numbers(numbers: &[u32]) -> String {
    match numbers {
        [first, .., last] if numbers.len() > 9 => format!("{first}..{last}"),
        numbers => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

fn input(words: &[&str]) -> Input {
    let error = |code: &str| StepError::new(code, "a test's");
    match words {
        ["tick"] => Input::TimeReached,
        ["pause" | "resume" | "retry" | "retry-from" | "edit-input" | "skip" | "resolve" | "terminate", ..] => {
            Input::Operate(operation(words))
        }
        ["signal", name, rest @ ..] => Input::Signal(signal(name, rest)),
        ["cancel"] => Input::Cancel { by: "ann".to_owned(), reason: "second thoughts".to_owned(), parent: None },
        ["forwarded", "ok"] => Input::ForwardCancellationAnswered { result: Ok(()) },
        ["forwarded", "refused"] => {
            Input::ForwardCancellationAnswered { result: Err(Problem::invalid("invalid_input", "no")) }
        }
        ["forwarded", "unavailable"] => {
            Input::ForwardCancellationAnswered { result: Err(Problem::unavailable("no_owner", "later")) }
        }
        [step, asked, result @ ..] => {
            let (operation, attempt) = asked.split_once('#').expect("operation#attempt");
            let operation = match operation {
                "do" => Operation::Do,
                "undo" => Operation::Undo,
                "probe" => Operation::Probe,
                other => panic!("no operation {other}"),
            };
            let result = match result {
                ["ok"] => StepResult::Succeeded { outcome: None, output: json!({"seat": 7}) },
                ["ok", outcome] => {
                    StepResult::Succeeded { outcome: Some((*outcome).to_owned()), output: json!({"seat": 7}) }
                }
                ["failed", code] => StepResult::Failed { error: error(code) },
                ["retry", code] => StepResult::Retry { error: error(code), after_ms: None },
                ["retry", code, "after", wait] => {
                    let after = seconds(wait).expect("a wait").num_milliseconds();
                    StepResult::Retry { error: error(code), after_ms: Some(u64::try_from(after).expect("positive")) }
                }
                ["unknown"] => StepResult::Unknown { error: error("lost") },
                ["not_happened"] => StepResult::NotHappened,
                other => panic!("no result {other:?}"),
            };
            let attempt = attempt.parse().expect("a number");
            Input::Reply { step: (*step).to_owned(), operation, attempt, result }
        }
        other => panic!("no input {other:?}"),
    }
}

/// `signal NAME [OUTCOME] [id N] [data JSON]`
fn signal(name: &str, rest: &[&str]) -> SignalSaga {
    let after = |word: &str| rest.iter().position(|found| *found == word).and_then(|at| rest.get(at + 1));
    let outcome = rest.first().filter(|word| !matches!(**word, "id" | "data")).map(|word| (*word).to_owned());
    SignalSaga {
        saga_id: saga_id(),
        signal: name.to_owned(),
        signal_id: Uuid::from_u128(after("id").map_or(1, |id| id.parse().expect("a number"))),
        outcome,
        data: after("data").map_or(Value::Null, |data| serde_json::from_str(data).expect("JSON")),
        by: "ann".to_owned(),
    }
}

/// `edit-input [STEP] JSON`, `VERB [STEP] [as succeeded|failed] [outcome O] [output] [forced] [id N] [mute]`
fn operation(words: &[&str]) -> OperateSaga {
    static NEXT: AtomicU64 = AtomicU64::new(1_000);
    let after = |word: &str| words.iter().position(|found| *found == word).and_then(|at| words.get(at + 1));
    let has = |word: &str| words.contains(&word);
    let step = words.get(1).filter(|word| !matches!(**word, "as" | "id" | "forced" | "mute") && !word.starts_with('{'));
    let step = step.map(|word| (*word).to_owned());
    let id = match after("id") {
        Some(id) => id.parse().expect("a number"),
        None => u128::from(NEXT.fetch_add(1, Ordering::Relaxed)),
    };
    let act = match words[0] {
        "pause" => OperatorAct::Pause,
        "resume" => OperatorAct::Resume,
        "retry" => OperatorAct::Retry { step },
        "retry-from" => OperatorAct::RetryFrom { step: step.expect("a step") },
        "edit-input" => {
            let input = words.iter().find(|word| word.starts_with('{')).expect("an input");
            OperatorAct::EditInput { step, input: serde_json::from_str(input).expect("JSON") }
        }
        "skip" => OperatorAct::Skip { step },
        "terminate" => OperatorAct::Terminate { force: has("forced") },
        "resolve" if has("failed") => OperatorAct::Resolve { step, resolution: Resolution::Failed { error: None } },
        "resolve" => {
            let outcome = after("outcome").map(|outcome| (*outcome).to_owned());
            let output = if has("output") { json!({"seat": 9}) } else { json!(null) };
            OperatorAct::Resolve { step, resolution: Resolution::Succeeded { outcome, output } }
        }
        other => panic!("no verb {other}"),
    };
    let reason = if has("mute") { String::new() } else { "a test".to_owned() };
    OperateSaga { saga_id: saga_id(), operation_id: Uuid::from_u128(id), by: "ann".to_owned(), reason, act }
}

fn seconds(word: &str) -> Option<TimeDelta> {
    let number: f64 = word.strip_suffix('s')?.parse().ok()?;
    TimeDelta::from_std(Duration::from_secs_f64(number)).ok()
}

fn since_epoch(at: DateTime<Utc>) -> String {
    format!("{}s", (at - epoch()).num_milliseconds() as f64 / 1000.0)
}
