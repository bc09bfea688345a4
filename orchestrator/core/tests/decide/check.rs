//! Runs a script of inputs against a saga and compares the facts of each decision, line by line.
//!
//! A line is `[TIME] INPUT => FACTS`; times count from the start of the saga and stay until the next one. `-` is no fact.
//! After every line the saga is also replayed from its facts, and effects are compared with them.

use std::collections::{BTreeMap, BTreeSet};

use amends_core::decide::{Decision, Effect, Start, decide, next_wakeup, start};
use amends_core::definition::{Definition, Node};
use amends_core::event::{Event, Fact};
use amends_core::evolve::{begin, evolve};
use amends_core::state::{Phase, SagaState};
use amends_core::surroundings::Surroundings;
use amends_core::validate::parse;
use amends_core::view::waiting_for;
use amends_schemas::command::Operation;
use amends_schemas::contract::ContractRegistry;
use amends_schemas::family::ParentLink;
use amends_schemas::ids::SagaId;
use amends_schemas::saga::Cancellation;
use amends_schemas::signal::SignalEffect;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::given::seconds;
use crate::said::since_epoch;

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
            Some(Ok(Cancellation::Undecided { step, .. })) => facts.push(format!("told undecided by {step}")),
            Some(Err(problem)) => facts.push(format!("told {}", problem.code)),
        }
        if facts.is_empty() { "-".to_owned() } else { facts.join("; ") }
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
}
