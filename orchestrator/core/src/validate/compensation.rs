//! How amends are made for a step.

use std::time::Duration;

use amends_schemas::contract::Contract;

use super::finding::Reader;
use super::policy::TIMEOUT_MAX;
use super::tree::{Node, Tree};
use crate::definition::{Compensate, DEFAULT_ATTEMPTS_LASTING, RetryPolicy, StepKind};

/// Whose amends.
#[derive(Clone, Copy)]
pub(super) enum Amends<'c> {
    /// Of a call: its contract, when it is known, and its own timeout.
    Call(Option<&'c Contract>, Duration),
    /// Of the sagas it started.
    Children,
}

impl Amends<'_> {
    /// What to write.
    const fn write(self) -> &'static str {
        match self {
            Amends::Call(Some(Contract { undo: false, .. }), _) => {
                "`compensate: {waive: \"why nothing needs undoing\"}`, for its contract has no undo"
            }
            Amends::Call(..) => "`compensate: undo`, or `compensate: {waive: \"why nothing needs undoing\"}`",
            Amends::Children => "`compensate: cancel`, or `compensate: {waive: \"why nothing needs undoing\"}`",
        }
    }

    /// All there is.
    const fn forms(self) -> &'static str {
        match self {
            Amends::Call(..) => "`undo`, `{undo: {timeout: …, retry: {…}}}` or `{waive: \"why\"}`",
            Amends::Children => "`cancel` or `{waive: \"why\"}`",
        }
    }
}

impl Reader<'_> {
    /// A step's `compensate`, checked against its kind and what it does.
    pub(super) fn compensate(
        &mut self,
        step: &Node,
        name: &str,
        kind: StepKind,
        amends: Amends<'_>,
    ) -> Option<Compensate> {
        match (kind, step.get("compensate")) {
            (StepKind::Pivot | StepKind::Retriable | StepKind::Wait, None) => Some(Compensate::None),
            (StepKind::Pivot | StepKind::Retriable | StepKind::Wait, Some(node)) => self.report(
                node.at,
                "compensation_not_applicable",
                format!(
                    "`{name}` is never compensated: a saga past its pivot only goes forward; leave `compensate` out"
                ),
            ),
            (StepKind::Compensable, None) => {
                let message = format!("`{name}` says not how amends are made; write {}", amends.write());
                self.report(step.at, "missing_compensation", message)
            }
            (StepKind::Compensable, Some(node)) => self.compensate_as(node, name, amends),
        }
    }

    fn compensate_as(&mut self, node: &Node, name: &str, amends: Amends<'_>) -> Option<Compensate> {
        match (&node.tree, amends) {
            (Tree::Text(text), Amends::Call(contract, timeout)) if text == "undo" => {
                self.undo_exists(node, name, contract)?;
                Some(Compensate::Undo { timeout, retry: RetryPolicy::with_attempts(DEFAULT_ATTEMPTS_LASTING) })
            }
            (Tree::Text(text), Amends::Children) if text == "cancel" => Some(Compensate::Cancel),
            (Tree::Map(_), Amends::Call(contract, timeout)) => {
                let members = self.map(node, "`compensate`", &["undo", "waive"])?;
                match (members.get("undo"), members.get("waive")) {
                    (Some(undo), None) => {
                        self.undo_exists(node, name, contract)?;
                        self.undo(undo, timeout)
                    }
                    (None, Some(waive)) => self.waive(waive, name),
                    (Some(_), Some(_)) | (None, None) => self.no_compensation(node, name, amends),
                }
            }
            (Tree::Map(_), Amends::Children) => match node.get("waive") {
                Some(waive) => {
                    self.map(node, "`compensate`", &["waive"])?;
                    self.waive(waive, name)
                }
                None => self.no_compensation(node, name, amends),
            },
            (Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_), _) => {
                self.no_compensation(node, name, amends)
            }
        }
    }

    fn no_compensation<T>(&mut self, node: &Node, name: &str, amends: Amends<'_>) -> Option<T> {
        self.report(node.at, "wrong_type", format!("`compensate` of `{name}` must be {}", amends.forms()))
    }

    fn undo(&mut self, undo: &Node, timeout: Duration) -> Option<Compensate> {
        let own = self.map(undo, "`undo`", &["timeout", "retry"])?;
        let timeout = match own.get("timeout") {
            Some(node) => self.duration(node, "`timeout`", TIMEOUT_MAX),
            None => Some(timeout),
        };
        let retry = self.retry(own.get("retry"), DEFAULT_ATTEMPTS_LASTING);
        Some(Compensate::Undo { timeout: timeout?, retry: retry? })
    }

    fn waive(&mut self, waive: &Node, name: &str) -> Option<Compensate> {
        match &waive.tree {
            Tree::Text(reason) if !reason.trim().is_empty() => Some(Compensate::Waived { reason: reason.clone() }),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => self.report(
                waive.at,
                "missing_reason",
                format!("`{name}` waives its compensation without a reason; write why nothing needs undoing"),
            ),
        }
    }

    fn undo_exists(&mut self, node: &Node, name: &str, contract: Option<&Contract>) -> Option<()> {
        match contract {
            Some(contract) if !contract.undo => self.report(
                node.at,
                "undo_not_in_contract",
                format!(
                    "`{name}` is compensated by undo, but {} has none; give the contract one or write \
                     `compensate: {{waive: \"why\"}}`",
                    contract.contract
                ),
            ),
            Some(_) | None => Some(()),
        }
    }
}
