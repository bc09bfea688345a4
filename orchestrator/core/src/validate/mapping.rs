//! Pointers and literals, resolved against the steps before them and the schemas of what they point at.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_schemas::contract::Contract;
use serde_json::Value;

use super::finding::{Reader, closest, listed};
use super::schema::{Found, lookup};
use super::tree::{Node, Place, Tree};
use crate::mapping::{Mapping, Pointer};

/// What a mapping may point at.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    /// The saga's input schema, when it could be read.
    pub(super) input: Option<&'s Value>,
    /// Every step, by name; a contract that is not known has been reported already.
    pub(super) steps: &'s [(String, Option<Arc<Contract>>)],
    /// How many of them come before.
    pub(super) earlier: usize,
    /// Whether `/cancel` is there.
    pub(super) cancel: bool,
}

/// The schema of `/cancel`, member by member.
const CANCEL_MEMBERS: [&str; 3] = ["requested_at", "reason", "by"];

impl Reader<'_> {
    /// A mapping: pointers, literals, maps and lists of them.
    pub(super) fn mapping(&mut self, node: &Node, scope: Scope<'_>) -> Option<Mapping> {
        match &node.tree {
            Tree::Text(text) if text.starts_with('/') => self.pointer(node.at, text, scope).map(Mapping::Pointer),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => Some(Mapping::Literal(node.value())),
            Tree::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.mapping(item, scope)).collect();
                items.into_iter().collect::<Option<Vec<_>>>().map(Mapping::Array)
            }
            Tree::Map(members) => match members.as_slice() {
                [(key, value)] if key.text == "const" => Some(Mapping::Literal(value.value())),
                _ => {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(key, member)| {
                            if key.text == "const" {
                                let message =
                                    "`const` makes a literal and stands alone in its map; move the others out";
                                return self.report(key.at, "bad_literal", message);
                            }
                            Some((key.text.clone(), self.mapping(member, scope)?))
                        })
                        .collect();
                    members.into_iter().collect::<Option<BTreeMap<_, _>>>().map(Mapping::Object)
                }
            },
        }
    }

    fn pointer(&mut self, at: Place, text: &str, scope: Scope<'_>) -> Option<Pointer> {
        let mut tokens = text.splitn(3, '/').skip(1);
        let (root, after) = (tokens.next().unwrap_or_default(), tokens.next());
        match root {
            "input" => {
                let rest = after.map(|after| format!("/{after}")).unwrap_or_default();
                if let Some(schema) = scope.input {
                    self.path_exists(at, text, "the input", schema, &rest)?;
                }
                Some(Pointer::Input { rest })
            }
            "steps" => self.step_pointer(at, text, after.unwrap_or_default(), scope),
            "saga" => match after {
                Some("id") => Some(Pointer::SagaId),
                Some("started_at") => Some(Pointer::SagaStartedAt),
                _ => self.report(at, "unknown_pointer", format!("`{text}` leads nowhere; write `/saga/id` or `/saga/started_at`")),
            },
            "cancel" if scope.cancel => {
                if after.is_some_and(|member| CANCEL_MEMBERS.contains(&member)) {
                    Some(Pointer::Cancel { rest: format!("/{}", after.unwrap_or_default()) })
                } else {
                    self.report(
                        at,
                        "unknown_pointer",
                        format!("`{text}` leads nowhere; of `/cancel` there are {}", listed(&CANCEL_MEMBERS)),
                    )
                }
            }
            "cancel" => {
                self.report(at, "unknown_pointer", format!("`{text}` is only known in `cancel_with`; use `/input/…` or `/steps/…`"))
            }
            _ => self.report(
                at,
                "unknown_pointer",
                format!(
                    "`{text}` leads nowhere: a pointer starts with `/input`, `/steps/<name>` or `/saga`; for a text that \
                     starts with `/` write `{{const: \"{text}\"}}`"
                ),
            ),
        }
    }

    fn step_pointer(&mut self, at: Place, text: &str, after: &str, scope: Scope<'_>) -> Option<Pointer> {
        let (name, what) = after.split_once('/').unwrap_or((after, ""));
        let step = self.earlier_step(at, name, scope)?;
        let contract = scope.steps[step].1.as_deref();
        if what == "outcome" {
            if contract.is_some_and(|contract| contract.outcomes.is_empty()) {
                return self.report(
                    at,
                    "unknown_pointer",
                    format!("`{text}` is never there: `{name}` has no outcomes"),
                );
            }
            return Some(Pointer::Outcome { step });
        }
        let Some(rest) = what.strip_prefix("output").filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return self.report(
                at,
                "unknown_pointer",
                format!("`{text}` leads nowhere; write `/steps/{name}/output/…` or `/steps/{name}/outcome`"),
            );
        };
        if let Some(contract) = contract {
            self.path_exists(at, text, &format!("the output of `{name}`"), &contract.output, rest)?;
        }
        Some(Pointer::Output { step, rest: rest.to_owned() })
    }

    /// The place of a step that is known and comes before.
    pub(super) fn earlier_step(&mut self, at: Place, name: &str, scope: Scope<'_>) -> Option<usize> {
        match scope.steps.iter().position(|(known, _)| known == name) {
            Some(step) if step < scope.earlier => Some(step),
            Some(_) => self.report(
                at,
                "later_step",
                format!("`{name}` has not been taken by then; only steps further up can be pointed at"),
            ),
            None => {
                let earlier = &scope.steps[..scope.earlier];
                let advice = match closest(name, earlier.iter().map(|(known, _)| known.as_str())) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if earlier.is_empty() => "no step comes before".to_owned(),
                    None => {
                        let names: Vec<&str> = earlier.iter().map(|(known, _)| known.as_str()).collect();
                        format!("before it come {}", listed(&names))
                    }
                };
                self.report(at, "unknown_step", format!("there is no step `{name}`; {advice}"))
            }
        }
    }

    fn path_exists(&mut self, at: Place, text: &str, of: &str, schema: &Value, rest: &str) -> Option<()> {
        match lookup(schema, rest) {
            Found::Schemas(_) | Found::Open => Some(()),
            Found::Missing { token, known } => {
                let advice = match closest(&token, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "nothing lies within it".to_owned(),
                    None => format!("there are {}", listed(&known)),
                };
                self.report(
                    at,
                    "unknown_pointer",
                    format!("`{text}` leads nowhere: {of} has no `{token}` there; {advice}"),
                )
            }
        }
    }
}
