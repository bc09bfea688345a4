//! What statements answer.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use surrealdb::IndexedResults;
use surrealdb::types::{Error, QueryError, Value};

use crate::error::{DatabaseError, without_values};

/// What statements answered.
#[derive(Debug)]
pub struct Rows {
    results: BTreeMap<usize, Value>,
}

impl Rows {
    /// Fails with the error that made statements fail, not with that of a statement which merely was not run because of it.
    pub(crate) fn from_results(mut results: IndexedResults) -> Result<Self, DatabaseError> {
        let errors: BTreeMap<usize, Error> = results.take_errors().into_iter().collect();
        let cause = errors.values().find(|error| !is_consequence(error)).or_else(|| errors.values().next());
        if let Some(cause) = cause {
            return Err(cause.clone().into());
        }
        let statement_count = results.num_statements();
        let mut values = BTreeMap::new();
        for statement in 0..statement_count {
            values.insert(statement, results.take::<Value>(statement)?);
        }
        Ok(Self { results: values })
    }

    /// All rows of one statement, counted from zero. A single value is one row, `NONE` and `NULL` are no row. Taken rows are
    /// gone.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](crate::ErrorKind::Bug) when they do not have the shape of `T`, or there is no such statement.
    pub fn take<T: DeserializeOwned>(&mut self, statement: usize) -> Result<Vec<T>, DatabaseError> {
        self.take_values(statement)?.into_iter().map(|row| from_value(statement, row)).collect()
    }

    /// As [`Rows::take`], as SurrealDB's own values.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](crate::ErrorKind::Bug) when there is no such statement.
    pub fn take_values(&mut self, statement: usize) -> Result<Vec<Value>, DatabaseError> {
        Ok(match self.remove(statement)? {
            Value::None | Value::Null => Vec::new(),
            Value::Array(rows) => rows.into_iter().collect(),
            single => vec![single],
        })
    }

    /// The first row of one statement, if any.
    ///
    /// # Errors
    /// As [`Rows::take`].
    pub fn take_first<T: DeserializeOwned>(&mut self, statement: usize) -> Result<Option<T>, DatabaseError> {
        let row = match self.remove(statement)? {
            Value::None | Value::Null => None,
            Value::Array(rows) => rows.into_iter().next(),
            single => Some(single),
        };
        row.map(|row| from_value(statement, row)).transpose()
    }

    /// How many statements answered. Inside `BEGIN … COMMIT` text those two count as well.
    pub fn statement_count(&self) -> usize {
        self.results.len()
    }

    fn remove(&mut self, statement: usize) -> Result<Value, DatabaseError> {
        self.results
            .remove(&statement)
            .ok_or_else(|| DatabaseError::bug(format!("statement {statement} has no rows, or they were taken before")))
    }
}

/// Whether a statement failed only because another did.
fn is_consequence(error: &Error) -> bool {
    matches!(error.query_details(), Some(QueryError::NotExecuted | QueryError::Cancelled))
}

fn from_value<T: DeserializeOwned>(statement: usize, value: Value) -> Result<T, DatabaseError> {
    serde_json::from_value(value.into_json_value()).map_err(|error| {
        DatabaseError::bug(format!(
            "a row of statement {statement} is no {}: {}",
            std::any::type_name::<T>(),
            without_values(&error.to_string())
        ))
    })
}
