//! What is known of every step before any is read in full: whether a step is unknown, comes later or runs beside makes another
//! message, and what it returns and how it may end is asked by others.

use std::sync::{Arc, LazyLock};

use amends_schemas::contract::{Contract, ContractName, is_plain_name};
use serde_json::{Value, json};

use super::finding::Reader;
use super::flow::{Branch, Layout};
use super::tree::{Node, Tree};
use crate::definition::{Await, OUTCOME_ALL, OUTCOME_SOME};

/// What a step may do; it does one of these.
pub(super) const ACTIONS: [&str; 4] = ["call", "await", "sleep", "saga"];

/// What a `for_each` returns.
static EACH_OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    let count = json!({"type": "integer", "minimum": 0});
    let error = json!({"type": "object", "properties": {"code": {"type": "string"}, "message": {"type": "string"}}});
    json!({"type": "object", "properties": {
        "total": count, "completed": count, "failed": count,
        "failures": {"type": "array", "items": {"type": "object", "properties": {
            "child": count, "saga_id": {"type": "string"}, "error": error,
        }}},
    }})
});

/// A step before it is read in full.
pub(super) struct Known<'n> {
    /// Empty when it has none that can be used.
    pub(super) name: String,
    pub(super) node: &'n Node,
    pub(super) branches: Vec<Branch>,
    /// `None` when that cannot be told, which has been reported.
    pub(super) does: Option<Does>,
}

/// What a step does.
pub(super) enum Does {
    /// Calls a contract; `None` when it is not known, which has been reported.
    Call(Option<Arc<Contract>>),
    /// Waits for a signal; `None` when it cannot be read, which has been reported.
    Await(Option<Box<Await>>),
    /// Waits for a time.
    Sleep,
    /// Starts another saga.
    Saga,
    /// Starts many.
    ForEach {
        /// Whether it goes on when children fail, and its outcome says so; `None` when that cannot be told.
        goes_on: Option<bool>,
    },
}

/// What a step returns.
pub(super) enum Output<'k> {
    /// Something of this schema.
    Of(&'k Value),
    /// Anything.
    Open,
    /// Nothing.
    Nothing,
}

impl Known<'_> {
    /// The contract it calls.
    pub(super) fn contract(&self) -> Option<&Arc<Contract>> {
        match &self.does {
            Some(Does::Call(contract)) => contract.as_ref(),
            Some(Does::Await(_) | Does::Sleep | Does::Saga | Does::ForEach { .. }) | None => None,
        }
    }

    /// The outcomes others may ask about, empty when there are none; `None` when they are not known.
    pub(super) fn outcomes(&self) -> Option<Vec<String>> {
        match self.does.as_ref()? {
            Does::Call(contract) => Some(contract.as_ref()?.outcomes.clone()),
            Does::Await(awaited) => Some(awaited.as_ref()?.all_outcomes()),
            Does::Sleep | Does::Saga => Some(Vec::new()),
            Does::ForEach { goes_on } => Some(match (*goes_on)? {
                true => vec![OUTCOME_ALL.to_owned(), OUTCOME_SOME.to_owned()],
                false => Vec::new(),
            }),
        }
    }

    /// All ways it can succeed: with one of its outcomes, or without any.
    pub(super) fn ends(&self) -> Vec<Option<String>> {
        let outcomes = self.outcomes().unwrap_or_default();
        let without = match &self.does {
            // A signal that has no outcomes to choose from has none; only its absence may have one.
            Some(Does::Await(Some(awaited))) => awaited.outcomes.is_empty(),
            Some(Does::Call(_) | Does::Await(None) | Does::Sleep | Does::Saga | Does::ForEach { .. }) | None => {
                outcomes.is_empty()
            }
        };
        without.then_some(None).into_iter().chain(outcomes.into_iter().map(Some)).collect()
    }

    /// What it returns.
    pub(super) fn output(&self) -> Output<'_> {
        match &self.does {
            Some(Does::Call(Some(contract))) => Output::Of(&contract.output),
            Some(Does::Await(Some(awaited))) => Output::Of(&awaited.schema),
            Some(Does::ForEach { .. }) => Output::Of(&EACH_OUTPUT),
            Some(Does::Sleep) => Output::Nothing,
            Some(Does::Saga | Does::Call(None) | Does::Await(None)) | None => Output::Open,
        }
    }
}

