//! The shipped registration saga against workers, clocks and people that do anything at any time.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use amends_core::decide::{Decision, Effect, Input, command_of, decide, next_wakeup, resume, start};
use amends_core::definition::{Definition, OnUnknown, StepKind};
use amends_core::event::{Event, Fact};
use amends_core::evolve::{begin, evolve};
use amends_core::state::{Phase, SagaState};
use amends_core::validate::parse_library;
use amends_core::view::{history_entry, summary, view, waiting_for};
use amends_schemas::command::{Operation, StepError, StepResult};
use amends_schemas::ids::SagaId;
use amends_schemas::library::{contracts, saga_documents};
use amends_schemas::problem::Problem;
use amends_schemas::saga::SagaStatus;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;

static REGISTRATION: LazyLock<Arc<Definition>> = LazyLock::new(|| {
    let contracts = contracts().expect("valid");
    let documents = saga_documents();
    let library = parse_library(documents.iter().map(|document| (document.path, document.text)), &contracts);
    Arc::clone(library.expect("valid").find("registration", Some(1)).expect("ships"))
});

/// Cases per property: enough to reach every corner of a five-step saga, in seconds of a debug build.
const CASES: u32 = 1_000;

/// Rounds after which a saga whose every attempt is answered for good must have come to rest.
const ROUNDS_MAX: usize = 200;

/// Something happens.
#[derive(Debug, Clone)]
enum Move {
    /// An answer to what is in flight, or an older attempt of it when `older`.
    Answer {
        result: StepResult,
        older: bool,
    },
    /// Any answer to anything.
    Stray {
        step: usize,
        operation: Operation,
        attempt: u32,
        result: StepResult,
    },
    /// Time passes up to the next wake-up.
    Wake,
    /// Time passes without anything being due, or long after.
    Wait(i64),
    Cancel,
    Forwarded(bool),
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![Just(Operation::Do), Just(Operation::Undo), Just(Operation::Probe)]
}

fn results() -> impl Strategy<Value = StepResult> {
    let error = || StepError::new("test", "A test's.");
    let outcome = prop_oneof![Just("paid"), Just("paid"), Just("free"), Just("waitlisted")];
    prop_oneof![
        4 => outcome.prop_map(|outcome| StepResult::Succeeded {
            outcome: Some(outcome.to_owned()),
            output: json!({"price": {"amount": "1.00", "currency": "EUR"}}),
        }),
        1 => Just(StepResult::Failed { error: error() }),
        1 => Just(StepResult::Retry { error: error(), after_ms: Some(100) }),
        2 => Just(StepResult::Unknown { error: error() }),
        2 => Just(StepResult::NotHappened),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        8 => (results(), any::<bool>()).prop_map(|(result, older)| Move::Answer { result, older }),
        2 => (0..7usize, operations(), 0..4u32, results())
            .prop_map(|(step, operation, attempt, result)| Move::Stray { step, operation, attempt, result }),
        6 => Just(Move::Wake),
        1 => (0..2_000i64).prop_map(Move::Wait),
        1 => Just(Move::Cancel),
        1 => any::<bool>().prop_map(Move::Forwarded),
    ];
    prop::collection::vec(one, 0..60)
}

/// A saga with all its facts, watched.
struct Watched {
    state: SagaState,
    events: Vec<Event>,
    now: DateTime<Utc>,
    /// Whether the input at hand is a probe's `not_happened`.
    no_trace: bool,
    /// Whether the input at hand is a worker's answer.
    answered: bool,
}

impl Watched {
    fn start() -> Self {
        let now: DateTime<Utc> = "2026-01-02T10:00:00Z".parse().expect("a time");
        let saga_id: SagaId = "0193a1de-7d41-7cc1-9b5e-0242ac120002".parse().expect("a uuid");
        let (state, decision) = start(&REGISTRATION, saga_id, json!({}), BTreeSet::new(), now);
        let mut watched = Self { state, events: Vec::new(), now, no_trace: false, answered: false };
        watched.take(decision);
        watched
    }

