//! What may happen next: an input that fits the state, or any other.

use amends_core::decide::{Input, child_request, next_wakeup};
use amends_core::definition::Action;
use amends_core::state::Phase;
use amends_schemas::command::{Operation, StepError, StepResult};
use amends_schemas::family::{ChildEnded, ParentLink};
use amends_schemas::operate::{OperateSaga, OperatorAct, Resolution};
use amends_schemas::problem::Problem;
use amends_schemas::saga::SagaStatus;
use amends_schemas::signal::SignalSaga;
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::definitions::{Choices, saga_id};
use crate::watched::Watched;

const OPERATIONS: [Operation; 3] = [Operation::Do, Operation::Undo, Operation::Probe];

fn error() -> StepError {
    StepError::new("test", "A test's.")
}

fn result(choices: &mut Choices<'_>) -> StepResult {
    match choices.of(16) {
        0..=8 => StepResult::Succeeded { outcome: None, output: json!({"x": 1}) },
        9 => StepResult::Failed { error: error() },
        10..=12 => StepResult::Retry { error: error(), after_ms: Some(100) },
        13 | 14 => StepResult::Unknown { error: error() },
        _ => StepResult::NotHappened,
    }
}

impl Watched {
    /// One thing happens.
    pub fn happen(&mut self, choices: &mut Choices<'_>) {
        let input = match choices.of(24) {
            0..=6 => self.answer(choices),
            7..=9 => {
                if let Some(at) = next_wakeup(&self.state) {
                    self.now = self.now.max(at);
                }
                Some(Input::TimeReached)
            }
            10 => {
                self.now += TimeDelta::seconds(choices.of(12) as i64);
                Some(Input::TimeReached)
            }
            11..=14 => self.child(choices),
            15 => Some(Input::Admitted { step: choices.of(self.definition.steps.len() + 1) }),
            16 => Some(self.signal(choices)),
            17 if !choices.one_in(4) => self.child(choices),
            17 => Some(Input::Cancel {
                by: "ann".to_owned(),
                reason: "why not".to_owned(),
                parent: choices.one_in(2).then(|| ParentLink {
                    saga_id: saga_id(),
                    step: "up".to_owned(),
                    child: 0,
                    operation: Operation::Undo,
                }),
            }),
            18..=20 => Some(Input::Operate(self.operation(choices))),
            21 => Some(self.stray(choices)),
            22 => Some(Input::ForwardCancellationAnswered {
                result: if choices.one_in(2) { Ok(()) } else { Err(Problem::unavailable("later", "later")) },
            }),
            _ => Some(Input::ParentTold),
        };
        if let Some(input) = input {
            self.give(input);
        }
    }

    /// To one of those in flight.
    fn answer(&mut self, choices: &mut Choices<'_>) -> Option<Input> {
        let in_flight = self.steps(|phase| matches!(phase, Phase::InFlight { .. } | Phase::Queued { .. }));
        let &step = in_flight.get(choices.of(in_flight.len()))?;
        let operation = match self.state.steps[step].phase {
            Phase::Queued { .. } => return Some(Input::Admitted { step }),
            Phase::InFlight { operation, .. } => operation,
            _ => return None,
        };
        let result = result(choices);
        let attempt = self.state.steps[step].attempts.of(operation);
        let attempt = if choices.one_in(6) { attempt.saturating_sub(1).max(1) } else { attempt };
        Some(Input::Reply { step: self.definition.steps[step].name.to_string(), operation, attempt, result })
    }

    /// The end of one of those at work or being cancelled, or a refusal.
    fn child(&mut self, choices: &mut Choices<'_>) -> Option<Input> {
        let mut at_work = Vec::new();
        for (step, now) in self.state.steps.iter().enumerate() {
            let Some(children) = &now.children else { continue };
            at_work.extend(children.running.iter().map(|child| (step, *child, Operation::Do)));
            at_work.extend(children.undoing.iter().map(|child| (step, *child, Operation::Undo)));
            // A child at work that is being cancelled may be cancelled forward before its own end is told.
            let cancelled = children.running.iter().filter(|_| children.cancelled);
            at_work.extend(cancelled.map(|child| (step, *child, Operation::Undo)));
        }
        let &(step, child, operation) = at_work.get(choices.of(at_work.len()))?;
        let status = match choices.of(8) {
            0..=4 => SagaStatus::Completed,
            5 => SagaStatus::Compensated,
            6 => SagaStatus::Terminated,
            _ => {
                let problem = if choices.one_in(3) {
                    Problem::unavailable("later", "later")
                } else {
                    Problem::conflict("refused", "no")
                };
                return Some(Input::ChildRefused { step, child, operation, problem });
            }
        };
        self.child_input(step, child, operation, status)
    }

