//! How a saga comes to its end: as a preview promises, and by whatever is left to be answered.

use std::collections::BTreeMap;

use amends_core::decide::{Input, decide, next_wakeup};
use amends_core::definition::{Action, StepKind};
use amends_core::event::{Event, Fact};
use amends_core::preview::preview;
use amends_core::state::{Phase, SagaState};
use amends_schemas::command::{Operation, StepResult};
use amends_schemas::operate::{CancelPreview, OperatorAct, PivotSide, Resolution, UndoAction};
use amends_schemas::saga::{Cancellation, SagaStatus};
use serde_json::json;

use crate::watched::Watched;

/// Rounds after which a saga of which everything is answered for good must be at its end.
const ROUNDS_MAX: usize = 2_000;

impl Watched {
    /// What the preview promises is what a cancel does, to its end.
    pub fn check_preview(&self) {
        let promised = preview(&self.definition, &self.state, self.now);
        let mut state = self.state.clone();
        let cancel = Input::Cancel { by: "ann".to_owned(), reason: "why not".to_owned(), parent: None };
        let decision = decide(&self.definition, &mut state, cancel, self.now);
        let turned = decision.events.iter().any(|event| matches!(event.fact, Fact::CompensationStarted { .. }));
        let open = self.state.turning_back().is_none() && !self.state.paused && self.state.rewind.is_none();
        match (&promised.cancel, decision.cancellation.expect("told")) {
            (CancelPreview::Refused { code }, Err(problem)) => assert_eq!(*code, problem.code),
            (
                CancelPreview::Forward { forward_saga_id, .. },
                Ok(Cancellation::Forward { forward_saga_id: told, .. }),
            ) => {
                assert_eq!(*forward_saga_id, told);
            }
            (CancelPreview::Compensate, Ok(Cancellation::Compensating { .. })) if open => {
                assert!(turned, "{promised:#?} {state:#?}");
                let undone = promised
                    .steps
                    .iter()
                    .filter(|step| matches!(step.action, UndoAction::Undo | UndoAction::CancelChildren));
                let orders: BTreeMap<usize, u32> =
                    undone.filter_map(|step| Some((self.definition.step_index(&step.step)?, step.order))).collect();
                assert_eq!(
                    self.undo_everything(&mut state, &decision.events),
                    orders,
                    "{promised:#?} {:#?}",
                    self.state
                );
                assert!(promised.steps.is_sorted_by_key(|step| step.order));
                assert_eq!(state.status, SagaStatus::Compensated);
            }
            (
                CancelPreview::AwaitStep { .. } | CancelPreview::SettleDoubt { .. },
                Ok(told @ (Cancellation::Compensating { .. } | Cancellation::Undecided { .. })),
            ) => {
                assert!(!turned || !open, "{promised:#?}");
                let undecided = matches!(told, Cancellation::Undecided { .. });
                assert_eq!(undecided, promised.pivot == PivotSide::Undecided, "{promised:#?}");
            }
            (CancelPreview::Compensate, Ok(Cancellation::Compensating { .. })) => {}
            (CancelPreview::Already, Ok(told)) => {
                assert!(decision.events.is_empty(), "{promised:#?}");
                let undecided = matches!(told, Cancellation::Undecided { .. });
                assert_eq!(undecided, promised.pivot == PivotSide::Undecided, "{promised:#?}");
            }
            (promised, told) => panic!("promised {promised:?}, told {told:?}"),
        }
    }

    /// Every undo succeeds, all that are under way at the same time: each step with the round, from one, in which its undo was begun.
    fn undo_everything(&self, state: &mut SagaState, turned: &[Event]) -> BTreeMap<usize, u32> {
        let mut begun = BTreeMap::new();
        let mut note = |events: &[Event], round: u32| {
            for event in events {
                if let Fact::StepDispatched { step, operation: Operation::Undo, .. }
                | Fact::StepQueued { step, operation: Operation::Undo }
                | Fact::ChildrenDispatched { step, operation: Operation::Undo, .. } = event.fact
                {
                    begun.entry(step).or_insert(round);
                }
            }
        };
        note(turned, 1);
        for round in 2..ROUNDS_MAX as u32 {
            let open: Vec<usize> = state.open_steps().collect();
            if open.is_empty() {
                break;
            }
            for step in open {
                while let Some(next) = self.undo_answered(state, step) {
                    note(&decide(&self.definition, state, next, self.now).events, round);
                }
            }
        }
        begun
    }