    /// What is in flight: its step, operation and attempt.
    fn in_flight(&self) -> Option<(String, Operation, u32)> {
        self.state.steps.iter().zip(&REGISTRATION.steps).find_map(|(now, step)| match now.phase {
            Phase::InFlight { operation, .. } => Some((step.name.to_string(), operation, now.attempts.of(operation))),
            _ => None,
        })
    }

    fn make(&mut self, next: Move) {
        let input = match next {
            Move::Answer { result, older } => match self.in_flight() {
                Some((step, operation, attempt)) => {
                    let attempt = if older { attempt.saturating_sub(1).max(1) } else { attempt };
                    Input::Reply { step, operation, attempt, result }
                }
                None => return,
            },
            Move::Stray { step, operation, attempt, result } => {
                let step = REGISTRATION.steps.get(step).map_or("nobody", |step| &step.name).to_owned();
                Input::Reply { step, operation, attempt, result }
            }
            Move::Wake => {
                if let Some(at) = next_wakeup(&self.state) {
                    self.now = self.now.max(at);
                }
                Input::TimeReached
            }
            Move::Wait(seconds) => {
                self.now += TimeDelta::seconds(seconds);
                Input::TimeReached
            }
            Move::Cancel => Input::Cancel { by: "ann".to_owned(), reason: "why not".to_owned() },
            Move::Forwarded(true) => Input::ForwardCancellationAnswered { result: Ok(()) },
            Move::Forwarded(false) => {
                Input::ForwardCancellationAnswered { result: Err(Problem::unavailable("later", "later")) }
            }
        };
        self.answered = matches!(input, Input::Reply { .. });
        self.no_trace =
            matches!(input, Input::Reply { operation: Operation::Probe, result: StepResult::NotHappened, .. });
        let cancels = matches!(input, Input::Cancel { .. });
        let decision = decide(&REGISTRATION, &mut self.state, input, self.now);
        assert_eq!(decision.cancellation.is_some(), cancels);
        self.take(decision);
    }

    /// Takes a decision and checks what must hold after every one.
    fn take(&mut self, decision: Decision) {
        for event in decision.events {
            self.check_undo(&event.fact);
            self.check_failed(&event.fact);
            self.events.push(event);
        }
        let in_flight = self.in_flight();
        for effect in &decision.effects {
            if let Effect::Dispatch { step } = effect {
                assert!(command_of(&REGISTRATION, &self.state, *step, "reply").is_some(), "dispatched is in flight");
            }
        }
        let resumed = resume(&REGISTRATION, &self.state);
        assert_eq!(
            resumed.iter().filter(|effect| matches!(effect, Effect::Dispatch { .. })).count(),
            usize::from(in_flight.is_some())
        );
        // A saga is moved by an answer or by time; without either it is final or needs a person.
        let moves = next_wakeup(&self.state).is_some();
        assert!(moves || self.state.status.is_final() || self.state.status == SagaStatus::Stuck, "{:#?}", self.state);
        assert!(moves || self.state.is_settled() || self.state.status == SagaStatus::Stuck);
        assert_eq!(waiting_for(&REGISTRATION, &self.state).is_none(), self.state.is_settled());
        assert_eq!(view(&REGISTRATION, &self.state).waiting_for, summary(&REGISTRATION, &self.state).waiting_for);
    }

    /// Never is a step undone of which nobody knows whether it happened, except to bar the door after a probe found no trace;
    /// and nothing is undone once the pivot has succeeded.
    fn check_undo(&self, fact: &Fact) {
        let Fact::StepDispatched { step, operation: Operation::Undo, .. } = fact else { return };
        let facts = || self.events.iter().map(|event| &event.fact);
        assert!(
            !facts().any(|fact| matches!(fact, Fact::StepSucceeded { pivot: true, .. })),
            "no undo after the pivot"
        );
        let of_step: Vec<&Fact> = facts().filter(|fact| fact.step() == Some(*step)).collect();
        let happened = of_step.iter().any(|fact| matches!(fact, Fact::StepSucceeded { .. }));
        let no_trace = match of_step.last() {
            Some(Fact::StepDispatched { operation: Operation::Probe, .. }) => self.no_trace,
            // The do waits in doubt although this step is probed: the probe found no trace.
            Some(Fact::RetryScheduled { operation: Operation::Do, in_doubt: true, .. }) => {
                REGISTRATION.steps[*step].on_unknown == OnUnknown::Probe
            }
            Some(Fact::RetryScheduled { operation: Operation::Undo, .. }) => true,
            _ => false,
        };
        assert!(happened || no_trace, "an undo of a step in doubt: {of_step:#?}");
    }

