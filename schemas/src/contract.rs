//! Step contracts: what a step is called, what goes in, what comes out, how it can end.
//!
//! A contract is a JSON document (`schemas/contracts/<context>/<step>.v<N>.json`) that any language can read. The
//! orchestrator checks definitions against it, the SDK checks every input and output against it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::NAME_BYTES_MAX;

/// The name of a contract: `context.step@version`.
///
/// ```
/// use amends_schemas::contract::ContractName;
/// let name: ContractName = "payment.capture@1".parse().unwrap();
/// assert_eq!((name.context(), name.step(), name.version()), ("payment", "capture", 1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContractName {
    context: Arc<str>,
    step: Arc<str>,
    version: u32,
}

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a contract name; write context.step@version, such as payment.capture@1")]
pub struct ContractNameError(String);

impl ContractName {
    /// The bounded context that serves it.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The step within the context.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// The version, counted from one.
    pub const fn version(&self) -> u32 {
        self.version
    }
}

/// Whether `text` can be a context, a step, a saga or a tag: lower-case letters, digits, `-` and `_`, starting with a
/// letter, at most [`NAME_BYTES_MAX`] bytes. Such names are safe as subject tokens and consumer names.
pub fn is_plain_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
}

impl FromStr for ContractName {
    type Err = ContractNameError;
    fn from_str(text: &str) -> Result<Self, ContractNameError> {
        let refuse = || ContractNameError(text.chars().take(2 * NAME_BYTES_MAX).collect());
        let (path, version) = text.split_once('@').ok_or_else(refuse)?;
        let (context, step) = path.split_once('.').ok_or_else(refuse)?;
        let version: u32 = version.parse().map_err(|_| refuse())?;
        if !is_plain_name(context) || !is_plain_name(step) || version == 0 {
            return Err(refuse());
        }
        Ok(Self { context: context.into(), step: step.into(), version })
    }
}

impl TryFrom<String> for ContractName {
    type Error = ContractNameError;
    fn try_from(text: String) -> Result<Self, ContractNameError> {
        text.parse()
    }
}

impl From<ContractName> for String {
    fn from(name: ContractName) -> String {
        name.to_string()
    }
}

impl fmt::Display for ContractName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}@{}", self.context, self.step, self.version)
    }
}

/// A step contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Its name.
    pub contract: ContractName,
    /// One line for people.
    pub title: String,
    /// What it does, and what a caller must know.
    #[serde(default)]
    pub description: String,
    /// The ways it can succeed that a definition may branch on; empty when there is but one.
    #[serde(default)]
    pub outcomes: Vec<String>,
    /// Whether it has an `undo`.
    #[serde(default)]
    pub undo: bool,
    /// Whether it has a `probe`: a read that says, by idempotency key, whether the `do` has happened.
    #[serde(default)]
    pub probe: bool,
    /// How many of its commands may be with workers at once, and how many may be sent in a second. A deployment may say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ContractLimits>,
    /// The ways it can fail cleanly, by code.
    #[serde(default)]
    pub errors: BTreeMap<String, String>,
    /// JSON Schema (2020-12) of the input of `do`.
    pub input: Value,
    /// JSON Schema (2020-12) of the output of `do`.
    pub output: Value,
}

/// Limits that all sagas share. What is beyond waits for its turn in the orchestrator, fairly between definitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractLimits {
    /// Most commands with workers at once, of every operation; at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Most commands sent in a second; at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
}

/// Why a contract document is refused.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Not JSON, or not of a contract's shape.
    #[error("{file}: {source}")]
    Malformed {
        /// Where it came from.
        file: String,
        /// What the parser says, with line and column.
        source: serde_json::Error,
    },
    /// A schema inside is not a JSON Schema.
    #[error("{file}: `{part}` is not a valid JSON Schema: {reason}")]
    Schema {
        /// Where it came from.
        file: String,
        /// `input` or `output`.
        part: &'static str,
        /// What the compiler says.
        reason: String,
    },
    /// Two documents of one name.
    #[error("{file}: contract {name} is already defined")]
    Duplicate {
        /// Where the second came from.
        file: String,
        /// The name both bear.
        name: ContractName,
    },
}