    /// What a child's owner, or that of the saga that cancels it, tells.
    pub fn child_input(&self, step: usize, child: u32, operation: Operation, status: SagaStatus) -> Option<Input> {
        let id = child_request(&self.definition, &self.state, step, child)?.saga_id;
        Some(Input::ChildEnded(ChildEnded {
            parent: ParentLink {
                saga_id: saga_id(),
                step: self.definition.steps[step].name.to_string(),
                child,
                operation,
            },
            saga_id: if operation == Operation::Undo { id.forward_cancellation() } else { id },
            status,
            output: json!({"x": child}),
            error: None,
        }))
    }

    fn signal(&mut self, choices: &mut Choices<'_>) -> Input {
        let names: Vec<String> = self
            .definition
            .steps
            .iter()
            .filter_map(|step| match &step.action {
                Action::Await(awaited) => Some(awaited.signal.to_string()),
                Action::Call(_) | Action::Sleep(_) | Action::Children(_) => None,
            })
            .collect();
        let name = names.get(choices.of(names.len() + 1)).cloned().unwrap_or_else(|| "nobody".to_owned());
        Self::signal_input(&name, choices.of(2) as u128)
    }

    pub fn signal_input(name: &str, id: u128) -> Input {
        Input::Signal(SignalSaga {
            saga_id: saga_id(),
            signal: name.to_owned(),
            signal_id: Uuid::from_u128(id),
            outcome: None,
            data: Value::Null,
            by: "ann".to_owned(),
        })
    }

    pub fn operation_input(&mut self, act: OperatorAct) -> OperateSaga {
        self.operations += 1;
        OperateSaga {
            saga_id: saga_id(),
            operation_id: Uuid::from_u128(self.operations),
            by: "ann".to_owned(),
            reason: "why not".to_owned(),
            act,
        }
    }

    fn operation(&mut self, choices: &mut Choices<'_>) -> OperateSaga {
        let verb = choices.of(16);
        let back = (5..=8).contains(&verb);
        // Mostly one that it can be done to.
        let fitting = match choices.one_in(4) {
            true => (0..self.definition.steps.len()).collect(),
            false if back => self.steps(|phase| !matches!(phase, Phase::Pending)),
            false => self.steps(Phase::is_open),
        };
        let step = fitting.get(choices.of(fitting.len() + 1)).map(|step| self.definition.steps[*step].name.to_string());
        let act = match verb {
            0 => OperatorAct::Pause,
            1 | 2 => OperatorAct::Resume,
            3 | 4 => OperatorAct::Retry { step },
            5..=8 => OperatorAct::RetryFrom { step: step.unwrap_or_else(|| "s0".to_owned()) },
            9..=11 => OperatorAct::EditInput { step, input: json!({"at": "later"}) },
            12 => OperatorAct::Skip { step },
            13 => OperatorAct::Resolve { step, resolution: Resolution::Failed { error: None } },
            14 => {
                OperatorAct::Resolve { step, resolution: Resolution::Succeeded { outcome: None, output: Value::Null } }
            }
            _ => OperatorAct::Terminate { force: choices.one_in(3) },
        };
        self.operation_input(act)
    }

    /// Anything to anybody.
    fn stray(&mut self, choices: &mut Choices<'_>) -> Input {
        let step = choices.of(self.definition.steps.len());
        let operation = OPERATIONS[choices.of(3)];
        match self.definition.steps[step].children() {
            Some(_) => self
                .child_input(step, choices.of(5) as u32, operation, SagaStatus::Completed)
                .unwrap_or(Input::TimeReached),
            None => Input::Reply {
                step: self.definition.steps[step].name.to_string(),
                operation,
                attempt: 1,
                result: StepResult::Succeeded { outcome: None, output: Value::Null },
            },
        }
    }
}
