//! The shipped registration saga against workers, clocks and people that do anything at any time.

use std::sync::{Arc, LazyLock};

use amends_core::decide::{Decision, Effect, Input, Start, command_of, decide, next_wakeup, resume, start};
use amends_core::definition::{Definition, OnUnknown, StepKind};
use amends_core::event::{Event, Fact};
use amends_core::evolve::{begin, evolve};
use amends_core::preview::preview;
use amends_core::state::{Phase, SagaState};
use amends_core::surroundings::Surroundings;
use amends_core::validate::parse_library;
use amends_core::view::{history_entry, summary, view, waiting_for};
use amends_schemas::command::{Operation, StepError, StepResult};
use amends_schemas::ids::SagaId;
use amends_schemas::library::{contracts, saga_documents};
use amends_schemas::operate::{CancelPreview, OperateSaga, Operated, OperatorAct, PivotSide, Resolution, UndoAction};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Cancellation, SagaStatus};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

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
    Operate(OperatorAct),
    /// The last act again.
    Repeat,
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

fn acts() -> impl Strategy<Value = OperatorAct> {
    let step = || {
        prop_oneof![3 => Just(None), 1 => (0..7usize).prop_map(Some)].prop_map(|step| {
            step.map(|step| REGISTRATION.steps.get(step).map_or("nobody", |step| &step.name).to_owned())
        })
    };
    let resolution = prop_oneof![
        2 => Just(Resolution::Failed { error: None }),
        1 => Just(Resolution::Succeeded { outcome: None, output: Value::Null }),
        2 => Just(Resolution::Succeeded {
            outcome: None,
            output: json!({"payment_id": "0193a1de-7d41-7cc1-9b5e-0242ac120009", "charge_id": "ch_1",
                "amount": {"amount": "1.00", "currency": "EUR"}}),
        }),
    ];
    prop_oneof![
        3 => Just(OperatorAct::Pause),
        4 => Just(OperatorAct::Resume),
        3 => step().prop_map(|step| OperatorAct::Retry { step }),
        3 => step().prop_map(|step| OperatorAct::Skip { step }),
        4 => (step(), resolution).prop_map(|(step, resolution)| OperatorAct::Resolve { step, resolution }),
        1 => any::<bool>().prop_map(|force| OperatorAct::Terminate { force }),
        1 => step().prop_map(|step| OperatorAct::RetryFrom { step: step.unwrap_or_else(|| "reserve".to_owned()) }),
        1 => step().prop_map(|step| OperatorAct::EditInput { step, input: json!({}) }),
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
        5 => acts().prop_map(Move::Operate),
        1 => Just(Move::Repeat),
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
    /// Whether the input at hand is a worker's answer, or a person's word on how a step ended.
    answered: bool,
    /// The last act, and what was told.
    operated: Option<(OperateSaga, Result<Operated, Problem>)>,
    operation_count: u128,
}

impl Watched {
    fn start() -> Self {
        let now: DateTime<Utc> = "2026-01-02T10:00:00Z".parse().expect("a time");
        let saga_id: SagaId = "0193a1de-7d41-7cc1-9b5e-0242ac120002".parse().expect("a uuid");
        let (state, decision) = start(&REGISTRATION, saga_id, Start { input: json!({}), ..Start::default() }, now);
        let mut watched = Self {
            state,
            events: Vec::new(),
            now,
            no_trace: false,
            answered: false,
            operated: None,
            operation_count: 0,
        };
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
            Move::Cancel => Input::Cancel { by: "ann".to_owned(), reason: "why not".to_owned(), parent: None },
            Move::Operate(act) => {
                self.operation_count += 1;
                Input::Operate(OperateSaga {
                    saga_id: self.state.saga_id,
                    operation_id: Uuid::from_u128(self.operation_count),
                    by: "ann".to_owned(),
                    reason: "why not".to_owned(),
                    act,
                })
            }
            Move::Repeat => match &self.operated {
                Some((request, Ok(_))) => Input::Operate(request.clone()),
                Some((_, Err(_))) | None => return,
            },
            Move::Forwarded(true) => Input::ForwardCancellationAnswered { result: Ok(()) },
            Move::Forwarded(false) => {
                Input::ForwardCancellationAnswered { result: Err(Problem::unavailable("later", "later")) }
            }
        };
        let resolves = |request: &OperateSaga| matches!(request.act, OperatorAct::Resolve { .. });
        self.answered = match &input {
            Input::Reply { .. } => true,
            Input::Operate(request) => resolves(request),
            Input::TimeReached
            | Input::Cancel { .. }
            | Input::ForwardCancellationAnswered { .. }
            | Input::Signal(_)
            | Input::Admitted { .. }
            | Input::ChildEnded(_)
            | Input::ChildRefused { .. }
            | Input::ParentTold => false,
        };
        let request = if let Input::Operate(request) = &input { Some(request.clone()) } else { None };
        self.no_trace =
            matches!(input, Input::Reply { operation: Operation::Probe, result: StepResult::NotHappened, .. });
        let cancels = matches!(input, Input::Cancel { .. });
        let decision = decide(&REGISTRATION, &mut self.state, input, self.now);
        assert_eq!(decision.cancellation.is_some(), cancels);
        assert_eq!(decision.operated.is_some(), request.is_some());
        if let Some((request, told)) = request.zip(decision.operated.clone()) {
            self.check_operated(request, told, &decision);
        }
        self.take(decision);
    }

    /// A refused act changes nothing, a repeated one changes nothing and is told the same, and every other one leaves its fact with who
    /// and why at the place it tells.
    fn check_operated(&mut self, request: OperateSaga, told: Result<Operated, Problem>, decision: &Decision) {
        let repeated = self.operated.as_ref().filter(|(known, _)| *known == request);
        match (&told, repeated) {
            (_, Some((_, before))) => {
                assert_eq!(told, *before);
                assert!(decision.events.is_empty());
            }
            (Err(problem), None) => {
                assert!(decision.events.is_empty() && decision.effects.is_empty(), "refused: {problem}");
                let sentence = &problem.message;
                assert!(problem.code != "illegal_here" || sentence.contains(request.act.verb().as_str()), "{sentence}");
            }
            (Ok(operated), None) => {
                assert_eq!(operated.sequence, self.events.len() as u64 + 1);
                let entry = history_entry(&REGISTRATION, operated.sequence, &decision.events[0]);
                assert_eq!((&entry.data["by"], &entry.data["reason"]), (&json!("ann"), &json!("why not")));
            }
        }
        self.operated = Some((request, told));
    }

    /// Takes a decision and checks what must hold after every one.
    fn take(&mut self, decision: Decision) {
        for event in decision.events {
            self.check_undo(&event.fact);
            self.check_failed(&event.fact);
            self.check_by_hand(&event.fact);
            self.events.push(event);
        }
        let in_flight = self.in_flight();
        for effect in &decision.effects {
            if let Effect::Dispatch { step } = effect {
                assert!(!self.state.paused, "nothing is dispatched while it is paused");
                assert!(command_of(&REGISTRATION, &self.state, *step, "reply").is_some(), "dispatched is in flight");
            }
        }
        let resumed = resume(&REGISTRATION, &self.state);
        assert_eq!(
            resumed.iter().filter(|effect| matches!(effect, Effect::Dispatch { .. })).count(),
            usize::from(in_flight.is_some() && !self.state.status.is_final())
        );
        // A saga is moved by an answer or by time; without either it is final or needs a person.
        let moves = next_wakeup(&self.state).is_some();
        let held = self.state.paused || self.state.status == SagaStatus::Stuck;
        assert!(moves || self.state.status.is_final() || held, "{:#?}", self.state);
        assert!(moves || self.state.is_settled() || held);
        assert!(!(self.state.paused && (moves || self.state.status.is_final())), "paused, nothing moves it");
        self.check_preview();
        assert_eq!(
            waiting_for(&REGISTRATION, &self.state, &Surroundings::default()).is_none(),
            self.state.is_settled()
        );
        assert_eq!(
            view(&REGISTRATION, &self.state, &Surroundings::default()).waiting_for,
            summary(&REGISTRATION, &self.state, &Surroundings::default()).waiting_for
        );
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
        // What was said before it was last done anew speaks of another round.
        let anew = facts().rposition(|fact| matches!(fact, Fact::Rewound { steps } if steps.contains(step)));
        let of_step: Vec<&Fact> = facts().skip(anew.unwrap_or(0)).filter(|fact| fact.step() == Some(*step)).collect();
        let happened = of_step.iter().any(|fact| matches!(fact, Fact::StepSucceeded { .. }));
        let no_trace = match of_step.last() {
            Some(Fact::StepDispatched { operation: Operation::Probe, .. }) => self.no_trace,
            // The do waits in doubt although this step is probed: the probe found no trace.
            Some(Fact::RetryScheduled { operation: Operation::Do, in_doubt: true, .. }) => {
                REGISTRATION.steps[*step].call().is_some_and(|call| call.on_unknown == OnUnknown::Probe)
            }
            Some(Fact::RetryScheduled { operation: Operation::Undo, .. }) => true,
            Some(Fact::RetryOrdered { operation: Operation::Undo, .. }) => true,
            Some(Fact::RetryOrdered { operation: Operation::Do, in_doubt: true, .. }) => {
                REGISTRATION.steps[*step].call().is_some_and(|call| call.on_unknown == OnUnknown::Probe)
            }
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

    /// Nobody passes over a step in doubt, nor over a `do` before the pivot.
    fn check_by_hand(&self, fact: &Fact) {
        let Fact::StepPassedOver { step, operation, .. } = fact else { return };
        let facts = || self.events.iter().map(|event| &event.fact);
        let last = facts().rfind(|fact| fact.step() == Some(*step));
        let in_doubt = matches!(
            last,
            Some(
                Fact::RetryScheduled { in_doubt: true, .. }
                    | Fact::StepStuck { in_doubt: true, .. }
                    | Fact::RetryOrdered { in_doubt: true, .. }
                    | Fact::StepInDoubt { .. }
                    | Fact::StepDispatched { .. }
            )
        );
        assert!(!in_doubt, "passed over in doubt: {last:#?}");
        let pivot = facts().any(|fact| matches!(fact, Fact::StepSucceeded { pivot: true, .. }));
        assert!(pivot || *operation == Operation::Undo, "passed over before the pivot");
    }

    /// What the preview promises is what a cancel does.
    fn check_preview(&self) {
        let preview = preview(&REGISTRATION, &self.state, self.now);
        let mut cancelled = self.state.clone();
        let input = Input::Cancel { by: "ann".to_owned(), reason: "why not".to_owned(), parent: None };
        let decision = decide(&REGISTRATION, &mut cancelled, input, self.now);
        let undoes = decision.events.iter().find_map(|event| match event.fact {
            Fact::StepDispatched { step, operation: Operation::Undo, .. } => Some(&*REGISTRATION.steps[step].name),
            _ => None,
        });
        match (&preview.cancel, decision.cancellation.expect("told")) {
            (CancelPreview::Refused { code }, Err(problem)) => assert_eq!(*code, problem.code),
            (
                CancelPreview::Forward { forward_saga_id, .. },
                Ok(Cancellation::Forward { forward_saga_id: told, .. }),
            ) => {
                assert_eq!(*forward_saga_id, told);
            }
            (CancelPreview::Compensate, Ok(Cancellation::Compensating { .. })) => {
                let first = preview.steps.iter().find(|step| step.action == UndoAction::Undo).map(|step| &*step.step);
                if self.state.turning_back().is_none() && !self.state.paused && self.state.rewind.is_none() {
                    assert_eq!(first, undoes, "{preview:#?} {:#?}", self.state);
                }
            }
            (
                CancelPreview::AwaitStep { .. } | CancelPreview::SettleDoubt { .. } | CancelPreview::Already,
                Ok(told @ (Cancellation::Compensating { .. } | Cancellation::Undecided { .. })),
            ) => {
                if preview.cancel == CancelPreview::Already {
                    assert!(decision.events.is_empty(), "{preview:#?}");
                }
                let undecided = matches!(told, Cancellation::Undecided { .. });
                assert_eq!(undecided, preview.pivot == PivotSide::Undecided, "{preview:#?}");
                // The one thing done before a doubt is settled is to bar its door.
                let open = preview.steps.first().filter(|step| step.if_it_happened).map(|step| &*step.step);
                assert!(undoes.is_none() || undoes == open, "{preview:#?}");
            }
            (CancelPreview::Already, Ok(Cancellation::Forward { .. })) => {
                assert!(decision.events.is_empty() && preview.steps.is_empty(), "{preview:#?}");
            }
            (promised, told) => panic!("promised {promised:?}, told {told:?}"),
        }
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
            if self.state.paused {
                self.make(Move::Operate(OperatorAct::Resume));
            }
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
                let waived = |step: usize| watched.events.iter().any(|event| {
                    matches!(&event.fact, Fact::StepPassedOver { step: of, operation: Operation::Undo, .. } if *of == step)
                });
                let good = |step: &usize| match state.steps[*step].phase {
                    Phase::Undone => true,
                    Phase::Waived => waived(*step),
                    _ => false,
                };
                prop_assert!(state.succeeded.iter().all(good));
                prop_assert!(state.reason.is_some());
            }
            SagaStatus::Completed => {
                prop_assert!(state.reason.is_none());
                prop_assert!(state.steps.iter().all(|step| matches!(step.phase, Phase::Succeeded | Phase::Skipped)));
            }
            // The rest of the drive fails for good what the pivot has made inevitable.
            SagaStatus::Stuck => assert!(state.steps.iter().any(|step| matches!(step.phase, Phase::Stuck { .. }))),
            SagaStatus::Terminated => {
                let last = watched.events.last().map(|event| &event.fact);
                assert!(matches!(last, Some(Fact::SagaTerminated { .. })), "{last:?}");
            }
            SagaStatus::Running | SagaStatus::Compensating => prop_assert!(false, "still moving"),
        }
    }
}
