//! One step in full.

use std::sync::Arc;

use amends_schemas::contract::Contract;

use super::compensation::Amends;
use super::finding::{Reader, closest};
use super::input::Target;
use super::known::{Does, Known};
use super::mapping::Scope;
use super::policy::TIMEOUT_MAX;
use super::tree::{Node, Tree};
use crate::definition::{Action, Call, Compensate, DEFAULT_TIMEOUT, OnUnknown, Step, StepKind};
use crate::mapping::Mapping;

/// What a call takes.
const CALL: [&str; 9] = ["name", "call", "kind", "when", "input", "compensate", "timeout", "retry", "on_unknown"];

/// What a wait for a signal takes.
const AWAIT: [&str; 7] = ["name", "await", "when", "outcomes", "schema", "timeout", "on_timeout"];

/// What a wait for a time takes.
const SLEEP: [&str; 3] = ["name", "sleep", "when"];

/// What a step that starts one saga takes. What is about many is told apart when it is read.
const SAGA: [&str; 9] =
    ["name", "saga", "kind", "when", "input", "compensate", "for_each", "concurrency", "on_failure"];

/// What any step takes.
const ANY: [&str; 19] = [
    "name",
    "call",
    "await",
    "sleep",
    "saga",
    "parallel",
    "kind",
    "when",
    "input",
    "compensate",
    "timeout",
    "retry",
    "on_unknown",
    "outcomes",
    "schema",
    "on_timeout",
    "for_each",
    "concurrency",
    "on_failure",
];

impl Reader<'_> {
    /// The step at `scope.earlier` in full. Its name and what it does have been looked at by [`Reader::known`].
    pub(super) fn step(&mut self, scope: Scope<'_>) -> Option<Step> {
        let known = &scope.steps[scope.earlier];
        let (what, takes): (&str, &[&str]) = match &known.does {
            Some(Does::Call(_)) => ("a step", &CALL),
            Some(Does::Await(_)) => ("an `await`", &AWAIT),
            Some(Does::Sleep) => ("a `sleep`", &SLEEP),
            Some(Does::Saga | Does::ForEach { .. }) => ("a step that starts a saga", &SAGA),
            None => ("a step", &ANY),
        };
        let members = self.map(known.node, what, takes)?;
        let when = self.conditions(members.get("when"), scope);
        let (action, kind, compensate) = match &known.does {
            Some(Does::Call(contract)) => self.call(known, contract.as_ref(), scope),
            // What is wrong with it has been said.
            Some(Does::Await(awaited)) => Some((Action::Await(awaited.clone()?), StepKind::Wait, Compensate::None)),
            Some(Does::Sleep) => {
                let sleep = self.sleep(known.node.get("sleep")?, scope);
                Some((Action::Sleep(sleep?), StepKind::Wait, Compensate::None))
            }
            Some(Does::Saga | Does::ForEach { .. }) => self.sagas(known, scope),
            None => None,
        }?;
        Some(Step { name: known.name.as_str().into(), action, kind, when: when?, compensate })
    }

    fn call(
        &mut self,
        known: &Known<'_>,
        contract: Option<&Arc<Contract>>,
        scope: Scope<'_>,
    ) -> Option<(Action, StepKind, Compensate)> {
        let (node, name) = (known.node, known.name.as_str());
        let kind = self.kind(known);
        let input = match node.get("input") {
            Some(input) => {
                let mapping = self.mapping(input, scope);
                if let Some(contract) = contract {
                    self.input_of(input, contract);
                }
                mapping
            }
            None => {
                if let Some(contract) = contract {
                    self.input_of(&Node { at: node.at, tree: Tree::Map(Vec::new()) }, contract);
                }
                Some(Mapping::empty())
            }
        };
        let timeout = match node.get("timeout") {
            Some(node) => self.duration(node, "`timeout`", TIMEOUT_MAX),
            None => Some(DEFAULT_TIMEOUT),
        };
        let retry = self.step_retry(node.get("retry"), kind);
        let on_unknown = self.on_unknown(node.get("on_unknown"), name, contract.map(Arc::as_ref));
        let compensate = kind.and_then(|kind| {
            let amends = Amends::Call(contract.map(Arc::as_ref), timeout.unwrap_or(DEFAULT_TIMEOUT));
            self.compensate(node, name, kind, amends)
        });
        let contract = Arc::clone(contract?);
        let call = Call {
            name: contract.contract.clone(),
            input: input?,
            has_undo: contract.undo,
            timeout: timeout?,
            retry: retry?,
            on_unknown: on_unknown?,
            contract,
        };
        Some((Action::Call(Box::new(call)), kind?, compensate?))
    }

    fn sagas(&mut self, known: &Known<'_>, scope: Scope<'_>) -> Option<(Action, StepKind, Compensate)> {
        let children = self.children(known.node, scope);
        let kind = match (self.kind(known), known.node.get("kind")) {
            (Some(StepKind::Pivot), Some(node)) => {
                let message = format!(
                    "`{}` starts a saga, which may yet be cancelled itself and is no point of no return; make it \
                     `compensable`, or `retriable` behind the pivot",
                    known.name
                );
                self.report(node.at, "saga_not_pivot", message)
            }
            (kind, _) => kind,
        };
        let compensate = kind.and_then(|kind| self.compensate(known.node, &known.name, kind, Amends::Children));
        Some((Action::Children(Box::new(children?)), kind?, compensate?))
    }

    fn input_of(&mut self, node: &Node, contract: &Contract) {
        let taker = contract.contract.to_string();
        self.check_input(node, Target { taker: &taker, root: &contract.input }, &[&contract.input]);
    }

    fn kind(&mut self, known: &Known<'_>) -> Option<StepKind> {
        const WRITE: &str =
            "`compensable` (can be undone), `pivot` (the point of no return) or `retriable` (succeeds in the end)";
        let Some(node) = known.node.get("kind") else {
            let message = "a step needs `kind`; write `compensable`, `pivot` or `retriable`";
            return self.report(known.node.at, "missing_key", message);
        };
        match self.text(node, "`kind`", WRITE)? {
            "compensable" => Some(StepKind::Compensable),
            "pivot" if known.branches.is_empty() => Some(StepKind::Pivot),
            "pivot" => self.report(
                node.at,
                "pivot_in_parallel",
                format!(
                    "`{}` is a pivot within `parallel`, where other branches may still fail; move it behind the `parallel`",
                    known.name
                ),
            ),
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

    /// A word that is none of those there are.
    pub(super) fn unknown_word<T>(
        &mut self,
        node: &Node,
        what: &str,
        word: &str,
        known: &[&str],
        write: &str,
    ) -> Option<T> {
        let advice = match closest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {write}"),
        };
        self.report(node.at, "unknown_word", format!("`{what}` is `{word}`, which it cannot be; {advice}"))
    }
}
