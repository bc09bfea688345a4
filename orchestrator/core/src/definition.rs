//! A saga definition, read and checked: the domain twin of the YAML document.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amends_schemas::contract::{Contract, ContractName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::mapping::Mapping;

/// Names a definition for ever: its content hash is pinned into each saga that runs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DefinitionRef {
    /// Its name.
    pub name: Arc<str>,
    /// Its version, from one.
    pub version: u32,
    /// Lower-case hex SHA-256 of its canonical content: comments and layout do not count.
    pub hash: Arc<str>,
}

impl fmt::Display for DefinitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A checked definition. Immutable.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name, version and hash.
    pub reference: DefinitionRef,
    /// One line for people.
    pub title: String,
    /// JSON Schema of the input.
    pub input: Value,
    /// The same, compiled once.
    pub input_check: InputCheck,
    /// From acceptance; passing it before the pivot compensates, after it nothing.
    pub deadline: Option<Duration>,
    /// In order; at most [`amends_schemas::limits::STEPS_MAX`].
    pub steps: Vec<Step>,
    /// What a completed saga answers.
    pub output: Mapping,
    /// What cancelling after the pivot starts.
    pub cancel_with: Option<CancelWith>,
    /// The document as it was written.
    pub source: Arc<str>,
}

/// The input's JSON Schema, compiled. Two are equal when their definitions' schemas are, so equality is left to those.
#[derive(Clone)]
pub struct InputCheck(pub(crate) Arc<jsonschema::Validator>);

impl fmt::Debug for InputCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InputCheck")
    }
}

impl PartialEq for InputCheck {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique within the definition.
    pub name: Arc<str>,
    /// The contract it calls.
    pub call: ContractName,
    /// That contract.
    pub contract: Arc<Contract>,
    /// Which promise it makes.
    pub kind: StepKind,
    /// All must hold for it to be taken; none means always.
    pub when: Vec<Condition>,
    /// How its input is made.
    pub input: Mapping,
    /// How amends are made for it.
    pub compensate: Compensate,
    /// Whether the contract has an `undo`. A step that is not compensated may still be barred by it, when a probe found no
    /// trace of it and the saga turns back.
    pub has_undo: bool,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How its `do` is tried again.
    pub retry: RetryPolicy,
    /// What happens when nobody knows whether it happened.
    pub on_unknown: OnUnknown,
}

/// Which promise a step makes; the words of the saga literature (Garcia-Molina and Salem 1987).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Can be undone.
    Compensable,
    /// The point of no return: once it succeeds the saga only goes forward.
    Pivot,
    /// After the pivot: succeeds in the end.
    Retriable,
}

/// A condition on what has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// An earlier step succeeded with one of these outcomes. False when that step was skipped.
    Outcome {
        /// Index of the earlier step.
        step: usize,
        /// Any of these.
        any_of: Vec<String>,
    },
    /// An enumerated field of the input equals one of these values.
    Input {
        /// JSON Pointer into the input (without `/input`).
        pointer: String,
        /// Any of these.
        any_of: Vec<Value>,
    },
}

/// How amends are made.
#[derive(Debug, Clone, PartialEq)]
pub enum Compensate {
    /// The contract's `undo`, with a timeout and a retry budget of its own.
    Undo {
        /// How long one attempt may take.
        timeout: Duration,
        /// Its own budget.
        retry: RetryPolicy,
    },
    /// Nothing is undone, and the document says why that is right.
    Waived {
        /// The written reason.
        reason: String,
    },
    /// Not applicable: pivots and what follows them.
    None,
}

/// How often and how fast something is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Tries in all, the first included; at least one.
    pub attempts: u32,
    /// Before the second try.
    pub backoff: Duration,
    /// Each wait is this much longer than the last.
    pub factor: f64,
    /// No wait is longer.
    pub max_backoff: Duration,
    /// Up to this share of a wait is taken off at random, so that many sagas do not come back at once; 0 to 1.
    pub jitter: f64,
    /// Only these error codes are tried again; empty means every error the worker calls retriable.
    pub only: Vec<String>,
}

/// How long one attempt may take when the definition does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Tries when the definition does not say: of a step before or at the pivot, where giving up makes amends.
pub const DEFAULT_ATTEMPTS: u32 = 10;

/// Tries when the definition does not say: of an undo, or of a step after the pivot, where giving up needs a person. With
/// the default backoff this is the better part of an hour.
pub const DEFAULT_ATTEMPTS_LASTING: u32 = 100;

/// The wait before the second try when the definition does not say.
pub const DEFAULT_BACKOFF: Duration = Duration::from_millis(200);

/// How much longer each wait is than the last when the definition does not say.
pub const DEFAULT_FACTOR: f64 = 2.0;

/// The longest wait when the definition does not say.
pub const DEFAULT_MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The share of a wait taken off at random when the definition does not say.
pub const DEFAULT_JITTER: f64 = 0.2;

impl RetryPolicy {
    /// What holds where the definition says nothing.
    pub const fn with_attempts(attempts: u32) -> Self {
        Self {
            attempts,
            backoff: DEFAULT_BACKOFF,
            factor: DEFAULT_FACTOR,
            max_backoff: DEFAULT_MAX_BACKOFF,
            jitter: DEFAULT_JITTER,
            only: Vec::new(),
        }
    }
}

/// What happens when an attempt's end is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// The same again under the same idempotency key.
    Retry,
    /// Ask the contract's probe first.
    Probe,
    /// Put it before a person.
    Ask,
}

/// What cancelling after the pivot starts.
#[derive(Debug, Clone, PartialEq)]
pub struct CancelWith {
    /// Name of the forward saga; its newest version at that time.
    pub saga: String,
    /// Its input; may also point into `/cancel` (`requested_at`, `reason`, `by`).
    pub input: Mapping,
}

impl Definition {
    /// The step's place, by name.
    pub fn step_index(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| &*step.name == name)
    }
}

/// The definitions known to a process, every version of each.
#[derive(Debug, Clone, Default)]
pub struct DefinitionLibrary {
    by_name: BTreeMap<String, BTreeMap<u32, Arc<Definition>>>,
}

impl DefinitionLibrary {
    /// Adds one. Adding the same content again changes nothing.
    ///
    /// # Errors
    /// The definition already known under this name and version, when its content differs.
    pub fn add(&mut self, definition: Definition) -> Result<Arc<Definition>, Arc<Definition>> {
        let versions = self.by_name.entry(definition.reference.name.to_string()).or_default();
        if let Some(known) = versions.get(&definition.reference.version) {
            return if known.reference.hash == definition.reference.hash {
                Ok(Arc::clone(known))
            } else {
                Err(Arc::clone(known))
            };
        }
        let definition = Arc::new(definition);
        versions.insert(definition.reference.version, Arc::clone(&definition));
        Ok(definition)
    }

    /// One version, or the newest.
    pub fn find(&self, name: &str, version: Option<u32>) -> Option<&Arc<Definition>> {
        let versions = self.by_name.get(name)?;
        match version {
            Some(version) => versions.get(&version),
            None => versions.last_key_value().map(|(_, definition)| definition),
        }
    }

    /// The very definition a saga was started on; `None` when this binary lacks it or has other content.
    pub fn resolve(&self, reference: &DefinitionRef) -> Option<&Arc<Definition>> {
        self.find(&reference.name, Some(reference.version)).filter(|found| found.reference.hash == reference.hash)
    }

    /// All, by name and version.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.by_name.values().flat_map(BTreeMap::values)
    }
}
