//! The two kinds of clients, an embedded engine's and a server's, behind one set of calls.

use surrealdb::engine::any::Any;
use surrealdb::engine::local::Db;
use surrealdb::types::{Error, Variables};
use surrealdb::{IndexedResults, Surreal, method};

/// A session on an engine.
#[derive(Debug, Clone)]
pub(crate) enum Client {
    Embedded(Surreal<Db>),
    Server(Surreal<Any>),
}

/// A transaction on one.
#[derive(Debug)]
pub(crate) enum Begun {
    Embedded(method::Transaction<Db>),
    Server(method::Transaction<Any>),
}

impl Client {
    pub(crate) async fn query(&self, statements: &str, bindings: Variables) -> Result<IndexedResults, Error> {
        match self {
            Self::Embedded(client) => client.query(statements).bind(bindings).await,
            Self::Server(client) => client.query(statements).bind(bindings).await,
        }
    }

    pub(crate) async fn begin(self) -> Result<Begun, Error> {
        match self {
            Self::Embedded(client) => client.begin().await.map(Begun::Embedded),
            Self::Server(client) => client.begin().await.map(Begun::Server),
        }
    }
}

impl Begun {
    pub(crate) async fn query(&self, statements: &str, bindings: Variables) -> Result<IndexedResults, Error> {
        match self {
            Self::Embedded(transaction) => transaction.query(statements).bind(bindings).await,
            Self::Server(transaction) => transaction.query(statements).bind(bindings).await,
        }
    }

    pub(crate) async fn commit(self) -> Result<Client, Error> {
        match self {
            Self::Embedded(transaction) => transaction.commit().await.map(Client::Embedded),
            Self::Server(transaction) => transaction.commit().await.map(Client::Server),
        }
    }

    pub(crate) async fn cancel(self) -> Result<Client, Error> {
        match self {
            Self::Embedded(transaction) => transaction.cancel().await.map(Client::Embedded),
            Self::Server(transaction) => transaction.cancel().await.map(Client::Server),
        }
    }
}
