//! Pointers and literals, resolved against the steps before them and the schemas of what they point at.

use std::collections::BTreeMap;

use serde_json::Value;

use super::finding::{Reader, closest, listed};
use super::flow::{Branch, beside};
use super::known::{Known, Output};
use super::schema::{Found, lookup, lookup_from};
use super::tree::{Node, Place, Tree};
use crate::mapping::{Mapping, Pointer};

/// What a mapping may point at.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    /// The saga's input schema, when it could be read.
    pub(super) input: Option<&'s Value>,
    /// Every step, in the order of the document.
    pub(super) steps: &'s [Known<'s>],
    /// How many of them come before.
    pub(super) earlier: usize,
    /// Whether `/cancel` is there.
    pub(super) cancel: bool,
    /// Whether `/index` is there, and what `/item` is.
    pub(super) items: Option<&'s Items<'s>>,
}

/// What the children of a `for_each` are for.
pub(super) enum Items<'s> {
    /// Something of these schemas of a document.
    Of(&'s Value, Vec<&'s Value>),
    /// Anything.
    Open,
    /// Nothing but their numbers.
    None,
}

impl<'s> Scope<'s> {
    /// The branches in which whoever looks stands.
    fn branches(&self) -> &'s [Branch] {
        self.steps.get(self.earlier).map_or(&[], |step| &step.branches)
    }

    /// The steps that are done by then, whatever happens.
    fn done(&self) -> Vec<&'s str> {
        let done = self.steps.iter().take(self.earlier).filter(|step| !beside(&step.branches, self.branches()));
        done.map(|step| step.name.as_str()).filter(|name| !name.is_empty()).collect()
    }

    /// The schemas of what a pointer leads to, with the document they stand in, as far as there are any.
    pub(super) fn schemas_at(&self, pointer: &Pointer) -> Option<(&'s Value, Vec<&'s Value>)> {
        let (root, rest) = match pointer {
            Pointer::Input { rest } => (self.input?, rest),
            Pointer::Output { step, rest } => match self.steps.get(*step)?.output() {
                Output::Of(root) => (root, rest),
                Output::Open | Output::Nothing => return None,
            },
            Pointer::Outcome { .. }
            | Pointer::SagaId
            | Pointer::SagaStartedAt
            | Pointer::Item { .. }
            | Pointer::Index
            | Pointer::Cancel { .. } => return None,
        };
        match lookup(root, rest) {
            Found::Schemas(schemas) => Some((root, schemas)),
            Found::Open | Found::Missing { .. } => None,
        }
    }
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
                    self.path_exists(at, text, "the input", lookup(schema, &rest))?;
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
            "item" | "index" => self.each_pointer_of(at, text, root, after, scope),
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

    fn each_pointer_of(
        &mut self,
        at: Place,
        text: &str,
        root: &str,
        after: Option<&str>,
        scope: Scope<'_>,
    ) -> Option<Pointer> {
        let Some(items) = scope.items else {
            let message = format!(
                "`{text}` is only known in the `input` of a step with `for_each`; use `/input/…` or `/steps/…`"
            );
            return self.report(at, "unknown_pointer", message);
        };
        if root == "index" {
            return match after {
                None => Some(Pointer::Index),
                Some(_) => {
                    self.report(at, "unknown_pointer", format!("`{text}` leads nowhere; write `/index`, a number"))
                }
            };
        }
        let rest = after.map(|after| format!("/{after}")).unwrap_or_default();
        match items {
            Items::Of(root, schemas) => self.path_exists(at, text, "an item", lookup_from(root, schemas, &rest))?,
            Items::Open => {}
            Items::None => {
                let message =
                    format!("`{text}` is never there: `for_each` counts, and its children only have an `/index`");
                return self.report(at, "unknown_pointer", message);
            }
        }
        Some(Pointer::Item { rest })
    }

    fn step_pointer(&mut self, at: Place, text: &str, after: &str, scope: Scope<'_>) -> Option<Pointer> {
        let (name, what) = after.split_once('/').unwrap_or((after, ""));
        let step = self.earlier_step(at, name, scope)?;
        let known = &scope.steps[step];
        if what == "outcome" {
            if known.outcomes().is_some_and(|outcomes| outcomes.is_empty()) {
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
        match known.output() {
            Output::Of(schema) => {
                self.path_exists(at, text, &format!("the output of `{name}`"), lookup(schema, rest))?
            }
            Output::Open => {}
            Output::Nothing => {
                let message = format!("`{text}` is never there: `{name}` only waits, and returns nothing");
                return self.report(at, "unknown_pointer", message);
            }
        }
        Some(Pointer::Output { step, rest: rest.to_owned() })
    }

    /// The place of a step that is known and is surely done by then.
    pub(super) fn earlier_step(&mut self, at: Place, name: &str, scope: Scope<'_>) -> Option<usize> {
        let found = scope.steps.iter().position(|known| known.name == name);
        match found {
            Some(step) if beside(&scope.steps[step].branches, scope.branches()) => self.report(
                at,
                "sibling_branch",
                format!(
                    "`{name}` runs in another branch at the same time and may not be done by then; move one of the two into \
                     the other's branch, or this behind the `parallel`"
                ),
            ),
            Some(step) if step < scope.earlier => Some(step),
            Some(_) => self.report(
                at,
                "later_step",
                format!("`{name}` has not been taken by then; only steps further up can be pointed at"),
            ),
            None => {
                let done = scope.done();
                let advice = match closest(name, done.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if done.is_empty() => "no step comes before".to_owned(),
                    None => format!("before it come {}", listed(&done)),
                };
                self.report(at, "unknown_step", format!("there is no step `{name}`; {advice}"))
            }
        }
    }

    fn path_exists(&mut self, at: Place, text: &str, of: &str, found: Found<'_>) -> Option<()> {
        match found {
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
