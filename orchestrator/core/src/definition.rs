//! A saga definition, read and checked: the domain twin of the YAML document.

mod library;
mod retry;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amends_schemas::contract::{Contract, ContractName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::library::DefinitionLibrary;
pub use self::retry::{
    DEFAULT_ATTEMPTS, DEFAULT_ATTEMPTS_LASTING, DEFAULT_BACKOFF, DEFAULT_FACTOR, DEFAULT_JITTER, DEFAULT_MAX_BACKOFF,
    DEFAULT_TIMEOUT, RetryPolicy,
};
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
    /// In the order of the document, the branches of a `parallel` one after the other; at most
    /// [`amends_schemas::limits::STEPS_MAX`].
    pub steps: Vec<Step>,
    /// How they follow each other.
    pub flow: Vec<Node>,
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

/// A place in the flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// One step, by its index.
    Step(usize),
    /// Branches that run at the same time; what follows waits for all of them.
    Parallel(Vec<Vec<Node>>),
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique within the definition.
    pub name: Arc<str>,
    /// What it does.
    pub action: Action,
    /// Which promise it makes.
    pub kind: StepKind,
    /// All must hold for it to be taken; none means always.
    pub when: Vec<Condition>,
    /// How amends are made for it.
    pub compensate: Compensate,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Calls a contract that workers serve.
    Call(Box<Call>),
    /// Waits for a signal.
    Await(Box<Await>),
    /// Waits for a time.
    Sleep(Sleep),
    /// Starts other sagas and waits for their ends.
    Children(Box<Children>),
}

/// A call of a contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The contract it calls.
    pub name: ContractName,
    /// That contract.
    pub contract: Arc<Contract>,
    /// How its input is made.
    pub input: Mapping,
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

/// A wait for a signal. What the signal says is the step's outcome and output.
#[derive(Debug, Clone, PartialEq)]
pub struct Await {
    /// The signal's name, unique within the definition.
    pub signal: Arc<str>,
    /// What a signal may say that a definition may branch on; empty when there is but one.
    pub outcomes: Vec<String>,
    /// JSON Schema of what comes with it.
    pub schema: Value,
    /// The same, compiled once.
    pub check: InputCheck,
    /// How long it is waited for; `None` is for ever.
    pub timeout: Option<Duration>,
    /// The outcome when it has not come in time; `None` fails the step with `timed_out`.
    pub on_timeout: Option<String>,
}

impl Await {
    /// Every outcome the step may have.
    pub fn all_outcomes(&self) -> Vec<String> {
        let late = self.on_timeout.iter().filter(|outcome| !self.outcomes.contains(outcome));
        self.outcomes.iter().chain(late).cloned().collect()
    }
}

/// A wait for a time.
#[derive(Debug, Clone, PartialEq)]
pub enum Sleep {
    /// So long.
    For(Duration),
    /// Until a time that is looked up when the step is reached: RFC 3339, or a local time in `time_zone`. A time that has passed is no wait.
    Until {
        /// Where the time stands.
        at: Mapping,
        /// An IANA name, for a time without an offset; UTC when absent.
        time_zone: Option<Mapping>,
        /// So much earlier than that.
        before: Duration,
    },
}

/// Sagas that a step starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Children {
    /// Their definition's name.
    pub saga: Arc<str>,
    /// Their definition's version; the newest at that time when absent.
    pub version: Option<u32>,
    /// How their input is made; with `each` it may point at `/item` and `/index`.
    pub input: Mapping,
    /// One child for each of these; `None` is one child.
    pub each: Option<ForEach>,
}

/// One child for each of many.
#[derive(Debug, Clone, PartialEq)]
pub struct ForEach {
    /// A list, or a whole number: so many children, which tell each other apart by `/index`.
    pub items: Mapping,
    /// Most children that run at once; 1 to [`CONCURRENCY_MAX`].
    pub concurrency: u32,
    /// What a child that fails means for the others.
    pub on_failure: OnChildFailure,
}

/// What a child that fails means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnChildFailure {
    /// No more are started, those that run come to their ends, then the step fails.
    Stop,
    /// The others go on; the step succeeds, and its outcome says whether all did.
    Continue,
    /// No more are started, those that run are cancelled, then the step fails.
    Compensate,
}

/// Outcome of a `for_each` that goes on whatever fails, when all children completed.
pub const OUTCOME_ALL: &str = "all";

/// Outcome of a `for_each` that goes on whatever fails, when some children did not complete.
pub const OUTCOME_SOME: &str = "some";

/// Children that run at once when the definition does not say.
pub const DEFAULT_CONCURRENCY: u32 = 10;

/// Most children of one step that run at once: each is asked about again when an orchestrator restarts.
pub const CONCURRENCY_MAX: u32 = 1_000;

/// Most children of one step.
pub const CHILDREN_MAX: u32 = 100_000;

impl Step {
    /// The call, if it is one.
    pub fn call(&self) -> Option<&Call> {
        match &self.action {
            Action::Call(call) => Some(call),
            Action::Await(_) | Action::Sleep(_) | Action::Children(_) => None,
        }
    }

    /// The children, if it starts any.
    pub fn children(&self) -> Option<&Children> {
        match &self.action {
            Action::Children(children) => Some(children),
            Action::Call(_) | Action::Await(_) | Action::Sleep(_) => None,
        }
    }
}

impl Action {
    /// As it stands in documents and answers.
    pub fn as_str(&self) -> &'static str {
        match self {
            Action::Call(_) => "call",
            Action::Await(_) => "await",
            Action::Sleep(_) => "sleep",
            Action::Children(children) if children.each.is_some() => "for_each",
            Action::Children(_) => "saga",
        }
    }

    /// The outcomes a definition may branch on; empty when there is but one.
    pub fn outcomes(&self) -> Vec<String> {
        match self {
            Action::Call(call) => call.contract.outcomes.clone(),
            Action::Await(signal) => signal.all_outcomes(),
            Action::Sleep(_) => Vec::new(),
            Action::Children(children) => match &children.each {
                Some(ForEach { on_failure: OnChildFailure::Continue, .. }) => {
                    vec![OUTCOME_ALL.to_owned(), OUTCOME_SOME.to_owned()]
                }
                Some(_) | None => Vec::new(),
            },
        }
    }
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
    /// Changes nothing: an `await` or a `sleep`, on either side of the pivot.
    Wait,
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
    /// Its children are cancelled: they make amends themselves, or by the saga that their definition names.
    Cancel,
    /// Nothing is undone, and the document says why that is right.
    Waived {
        /// The written reason.
        reason: String,
    },
    /// Not applicable: pivots and what follows them.
    None,
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

    /// The step that waits for this signal.
    pub fn awaiting(&self, signal: &str) -> Option<(usize, &Await)> {
        self.steps.iter().enumerate().find_map(|(index, step)| match &step.action {
            Action::Await(awaited) if &*awaited.signal == signal => Some((index, &**awaited)),
            Action::Await(_) | Action::Call(_) | Action::Sleep(_) | Action::Children(_) => None,
        })
    }

    /// The place in the outermost flow where this step stands, and whether it stands there alone.
    pub fn place_of(&self, step: usize) -> Option<(usize, bool)> {
        let place = self.flow.iter().position(|node| node.holds(step))?;
        Some((place, matches!(self.flow.get(place), Some(Node::Step(_)))))
    }
}

impl Node {
    /// Whether this step stands in it.
    pub fn holds(&self, step: usize) -> bool {
        match self {
            Node::Step(index) => *index == step,
            Node::Parallel(branches) => branches.iter().flatten().any(|node| node.holds(step)),
        }
    }
}
