//! Steps that start other sagas: `saga`, alone or with `for_each`.

use amends_schemas::contract::is_plain_name;

use super::finding::{Reader, listed};
use super::mapping::{Items, Scope};
use super::schema::{Found, may_be, member};
use super::tree::{Node, Tree};
use crate::definition::{CHILDREN_MAX, CONCURRENCY_MAX, Children, DEFAULT_CONCURRENCY, ForEach, OnChildFailure};
use crate::mapping::{Mapping, Pointer};

/// What to write for `for_each`.
const EACH: &str = "where a list or a whole number stands, such as `/input/guests`, or one of these themselves";

impl Reader<'_> {
    /// The sagas that a step starts. Whether they exist and take what they are given is known where all documents are.
    pub(super) fn children(&mut self, step: &Node, scope: Scope<'_>) -> Option<Children> {
        let saga = step.get("saga").and_then(|node| self.saga_and_version(node));
        let each = match step.get("for_each") {
            Some(node) => self.for_each(step, node, scope).map(Some),
            None => self.without_each(step).map(|()| None),
        };
        let items = step.get("for_each").map(|_| match each.as_ref().and_then(Option::as_ref) {
            Some(each) => items_of(&each.items, scope),
            // What is wrong with them has been said.
            None => Items::Open,
        });
        let input = match step.get("input") {
            Some(node) => self.mapping(node, Scope { items: items.as_ref(), ..scope }),
            None => Some(Mapping::empty()),
        };
        let (saga, version) = saga?;
        Some(Children { saga: saga.into(), version, input: input?, each: each? })
    }

    fn saga_and_version<'n>(&mut self, node: &'n Node) -> Option<(&'n str, Option<u32>)> {
        const WRITE: &str = "the name of a saga such as `badge-printing`, or `badge-printing@2`";
        let text = self.text(node, "`saga`", WRITE)?;
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, version.parse::<u32>().ok().filter(|version| *version > 0).map(Some)),
            None => (text, Some(None)),
        };
        match version {
            Some(version) if is_plain_name(name) => Some((name, version)),
            Some(_) | None => self.report(node.at, "bad_name", format!("`{text}` names no saga; write {WRITE}")),
        }
    }

    fn without_each(&mut self, step: &Node) -> Option<()> {
        let mut sound = Some(());
        for name in ["concurrency", "on_failure"] {
            if let Some(node) = step.get(name) {
                let message = format!(
                    "`{name}` is about many children, and this step starts one; add `for_each` or leave it out"
                );
                sound = self.report(node.at, "missing_for_each", message);
            }
        }
        sound
    }

    fn for_each(&mut self, step: &Node, node: &Node, scope: Scope<'_>) -> Option<ForEach> {
        let items = self.each_items(node, scope);
        let concurrency = match step.get("concurrency") {
            Some(node) => self.whole(node, "`concurrency`", 1, CONCURRENCY_MAX),
            None => Some(DEFAULT_CONCURRENCY),
        };
        let on_failure = match step.get("on_failure") {
            Some(node) => self.on_failure(node),
            None => Some(OnChildFailure::Stop),
        };
        Some(ForEach { items: items?, concurrency: concurrency?, on_failure: on_failure? })
    }

    fn each_items(&mut self, node: &Node, scope: Scope<'_>) -> Option<Mapping> {
        match &node.tree {
            Tree::Text(text) if text.starts_with('/') => self.each_pointer(node, scope),
            Tree::Number(_) => {
                self.whole(node, "`for_each`", 1, CHILDREN_MAX).map(|count| Mapping::Literal(count.into()))
            }
            Tree::List(items) if items.is_empty() || items.len() > CHILDREN_MAX as usize => {
                let message = format!("`for_each` has {} items; write 1 to {CHILDREN_MAX}", items.len());
                self.report(node.at, "bad_number", message)
            }
            Tree::List(items) => {
                if let Some(pointer) =
                    items.iter().find(|item| matches!(&item.tree, Tree::Text(text) if text.starts_with('/')))
                {
                    let message = "a list here is taken as it stands; point at a list instead, or give what is pointed at to each child by `input`";
                    return self.report(pointer.at, "bad_literal", message);
                }
                Some(Mapping::Literal(node.value()))
            }
            Tree::Null | Tree::Bool(_) | Tree::Text(_) | Tree::Map(_) => self.wrong_type(node, "`for_each`", EACH),
        }
    }

    fn each_pointer(&mut self, node: &Node, scope: Scope<'_>) -> Option<Mapping> {
        let mapping = self.mapping(node, scope)?;
        let Mapping::Pointer(pointer @ (Pointer::Input { .. } | Pointer::Output { .. })) = &mapping else {
            return self.wrong_type(node, "`for_each`", "a pointer into `/input/…` or `/steps/…/output/…`");
        };
        if let Some((root, schemas)) = scope.schemas_at(pointer)
            && !may_be(root, &schemas, &["array", "integer"])
        {
            let message = "`for_each` must lead to a list or a whole number, and its schema says that it is neither; point at one";
            return self.report(node.at, "not_a_list", message);
        }
        Some(mapping)
    }

    fn on_failure(&mut self, node: &Node) -> Option<OnChildFailure> {
        const WORDS: [&str; 3] = ["stop", "continue", "compensate"];
        let write = listed(&WORDS);
        match self.text(node, "`on_failure`", &write)? {
            "stop" => Some(OnChildFailure::Stop),
            "continue" => Some(OnChildFailure::Continue),
            "compensate" => Some(OnChildFailure::Compensate),
            other => self.unknown_word(node, "on_failure", other, &WORDS, &write),
        }
    }
}

/// What `/item` may be.
fn items_of<'s>(mapping: &Mapping, scope: Scope<'s>) -> Items<'s> {
    match mapping {
        Mapping::Literal(serde_json::Value::Number(_)) => Items::None,
        Mapping::Pointer(pointer) => match scope.schemas_at(pointer) {
            Some((root, schemas)) if !may_be(root, &schemas, &["array"]) => Items::None,
            Some((root, schemas)) => match member(root, &schemas, "0") {
                Found::Schemas(schemas) => Items::Of(root, schemas),
                Found::Open | Found::Missing { .. } => Items::Open,
            },
            None => Items::Open,
        },
        Mapping::Literal(_) | Mapping::Object(_) | Mapping::Array(_) => Items::Open,
    }
}
