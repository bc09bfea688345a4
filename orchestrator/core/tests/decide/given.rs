//! What is given to a saga, read from text.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_core::decide::Input;
use amends_schemas::command::{Operation, StepError, StepResult};
use amends_schemas::family::ParentLink;
use amends_schemas::operate::{OperateSaga, OperatorAct, Resolution};
use amends_schemas::problem::Problem;
use amends_schemas::signal::SignalSaga;
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::check::{Run, parent, saga_id};

impl Run {
    pub fn input(&self, words: &[&str]) -> Input {
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
                ["unknown", code] => StepResult::Unknown { error: error(code) },
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

pub fn seconds(word: &str) -> Option<TimeDelta> {
    let number: f64 = word.strip_suffix('s')?.parse().ok()?;
    TimeDelta::from_std(Duration::from_secs_f64(number)).ok()
}