impl Reader<'_> {
    /// The names of all steps and what they do.
    pub(super) fn known<'n>(&mut self, layout: &Layout<'n>) -> Vec<Known<'n>> {
        let mut known: Vec<Known<'n>> = Vec::new();
        for placed in &layout.steps {
            let name = self.step_name(placed.node, &known).unwrap_or_default();
            let does = self.step_does(placed.node);
            if let Some(Does::Await(Some(awaited))) = &does
                && known.iter().any(
                    |other| matches!(&other.does, Some(Does::Await(Some(other))) if other.signal == awaited.signal),
                )
            {
                let at = placed.node.get("await").map_or(placed.node.at, |node| node.at);
                let message = format!(
                    "another step already waits for `{}`; each signal is given once: name this one otherwise",
                    awaited.signal
                );
                self.report::<()>(at, "duplicate_signal", message);
            }
            known.push(Known { name, node: placed.node, branches: placed.branches.clone(), does });
        }
        known
    }

    fn step_name(&mut self, step: &Node, known: &[Known<'_>]) -> Option<String> {
        if !matches!(step.tree, Tree::Map(_)) {
            // Said when the step is read.
            return None;
        }
        let Some(node) = step.get("name") else {
            return self.report(step.at, "missing_key", "a step needs `name`; write a short word such as `reserve`");
        };
        let name = self.text(node, "`name`", "a short word such as `reserve`")?;
        if !is_plain_name(name) {
            return self.report(
                node.at,
                "bad_name",
                format!("`{name}` cannot name a step; write lower-case letters, digits, `-` and `_`, a letter first, 64 at most"),
            );
        }
        if known.iter().any(|other| other.name == name) {
            return self.report(
                node.at,
                "duplicate_step",
                format!("there is already a step `{name}`; each needs its own name"),
            );
        }
        Some(name.to_owned())
    }

    fn step_does(&mut self, step: &Node) -> Option<Does> {
        let Tree::Map(members) = &step.tree else { return None };
        let actions: Vec<_> = members.iter().filter(|(key, _)| ACTIONS.contains(&key.text.as_str())).collect();
        let (key, node) = match actions.as_slice() {
            [] => {
                return self.report(
                    step.at,
                    "missing_key",
                    "a step needs `call`, `await`, `sleep` or `saga`; write what it does, such as \
                     `call: payment.capture@1`",
                );
            }
            [only] => only,
            [first, second, ..] => {
                let message = format!(
                    "a step does one thing, and this one has `{}` and `{}`; make two steps of it",
                    first.0.text, second.0.text
                );
                return self.report(second.0.at, "two_actions", message);
            }
        };
        match key.text.as_str() {
            "call" => Some(Does::Call(self.step_contract(node))),
            "await" => Some(Does::Await(self.awaited(step, node).map(Box::new))),
            "sleep" => Some(Does::Sleep),
            _ if step.get("for_each").is_some() => {
                let goes_on = match step.get("on_failure").map(|node| &node.tree) {
                    None => Some(false),
                    Some(Tree::Text(word)) => match word.as_str() {
                        "continue" => Some(true),
                        "stop" | "compensate" => Some(false),
                        _ => None,
                    },
                    Some(Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::List(_) | Tree::Map(_)) => None,
                };
                Some(Does::ForEach { goes_on })
            }
            _ => Some(Does::Saga),
        }
    }

    fn step_contract(&mut self, node: &Node) -> Option<Arc<Contract>> {
        let text = self.text(node, "`call`", "a contract such as `payment.capture@1`")?;
        let name: ContractName = match text.parse() {
            Ok(name) => name,
            Err(error) => return self.report(node.at, "bad_contract_name", error.to_string()),
        };
        if let Some(contract) = self.contracts.get(&name) {
            return Some(Arc::clone(contract));
        }
        let versions: Vec<String> = self
            .contracts
            .iter()
            .map(|contract| &contract.contract)
            .filter(|known| known.context() == name.context() && known.step() == name.step())
            .map(ToString::to_string)
            .collect();
        if let Some(newest) = versions.last() {
            return self.report(
                node.at,
                "unknown_contract_version",
                format!("there is no {name}; did you mean `{newest}`?"),
            );
        }
        let advice = match self.contracts.closest(text) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "its document belongs under `schemas/contracts/<context>/<step>.v<N>.json`".to_owned(),
        };
        self.report(node.at, "unknown_contract", format!("there is no contract {name}; {advice}"))
    }
}
