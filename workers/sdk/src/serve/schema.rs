//! Inputs and outputs checked against a contract's JSON Schemas.

use jsonschema::Validator;
use serde_json::Value;

/// Most violations that are told; the first few are what a person fixes.
const VIOLATIONS_MAX: usize = 8;

/// Says where `value` breaks the schema, as JSON Pointers with the rule that is broken; `None` when it does not. The values
/// themselves are not repeated: this text is stored and logged.
pub(crate) fn violations(validator: &Validator, value: &Value) -> Option<String> {
    if validator.is_valid(value) {
        return None;
    }
    let told: Vec<String> = validator
        .iter_errors(value)
        .take(VIOLATIONS_MAX)
        .map(|error| {
            let pointer = error.instance_path().to_string();
            let pointer = if pointer.is_empty() { "/".to_owned() } else { pointer };
            format!("{pointer}: {}", error.masked())
        })
        .collect();
    Some(told.join("; "))
}
