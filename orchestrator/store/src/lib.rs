//! The journal and its view in SurrealDB.