    /// Only a worker's word ends a doubt with a failure; a person's cancel or the clock never do.
    fn check_failed(&self, fact: &Fact) {
        let Fact::StepFailed { step, .. } = fact else { return };
        let last = self.events.iter().map(|event| &event.fact).rfind(|fact| fact.step() == Some(*step));
        let in_doubt = matches!(last, Some(Fact::RetryScheduled { in_doubt: true, .. } | Fact::StepDispatched { .. }));
        assert!(!in_doubt || self.answered, "a doubt counted as a failure: {last:#?}");
    }

    fn check_replay(&self) {
        let mut replayed = begin(&REGISTRATION, self.state.saga_id, &self.events[0]).expect("begins");
        for (event, sequence) in self.events[1..].iter().zip(2..) {
            evolve(&mut replayed, event);
            assert!(!history_entry(&REGISTRATION, sequence, event).event.is_empty());
        }
        assert_eq!(replayed, self.state);
        let written = serde_json::to_string(&self.state).expect("writes");
        assert_eq!(serde_json::from_str::<SagaState>(&written).expect("reads"), self.state);
    }

    /// From here on everything is answered for good; the saga must come to rest.
    fn settle(&mut self, succeed: bool) {
        for _ in 0..ROUNDS_MAX {
            if self.state.is_settled() || self.state.status == SagaStatus::Stuck {
                return;
            }
            let next = match self.in_flight() {
                Some((_, Operation::Undo, _)) => Move::Answer { result: succeeded(), older: false },
                Some(_) if succeed => Move::Answer { result: succeeded(), older: false },
                Some(_) => {
                    let result = StepResult::Failed { error: StepError::new("no", "No.") };
                    Move::Answer { result, older: false }
                }
                None if self.state.status.is_final() => Move::Forwarded(true),
                None => Move::Wake,
            };
            self.make(next);
        }
        panic!("not at rest after {ROUNDS_MAX} answers: {:#?}", self.state);
    }
}

fn succeeded() -> StepResult {
    StepResult::Succeeded { outcome: Some("paid".to_owned()), output: json!({}) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_saga_is_its_facts_and_comes_to_rest(moves in moves(), succeed in any::<bool>()) {
        let mut watched = Watched::start();
        for next in moves {
            watched.make(next);
        }
        watched.check_replay();
        watched.settle(succeed);
        watched.check_replay();
        let state = &watched.state;
        let pivot = REGISTRATION.steps.iter().zip(&state.steps)
            .any(|(step, now)| step.kind == StepKind::Pivot && now.phase == Phase::Succeeded);
        match state.status {
            SagaStatus::Compensated => {
                prop_assert!(!pivot);
                // Everything that succeeded is undone, and the last said of it is that.
                prop_assert!(state.succeeded.iter().all(|step| state.steps[*step].phase == Phase::Undone));
                prop_assert!(state.reason.is_some());
            }
            SagaStatus::Completed => {
                prop_assert!(state.reason.is_none());
                prop_assert!(state.steps.iter().all(|step| matches!(step.phase, Phase::Succeeded | Phase::Skipped)));
            }
            // The rest of the drive fails for good what the pivot has made inevitable.
            SagaStatus::Stuck => assert!(state.steps.iter().any(|step| matches!(step.phase, Phase::Stuck { .. }))),
            SagaStatus::Running | SagaStatus::Compensating => prop_assert!(false, "still moving"),
        }
    }
}
