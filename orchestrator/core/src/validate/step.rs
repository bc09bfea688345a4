//! One step.

use std::sync::Arc;

use amends_schemas::contract::{Contract, ContractName, is_plain_name};

use super::finding::{Reader, closest};
use super::input::Target;
use super::mapping::Scope;
use super::policy::TIMEOUT_MAX;
use super::tree::{Key, Node, Tree};
use crate::definition::{DEFAULT_TIMEOUT, OnUnknown, Step, StepKind};
use crate::mapping::Mapping;

const MEMBERS: [&str; 9] = ["name", "call", "kind", "when", "input", "compensate", "timeout", "retry", "on_unknown"];

impl Reader<'_> {
    /// The names of all steps with their contracts, before any step is read in full: whether a step is unknown or merely
    /// comes later makes another message.
    pub(super) fn step_names(&mut self, steps: &[Node]) -> Vec<(String, Option<Arc<Contract>>)> {
        let mut known: Vec<(String, Option<Arc<Contract>>)> = Vec::new();
        for step in steps {
            let name = self.step_name(step, &known).unwrap_or_default();
            let contract = self.step_contract(step);
            known.push((name, contract));
        }
        known
    }

    fn step_name(&mut self, step: &Node, known: &[(String, Option<Arc<Contract>>)]) -> Option<String> {
        let Tree::Map(members) = &step.tree else { return None };
        let Some(node) = find(members, "name") else {
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
        if known.iter().any(|(other, _)| other == name) {
            return self.report(
                node.at,
                "duplicate_step",
                format!("there is already a step `{name}`; each needs its own name"),
            );
        }
        Some(name.to_owned())
    }

    fn step_contract(&mut self, step: &Node) -> Option<Arc<Contract>> {
        let Tree::Map(members) = &step.tree else { return None };
        let Some(node) = find(members, "call") else {
            return self.report(
                step.at,
                "missing_key",
                "a step needs `call`; write a contract such as `payment.capture@1`",
            );
        };
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

    /// A step in full. Its name and contract have been looked at by [`Reader::step_names`].
    pub(super) fn step(&mut self, node: &Node, scope: Scope<'_>) -> Option<Step> {
        let members = self.map(node, "a step", &MEMBERS)?;
        let (name, contract) = &scope.steps[scope.earlier];
        let document = contract.clone();
        let contract = contract.as_deref();
        let kind = self.required(members, "kind", "a step", "`compensable`, `pivot` or `retriable`");
        let kind = kind.and_then(|node| self.kind(node));
        let when = self.conditions(members.get("when"), scope);
        let input = match (members.get("input"), contract) {
            (Some(input), contract) => {
                let mapping = self.mapping(input, scope);
                if let Some(contract) = contract {
                    self.input_of(input, contract);
                }
                mapping
            }
            (None, contract) => {
                if let Some(contract) = contract {
                    self.input_of(&Node { at: node.at, tree: Tree::Map(Vec::new()) }, contract);
                }
                Some(Mapping::empty())
            }
        };
        let timeout = match members.get("timeout") {
            Some(node) => self.duration(node, "`timeout`", TIMEOUT_MAX),
            None => Some(DEFAULT_TIMEOUT),
        };
        let retry = self.step_retry(members.get("retry"), kind);
        let on_unknown = self.on_unknown(members.get("on_unknown"), name, contract);
        let compensate = kind.and_then(|kind| {
            let own = timeout.unwrap_or(DEFAULT_TIMEOUT);
            self.compensate(node, members.get("compensate"), name, kind, contract, own)
        });
        Some(Step {
            name: name.as_str().into(),
            call: contract?.contract.clone(),
            contract: document?,
            kind: kind?,
            when: when?,
            input: input?,
            compensate: compensate?,
            has_undo: contract?.undo,
            timeout: timeout?,
            retry: retry?,
            on_unknown: on_unknown?,
        })
    }

    fn input_of(&mut self, node: &Node, contract: &Contract) {
        let taker = contract.contract.to_string();
        self.check_input(node, Target { taker: &taker, root: &contract.input }, &[&contract.input]);
    }

    fn kind(&mut self, node: &Node) -> Option<StepKind> {
        const WRITE: &str =
            "`compensable` (can be undone), `pivot` (the point of no return) or `retriable` (succeeds in the end)";
        match self.text(node, "`kind`", WRITE)? {
            "compensable" => Some(StepKind::Compensable),
            "pivot" => Some(StepKind::Pivot),
            "retriable" => Some(StepKind::Retriable),
            other => self.unknown_word(node, "kind", other, &["compensable", "pivot", "retriable"], WRITE),
        }
    }

    fn on_unknown(&mut self, node: Option<&Node>, name: &str, contract: Option<&Contract>) -> Option<OnUnknown> {
        const WRITE: &str = "`retry`, `probe` or `ask`";
        let probe = contract.is_none_or(|contract| contract.probe);
        let Some(node) = node else {
            // A probe is the surer answer where there is one.
            return Some(if contract.is_some_and(|contract| contract.probe) {
                OnUnknown::Probe
            } else {
                OnUnknown::Retry
            });
        };
        match self.text(node, "`on_unknown`", WRITE)? {
            "retry" => Some(OnUnknown::Retry),
            "probe" if probe => Some(OnUnknown::Probe),
            "probe" => self.report(
                node.at,
                "probe_not_in_contract",
                format!(
                    "`{name}` is to be probed, but its contract has no probe; write `retry` or `ask`, or give it one"
                ),
            ),
            "ask" => Some(OnUnknown::Ask),
            other => self.unknown_word(node, "on_unknown", other, &["retry", "probe", "ask"], WRITE),
        }
    }

    fn unknown_word<T>(&mut self, node: &Node, what: &str, word: &str, known: &[&str], write: &str) -> Option<T> {
        let advice = match closest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {write}"),
        };
        self.report(node.at, "unknown_word", format!("`{what}` is `{word}`, which it cannot be; {advice}"))
    }
}

fn find<'n>(members: &'n [(Key, Node)], name: &str) -> Option<&'n Node> {
    members.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
}
