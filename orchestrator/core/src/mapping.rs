//! How values are made from what a saga knows: JSON Pointers, literals and nothing cleverer.
//!
//! In a document a string that starts with `/` is a pointer, `{const: …}` is taken as it stands, a map is mapped member by
//! member, and every other value is itself. What a pointer does not find is left out of the map it stands in.
//!
//! Pointers start at `/input`, `/steps/<name>/output`, `/steps/<name>/outcome`, `/saga/id`, `/saga/started_at` and, in
//! `cancel_with` only, `/cancel`; in the input of a `for_each`'s children, `/item` and `/index`.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use crate::state::SagaState;

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
    /// Of a `for_each`: the item a child is for.
    Item {
        /// Within it.
        rest: String,
    },
    /// Of a `for_each`: the child's number, from zero.
    Index,
    /// The request to cancel.
    Cancel {
        /// Within it.
        rest: String,
    },
}

impl Mapping {
    /// Maps nothing: an object without members.
    pub const fn empty() -> Self {
        Mapping::Object(BTreeMap::new())
    }

    /// The value this makes of what the saga knows; `None` when a pointer at the top finds nothing.
    pub fn resolve(&self, state: &SagaState) -> Option<Value> {
        self.resolve_for(state, None)
    }

    /// The same for one child of many.
    pub(crate) fn resolve_for(&self, state: &SagaState, each: Option<Each<'_>>) -> Option<Value> {
        match self {
            Mapping::Literal(value) => Some(value.clone()),
            Mapping::Pointer(pointer) => pointer.resolve(state, each),
            Mapping::Object(members) => Some(Value::Object(
                members
                    .iter()
                    .filter_map(|(name, member)| Some((name.clone(), member.resolve_for(state, each)?)))
                    .collect(),
            )),
            Mapping::Array(items) => {
                Some(Value::Array(items.iter().map(|item| item.resolve_for(state, each).unwrap_or_default()).collect()))
            }
        }
    }

    /// What it points at, without a copy; `None` when it is no pointer into the saga's input or a step's output, or finds nothing.
    pub(crate) fn look<'s>(&'s self, state: &'s SagaState) -> Option<&'s Value> {
        match self {
            Mapping::Literal(value) => Some(value),
            Mapping::Pointer(Pointer::Input { rest }) => state.input.pointer(rest),
            Mapping::Pointer(Pointer::Output { step, rest }) => state.steps.get(*step)?.output.as_ref()?.pointer(rest),
            Mapping::Pointer(
                Pointer::Outcome { .. }
                | Pointer::SagaId
                | Pointer::SagaStartedAt
                | Pointer::Item { .. }
                | Pointer::Index
                | Pointer::Cancel { .. },
            )
            | Mapping::Object(_)
            | Mapping::Array(_) => None,
        }
    }
}

/// One child of many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Each<'e> {
    /// Its number.
    pub(crate) index: u32,
    /// The item it is for.
    pub(crate) item: Option<&'e Value>,
}

impl Pointer {
    fn resolve(&self, state: &SagaState, each: Option<Each<'_>>) -> Option<Value> {
        match self {
            Pointer::Item { rest } => each?.item?.pointer(rest).cloned(),
            Pointer::Index => Some(Value::from(each?.index)),
            Pointer::Input { rest } => state.input.pointer(rest).cloned(),
            Pointer::Output { step, rest } => state.steps.get(*step)?.output.as_ref()?.pointer(rest).cloned(),
            Pointer::Outcome { step } => state.steps.get(*step)?.outcome.clone().map(Value::String),
            Pointer::SagaId => Some(Value::String(state.saga_id.to_string())),
            Pointer::SagaStartedAt => Some(Value::String(rfc3339(state.created_at))),
            Pointer::Cancel { rest } => {
                let cancel = state.cancel.as_ref()?;
                match rest.as_str() {
                    "/requested_at" => Some(Value::String(rfc3339(cancel.requested_at))),
                    "/reason" => Some(Value::String(cancel.reason.clone())),
                    "/by" => Some(Value::String(cancel.by.clone())),
                    _ => None,
                }
            }
        }
    }
}

/// A time as it stands in values and sentences: RFC 3339, UTC, no more digits than needed.
pub(crate) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
