//! SurrealDB behind one small door: opened embedded or remote by URL, every commit on disk before it counts, errors told
//! apart by what a caller can do.
//!
//! Values cross as JSON through serde, so that repositories hold nothing but SurrealQL and their own types.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Where a database lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine, opened by this process alone, with `sync=every`.
    Embedded(PathBuf),
    /// A SurrealDB server, `ws://` or `wss://`.
    Remote {
        /// Its address.
        url: String,
        /// Who signs in, if anybody.
        username: Option<String>,
        /// With which password.
        password: Option<String>,
    },
}

/// One database of one namespace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    inner: surrealdb::Surreal<surrealdb::engine::any::Any>,
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Another transaction got in between: run the whole transaction again.
    Conflict,
    /// A record with this id, or this value of a unique index, exists.
    AlreadyExists,
    /// The server cannot be reached, or is shutting down: try later.
    Unavailable,
    /// The folder is opened by another process.
    Locked,
    /// A statement or a value that cannot be right: our own mistake.
    Bug,
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
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
}

impl Database {
    /// Opens it, creating what is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when another process has the folder; [`ErrorKind::Unavailable`] for a silent server.
    pub async fn open(_location: &Location, _namespace: &str, _database: &str) -> Result<Self, DatabaseError> {
        unimplemented!()
    }

    /// Runs statements, each its own transaction, outside any other.
    ///
    /// `bindings` is a map of names to values (`json!({…})` or a struct).
    ///
    /// # Errors
    /// The first statement's that fails.
    pub async fn query(&self, _statements: &str, _bindings: impl Serialize + Send) -> Result<Rows, DatabaseError> {
        unimplemented!()
    }

    /// Begins a transaction. Dropped without commit it leaves nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`].
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        unimplemented!()
    }

    /// The client itself, for what JSON cannot carry (the journal's bytes).
    pub fn client(&self) -> &surrealdb::Surreal<surrealdb::engine::any::Any> {
        &self.inner
    }
}

/// A transaction: all of it, or nothing.
#[derive(Debug)]
pub struct Transaction {}

impl Transaction {
    /// Runs statements within it.
    ///
    /// # Errors
    /// As [`Database::query`]; after an error the transaction is to be dropped.
    pub async fn query(&self, _statements: &str, _bindings: impl Serialize + Send) -> Result<Rows, DatabaseError> {
        unimplemented!()
    }

    /// Makes it so, fsynced when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when another transaction got in between.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        unimplemented!()
    }

    /// Leaves nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`]; it is gone all the same.
    pub async fn cancel(self) -> Result<(), DatabaseError> {
        unimplemented!()
    }
}

/// What statements answered.
#[derive(Debug)]
pub struct Rows {}

impl Rows {
    /// All rows of one statement, counted from zero.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] when they do not have the shape of `T`.
    pub fn take<T: DeserializeOwned>(&mut self, _statement: usize) -> Result<Vec<T>, DatabaseError> {
        unimplemented!()
    }

    /// The first row of one statement, if any.
    ///
    /// # Errors
    /// As [`Rows::take`].
    pub fn take_first<T: DeserializeOwned>(&mut self, _statement: usize) -> Result<Option<T>, DatabaseError> {
        unimplemented!()
    }
}