/// The contracts known to a process.
#[derive(Debug, Clone, Default)]
pub struct ContractRegistry {
    contracts: BTreeMap<ContractName, Arc<Contract>>,
}

impl ContractRegistry {
    /// No contracts at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds one document; `file` only serves messages.
    ///
    /// # Errors
    /// [`ContractError`], naming the file.
    pub fn add(&mut self, file: &str, json: &str) -> Result<Arc<Contract>, ContractError> {
        let contract: Contract =
            serde_json::from_str(json).map_err(|source| ContractError::Malformed { file: file.to_owned(), source })?;
        for (part, schema) in [("input", &contract.input), ("output", &contract.output)] {
            jsonschema::validator_for(schema).map_err(|error| ContractError::Schema {
                file: file.to_owned(),
                part,
                reason: error.to_string(),
            })?;
        }
        let name = contract.contract.clone();
        if self.contracts.contains_key(&name) {
            return Err(ContractError::Duplicate { file: file.to_owned(), name });
        }
        let contract = Arc::new(contract);
        self.contracts.insert(name, Arc::clone(&contract));
        Ok(contract)
    }

    /// Gives a contract other limits than its document does; each that is not given stays as it is.
    ///
    /// # Errors
    /// The name, when there is no such contract.
    pub fn limit(&mut self, name: &ContractName, limits: ContractLimits) -> Result<(), ContractName> {
        let contract = self.contracts.get_mut(name).ok_or_else(|| name.clone())?;
        let known = contract.limits.unwrap_or_default();
        let limits = ContractLimits {
            concurrency: limits.concurrency.or(known.concurrency),
            per_second: limits.per_second.or(known.per_second),
        };
        Arc::make_mut(contract).limits = Some(limits);
        Ok(())
    }

    /// The contract of this name.
    pub fn get(&self, name: &ContractName) -> Option<&Arc<Contract>> {
        self.contracts.get(name)
    }

    /// All contracts, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Contract>> {
        self.contracts.values()
    }

    /// The known name most like `name`, to suggest in a message.
    pub fn closest(&self, name: &str) -> Option<&ContractName> {
        self.contracts
            .keys()
            .map(|known| (shared_prefix(&known.to_string(), name), known))
            .filter(|(shared, _)| *shared > 2)
            .max_by_key(|(shared, _)| *shared)
            .map(|(_, known)| known)
    }
}

fn shared_prefix(left: &str, right: &str) -> usize {
    left.bytes().zip(right.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_strictly() {
        for text in ["payment.capture", "payment@1", "Payment.capture@1", "payment.capture@0", "a.b.c@1", "p.é@1", ""]
        {
            assert!(text.parse::<ContractName>().is_err(), "{text}");
        }
        assert_eq!("a-1.b_2@3".parse::<ContractName>().expect("valid").to_string(), "a-1.b_2@3");
    }

    #[test]
    fn a_registry_refuses_bad_documents_and_says_where() {
        let mut registry = ContractRegistry::empty();
        let good = r#"{"contract":"a.b@1","title":"t","input":{"type":"object"},"output":{}}"#;
        registry.add("a/b.v1.json", good).expect("valid");
        assert!(registry.add("again.json", good).expect_err("twice").to_string().contains("already defined"));
        let bad = r#"{"contract":"a.c@1","title":"t","input":{"type":"objekt"},"output":{}}"#;
        assert!(registry.add("bad.json", bad).expect_err("schema").to_string().contains("bad.json: `input`"));
        assert_eq!(registry.closest("a.bb@1").map(ToString::to_string), Some("a.b@1".to_owned()));
    }
}
