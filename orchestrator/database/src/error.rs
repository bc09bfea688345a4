//! Errors, told apart by what a caller can do.

use surrealdb::types::{AuthError, ConnectionError, ErrorDetails, NotAllowedError, NotFoundError, QueryError};

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Another transaction got in between: run the whole transaction again.
    Conflict,
    /// A record with this id, or this value of a unique index, exists.
    AlreadyExists,
    /// The server cannot be reached, or is shutting down: try later. Whether the statement took effect is unknown.
    Unavailable,
    /// The folder is opened by another process.
    Locked,
    /// A statement or a value that cannot be right: our own mistake.
    Bug,
}

/// Why the database did not do it. The text holds no values that callers stored.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct DatabaseError {
    kind: ErrorKind,
    message: String,
}

impl DatabaseError {
    /// What can be done about it.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }
}

impl From<surrealdb::Error> for DatabaseError {
    fn from(error: surrealdb::Error) -> Self {
        Self { kind: classify(&error), message: without_values(error.message()) }
    }
}

/// Told by SurrealDB's details where they reach us, by its text where they do not: committing and opening embedded databases, and
/// unique indexes, answer as `Internal` with nothing but text (surrealdb 3.3.5). The tests of this crate hold each of these.
fn classify(error: &surrealdb::Error) -> ErrorKind {
    let text = error.message();
    match error.details() {
        ErrorDetails::Query(Some(QueryError::TransactionConflict)) => ErrorKind::Conflict,
        ErrorDetails::Query(Some(QueryError::TimedOut { .. })) => ErrorKind::Unavailable,
        ErrorDetails::AlreadyExists(_) => ErrorKind::AlreadyExists,
        ErrorDetails::Connection(Some(ConnectionError::AlreadyConnected)) => ErrorKind::Bug,
        ErrorDetails::Connection(_) => ErrorKind::Unavailable,
        // A session that the server no longer knows, or knows but as nobody: a new one helps.
        ErrorDetails::NotFound(Some(NotFoundError::Session { .. } | NotFoundError::Transaction)) => {
            ErrorKind::Unavailable
        }
        ErrorDetails::NotAllowed(Some(NotAllowedError::Auth(
            AuthError::TokenExpired | AuthError::SessionExpired | AuthError::InvalidAuth,
        ))) => ErrorKind::Unavailable,
        _ if text.contains("Transaction conflict") => ErrorKind::Conflict,
        _ if text.contains("already locked by another process") => ErrorKind::Locked,
        _ if text.contains("already exists") => ErrorKind::AlreadyExists,
        _ if text.starts_with("Database index") && text.contains("already contains") => ErrorKind::AlreadyExists,
        // A disk that is full or gone: a person can mend it, and then the same statement works.
        _ if text.contains("problem with the datastore") || text.contains("problem with a transaction") => {
            ErrorKind::Unavailable
        }
        _ if text.contains("shutting down")
            || text.contains("channel closed")
            || text.contains("no longer available")
            || text.contains("Transaction not found")
            || text.contains("commit outcome is unknown") =>
        {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Bug,
    }
}

/// Takes quoted literals out of a message of SurrealDB or serde: they are what callers stored, and errors reach logs. Names stand in
/// backticks and stay.
pub(crate) fn without_values(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        kept.push(character);
        if matches!(character, '\'' | '"') {
            let mut escaped = false;
            for inner in characters.by_ref() {
                if inner == character && !escaped {
                    break;
                }
                escaped = inner == '\\' && !escaped;
            }
            kept.push('…');
            kept.push(character);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_values_stay_out_of_messages() {
        assert_eq!(
            without_values("Database index `email` already contains 'ada@example.org', with record `user:1`"),
            "Database index `email` already contains '…', with record `user:1`"
        );
        assert_eq!(
            without_values(r#"invalid type: string "a \" b", expected u64"#),
            r#"invalid type: string "…", expected u64"#
        );
    }
}
