//! The check at the door: what a saga may be started with.

use std::collections::BTreeSet;
use std::io;

use amends_schemas::contract::is_plain_name;
use amends_schemas::limits::{NAME_BYTES_MAX, SAGA_INPUT_BYTES_MAX, TAGS_MAX};
use amends_schemas::problem::{FieldError, Problem, ProblemKind, cut};
use serde_json::Value;

use crate::definition::Definition;

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
    let errors: Vec<FieldError> = definition
        .input_check
        .0
        .iter_errors(input)
        .take(FIELD_ERRORS_MAX)
        .map(|error| FieldError {
            pointer: format!("/input{}", error.instance_path()),
            // The value itself stays out: it may be personal, and the caller has it.
            message: cut(error.masked_with("the value").to_string()),
        })
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid("invalid_input", format!("the input is not what {} takes", definition.reference))
        .with_errors(errors))
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
