//! The check at the door: what a saga may be started with.

use std::collections::BTreeSet;
use std::io;

use amends_schemas::contract::{Contract, is_plain_name};
use amends_schemas::limits::{NAME_BYTES_MAX, SAGA_INPUT_BYTES_MAX, STEP_OUTPUT_BYTES_MAX, TAGS_MAX};
use amends_schemas::problem::{FieldError, Problem, ProblemKind, cut};
use serde_json::Value;

use crate::definition::{Action, Await, Definition};

/// Most places named in one refusal: enough to mend a request, too few to flood whoever reads it.
pub const FIELD_ERRORS_MAX: usize = 20;

/// Checks a saga's input against the definition's JSON Schema, formats included, and its tags against their bounds. Pointers
/// in the answer lead into a [`StartSaga`](amends_schemas::saga::StartSaga).
///
/// # Errors
/// `input_too_large`, `invalid_input` or `invalid_tags`.
pub fn accept(definition: &Definition, input: &Value, tags: &BTreeSet<String>) -> Result<(), Problem> {
    let bytes = json_bytes(input);
    if bytes > SAGA_INPUT_BYTES_MAX {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            "input_too_large",
            format!(
                "the input has {bytes} bytes; at most {SAGA_INPUT_BYTES_MAX} are taken: pass large documents by reference"
            ),
        ));
    }
    check_tags(tags)?;
    let errors = field_errors(&definition.input_check.0, "/input", input);
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid("invalid_input", format!("the input is not what {} takes", definition.reference))
        .with_errors(errors))
}

/// Checks what an operator says that a step returned against the step's contract, as its worker's answer would have been.
///
/// # Errors
/// `invalid_outcome`, `invalid_output` or `output_too_large`.
pub fn check_result(contract: &Contract, outcome: Option<&str>, output: &Value) -> Result<(), Problem> {
    one_of(&contract.contract.to_string(), &contract.outcomes, outcome)?;
    let bytes = json_bytes(output);
    if bytes > STEP_OUTPUT_BYTES_MAX {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            "output_too_large",
            format!("the output has {bytes} bytes; at most {STEP_OUTPUT_BYTES_MAX} are taken"),
        ));
    }
    let errors = field_errors(&compiled(contract, &contract.output)?, "/output", output);
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid("invalid_output", format!("the output is not what {} returns", contract.contract))
        .with_errors(errors))
}

/// Checks the outcome that an operator gives a step which calls no contract.
///
/// # Errors
/// `invalid_outcome`.
pub fn check_outcome(action: &Action, outcome: Option<&str>) -> Result<(), Problem> {
    one_of("this step", &action.outcomes(), outcome)
}

/// Checks the input that an operator gives a step instead of the one its definition makes. Null is none.
///
/// # Errors
/// `invalid_input` or `input_too_large`.
pub fn check_call_input(contract: &Contract, input: &Value) -> Result<(), Problem> {
    let bytes = json_bytes(input);
    if bytes > SAGA_INPUT_BYTES_MAX {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            "input_too_large",
            format!("the input has {bytes} bytes; at most {SAGA_INPUT_BYTES_MAX} are taken"),
        ));
    }
    let errors = field_errors(&compiled(contract, &contract.input)?, "/input", input);
    if errors.is_empty() && !input.is_null() {
        return Ok(());
    }
    Err(Problem::invalid("invalid_input", format!("the input is not what {} takes", contract.contract))
        .with_errors(errors))
}

/// Checks a signal against the step that waits for it. Pointers in the answer lead into a
/// [`SignalSaga`](amends_schemas::signal::SignalSaga).
///
/// # Errors
/// `invalid_outcome`, `invalid_signal` or `signal_too_large`.
pub fn check_signal(awaited: &Await, outcome: Option<&str>, data: &Value) -> Result<(), Problem> {
    one_of(&format!("the signal `{}`", awaited.signal), &awaited.outcomes, outcome)?;
    let bytes = json_bytes(data);
    if bytes > STEP_OUTPUT_BYTES_MAX {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            "signal_too_large",
            format!("the data has {bytes} bytes; at most {STEP_OUTPUT_BYTES_MAX} are taken"),
        ));
    }
    let errors = field_errors(&awaited.check.0, "/data", data);
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid("invalid_signal", format!("the data is not what the signal `{}` brings", awaited.signal))
        .with_errors(errors))
}

fn one_of(what: &str, outcomes: &[String], outcome: Option<&str>) -> Result<(), Problem> {
    let known = match outcome {
        Some(outcome) => outcomes.iter().any(|declared| declared == outcome),
        None => outcomes.is_empty(),
    };
    if known {
        return Ok(());
    }
    let message = if outcomes.is_empty() {
        format!("{what} has but one outcome; leave it out")
    } else {
        format!("the outcome of {what} is one of: {}", outcomes.join(", "))
    };
    Err(Problem::invalid("invalid_outcome", message))
}

fn compiled(contract: &Contract, schema: &Value) -> Result<jsonschema::Validator, Problem> {
    jsonschema::validator_for(schema)
        .map_err(|error| Problem::internal("bad_schema", format!("{}: {error}", contract.contract)))
}

/// Where a value breaks a schema. The value itself stays out: it may be personal, and the caller has it.
fn field_errors(validator: &jsonschema::Validator, root: &str, value: &Value) -> Vec<FieldError> {
    validator
        .iter_errors(value)
        .take(FIELD_ERRORS_MAX)
        .map(|error| FieldError {
            pointer: format!("{root}{}", error.instance_path()),
            message: cut(error.masked_with("the value").to_string()),
        })
        .collect()
}

fn check_tags(tags: &BTreeSet<String>) -> Result<(), Problem> {
    if tags.len() > TAGS_MAX {
        return Err(Problem::invalid(
            "invalid_tags",
            format!("{} tags were given; at most {TAGS_MAX} are taken", tags.len()),
        ));
    }
    let errors: Vec<FieldError> = tags
        .iter()
        .enumerate()
        .filter(|(_, tag)| !is_plain_name(tag))
        .map(|(place, _)| FieldError {
            pointer: format!("/tags/{place}"),
            message: format!(
                "a tag is made of lower-case letters, digits, `-` and `_`, starts with a letter and has at most \
                 {NAME_BYTES_MAX} bytes"
            ),
        })
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid("invalid_tags", "a tag is not well formed").with_errors(errors))
    }
}

/// The size of a value as JSON, without writing it anywhere.
fn json_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail, and a `Value` always serialises; were it otherwise it would not be taken.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}