    /// What lets the undo of a step go on to its success.
    fn undo_answered(&self, state: &SagaState, step: usize) -> Option<Input> {
        let now = &state.steps[step];
        match &now.phase {
            Phase::Queued { .. } => Some(Input::Admitted { step }),
            Phase::InFlight { operation, .. } => Some(Input::Reply {
                step: self.definition.steps[step].name.to_string(),
                operation: *operation,
                attempt: now.attempts.of(*operation),
                result: StepResult::Succeeded { outcome: None, output: json!({}) },
            }),
            Phase::Children { .. } => {
                let child = *now.children.as_ref()?.undoing.first()?;
                self.child_input(step, child, Operation::Undo, SagaStatus::Completed)
            }
            _ => None,
        }
    }

    /// From here on everything is answered for good, and a person deals with what is stuck: the saga must come to its end.
    pub fn come_to_an_end(&mut self) {
        for round in 0..ROUNDS_MAX {
            if self.state.is_settled() {
                return;
            }
            let next = self.next_to_the_end(round);
            self.give(next);
        }
        panic!("not at its end after {ROUNDS_MAX} answers: {:#?}\n{}", self.state, self.definition.source);
    }

    fn next_to_the_end(&mut self, round: usize) -> Input {
        if self.state.status.is_final() {
            let untold = self.state.parent.as_ref().is_some_and(|parent| !parent.told);
            return if untold { Input::ParentTold } else { Input::ForwardCancellationAnswered { result: Ok(()) } };
        }
        if self.state.paused {
            return Input::Operate(self.operation_input(OperatorAct::Resume));
        }
        for step in 0..self.state.steps.len() {
            let name = self.definition.steps[step].name.to_string();
            let now = &self.state.steps[step];
            match now.phase.clone() {
                Phase::Queued { .. } => return Input::Admitted { step },
                Phase::InFlight { operation, .. } => {
                    let result = StepResult::Succeeded { outcome: None, output: json!({}) };
                    return Input::Reply { step: name, operation, attempt: now.attempts.of(operation), result };
                }
                Phase::Children { .. } => {
                    let children = now.children.as_ref().expect("children");
                    let running = children.running.first().map(|child| (*child, Operation::Do));
                    let undoing = children.undoing.first().map(|child| (*child, Operation::Undo));
                    let (child, operation) = running.or(undoing).expect("somebody is at work");
                    return self.child_input(step, child, operation, SagaStatus::Completed).expect("a child");
                }
                Phase::Waiting { until: None } => {
                    let Action::Await(awaited) = &self.definition.steps[step].action else {
                        panic!("waits for nothing")
                    };
                    return Self::signal_input(&awaited.signal, 9);
                }
                Phase::Stuck { in_doubt, operation } => {
                    let resolution = if in_doubt || operation == Operation::Undo || round.is_multiple_of(2) {
                        Resolution::Succeeded { outcome: None, output: serde_json::Value::Null }
                    } else {
                        return Input::Operate(self.operation_input(OperatorAct::Skip { step: Some(name) }));
                    };
                    return Input::Operate(self.operation_input(OperatorAct::Resolve { step: Some(name), resolution }));
                }
                _ => {}
            }
        }
        self.now = self.now.max(next_wakeup(&self.state).expect("time moves it"));
        Input::TimeReached
    }

    /// Where it may have come to.
    pub fn check_end(&self) {
        let state = &self.state;
        let pivot = self
            .definition
            .steps
            .iter()
            .zip(&state.steps)
            .any(|(step, now)| step.kind == StepKind::Pivot && now.phase == Phase::Succeeded);
        match state.status {
            SagaStatus::Completed => {
                assert!(state.steps.iter().all(|step| matches!(step.phase, Phase::Succeeded | Phase::Skipped)));
                assert!(state.reason.is_none());
            }
            SagaStatus::Compensated => {
                assert!(!pivot && state.reason.is_some() && state.rewind.is_none());
                for (step, now) in self.definition.steps.iter().zip(&state.steps) {
                    let good = match now.phase {
                        Phase::Succeeded => step.kind == StepKind::Wait,
                        Phase::Interrupted => false,
                        _ => !now.phase.is_open(),
                    };
                    assert!(good, "`{}` is {:?}", step.name, now.phase);
                }
            }
            SagaStatus::Terminated => {}
            SagaStatus::Running | SagaStatus::Compensating | SagaStatus::Stuck => panic!("it still moves"),
        }
    }
}
