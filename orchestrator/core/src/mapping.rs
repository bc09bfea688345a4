//! How values are made from what a saga knows: JSON Pointers, literals and nothing cleverer.
//!
//! In a document a string that starts with `/` is a pointer, `{const: …}` is taken as it stands, a map is mapped member by
//! member, and every other value is itself. What a pointer does not find is left out of the map it stands in.
//!
//! Pointers start at `/input`, `/steps/<name>/output`, `/steps/<name>/outcome`, `/saga/id`, `/saga/started_at` and, in
//! `cancel_with` only, `/cancel`.

use std::collections::BTreeMap;

use serde_json::Value;

/// How one value is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Mapping {
    /// Taken as it stands.
    Literal(Value),
    /// Looked up.
    Pointer(Pointer),
    /// Member by member; members that find nothing are left out.
    Object(BTreeMap<String, Mapping>),
    /// Item by item; items that find nothing become null, so that places stay.
    Array(Vec<Mapping>),
}

/// Where a value is looked up. `rest` is a JSON Pointer (RFC 6901) within the root, empty for all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pointer {
    /// The saga's input.
    Input {
        /// Within it.
        rest: String,
    },
    /// An earlier step's output.
    Output {
        /// The step's index.
        step: usize,
        /// Within it.
        rest: String,
    },
    /// An earlier step's outcome.
    Outcome {
        /// The step's index.
        step: usize,
    },
    /// The saga's id.
    SagaId,
    /// When it was accepted.
    SagaStartedAt,
    /// The request to cancel.
    Cancel {
        /// Within it.
        rest: String,
    },
}
