//! What every list takes and how pages read.

use amends_schemas::limits::{PAGE_DEFAULT, PAGE_MAX};
use serde_json::{Value, json};

use crate::problems::ApiProblem;

/// Longest cursor taken: ours are far shorter.
pub const CURSOR_BYTES_MAX: usize = 1024;

/// A page's bounds, checked.
///
/// # Errors
/// 400 `invalid_query`.
pub fn page(cursor: Option<String>, limit: Option<usize>) -> Result<(Option<String>, usize), ApiProblem> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiProblem::bad_request("invalid_query", format!("limit must be from 1 to {PAGE_MAX}.")));
    }
    if cursor.as_ref().is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX || !cursor.is_ascii()) {
        return Err(ApiProblem::bad_request("invalid_query", "cursor is not one that was given out here."));
    }
    Ok((cursor, limit))
}

/// A list answered by a context as HTTP lists read: a context may answer bare items when it never pages.
pub fn as_page(answer: Value) -> Value {
    match answer {
        Value::Array(items) => json!({"items": items, "next_cursor": null}),
        Value::Object(mut members) => {
            members.entry("next_cursor").or_insert(Value::Null);
            Value::Object(members)
        }
        other => other,
    }
}

/// A question without the members that were not given.
pub fn without_nulls(question: Value) -> Value {
    match question {
        Value::Object(members) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}
