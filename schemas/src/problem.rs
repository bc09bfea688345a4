//! Errors that cross a wire: one shape for NATS answers and, with a status code added by the API, for HTTP.

use serde::{Deserialize, Serialize};

use crate::limits::ERROR_TEXT_BYTES_MAX;

/// What a caller can do about a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request is malformed or breaks a rule; the same request will always fail.
    Invalid,
    /// What is named does not exist.
    NotFound,
    /// The state of things does not allow it now, or the same idempotency key came with another body.
    Conflict,
    /// The request is larger than a bound.
    TooLarge,
    /// The caller is not who it must be (a forged signature).
    Forbidden,
    /// Nobody can answer at the moment; the same request may be sent again.
    Unavailable,
    /// Our own fault.
    Internal,
}

/// A refusal, with a stable `code` for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Problem {
    /// What the caller can do about it.
    pub kind: ProblemKind,
    /// Stable, in `snake_case`; documented, never reworded.
    pub code: String,
    /// A sentence for people, which says what to do instead where it can.
    pub message: String,
    /// Where in the request the trouble lies, as JSON Pointers with a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One offending place in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON Pointer into the request body.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

impl Problem {
    /// The code of a saga whose definition this binary lacks.
    pub const DEFINITION_MISSING: &str = "definition_missing";
    /// The code of a saga that a newer version wrote.
    pub const RECORD_UNREAD: &str = "record_unread";
    /// The code of a definition that cannot be started because this binary lacks a contract of it.
    pub const CONTRACT_MISSING: &str = "contract_missing";

    /// A problem of any kind.
    pub fn new(kind: ProblemKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: cut(message.into()), errors: Vec::new() }
    }

    /// The request will never succeed as it is.
    pub fn invalid(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ProblemKind::Invalid, code, message)
    }

    /// What is named does not exist.
    pub fn not_found(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, code, message)
    }

    /// Not in this state.
    pub fn conflict(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ProblemKind::Conflict, code, message)
    }

    /// Try the same again later.
    pub fn unavailable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unavailable, code, message)
    }

    /// Our own fault; details belong in the log, not in `message`.
    pub fn internal(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ProblemKind::Internal, code, message)
    }

    /// Whether asking again may bring another answer before anybody does anything. Not where another binary has to come first: the saga is
    /// parked, or the definition that is to be started cannot be run.
    pub fn may_pass(&self) -> bool {
        self.kind == ProblemKind::Unavailable && !self.is_parked() && self.code != Self::CONTRACT_MISSING
    }

    /// Whether the saga is there, but parked: this binary lacks its definition, or a newer one wrote it.
    pub fn is_parked(&self) -> bool {
        [Self::DEFINITION_MISSING, Self::RECORD_UNREAD].contains(&self.code.as_str())
    }

    /// The same problem, with the offending places named.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }
}

/// Cuts a text to [`ERROR_TEXT_BYTES_MAX`] at a character boundary.
pub fn cut(mut text: String) -> String {
    if text.len() > ERROR_TEXT_BYTES_MAX {
        let end = (0..=ERROR_TEXT_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// An answer over NATS: the value asked for, or a problem. On the wire `{"ok": …}` or `{"error": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// What was asked for.
    Ok(T),
    /// Why not.
    Error(Problem),
}

impl<T> From<Result<T, Problem>> for Answer<T> {
    fn from(result: Result<T, Problem>) -> Self {
        match result {
            Ok(value) => Answer::Ok(value),
            Err(problem) => Answer::Error(problem),
        }
    }
}

impl<T> From<Answer<T>> for Result<T, Problem> {
    fn from(answer: Answer<T>) -> Self {
        match answer {
            Answer::Ok(value) => Ok(value),
            Answer::Error(problem) => Err(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_two_shapes() {
        let ok: Answer<u8> = Ok(1).into();
        assert_eq!(serde_json::to_string(&ok).expect("json"), r#"{"ok":1}"#);
        let error: Answer<u8> = Err(Problem::not_found("saga_not_found", "no such saga")).into();
        assert_eq!(
            serde_json::to_string(&error).expect("json"),
            r#"{"error":{"kind":"not_found","code":"saga_not_found","message":"no such saga"}}"#
        );
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = cut("é".repeat(ERROR_TEXT_BYTES_MAX));
        assert!(text.len() <= ERROR_TEXT_BYTES_MAX + '…'.len_utf8());
        assert!(text.ends_with('…'));
    }
}
