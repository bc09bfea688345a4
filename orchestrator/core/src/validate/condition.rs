//! `when`: a step's declared outcome, or equality on an enumerated field of the input. Never an expression language.

use serde_json::Value;

use super::finding::{Reader, listed};
use super::known::Does;
use super::mapping::Scope;
use super::schema::{Found, enumerated, lookup};
use super::tree::{Node, Tree};
use crate::definition::Condition;

/// What to write for a condition.
const WRITE: &str = "`{step: <name>, outcome: <outcome>}` or `{input: /<field>, equals: <value>}`";

impl Reader<'_> {
    /// One condition, or a list of which all must hold.
    pub(super) fn conditions(&mut self, node: Option<&Node>, scope: Scope<'_>) -> Option<Vec<Condition>> {
        let Some(node) = node else { return Some(Vec::new()) };
        match &node.tree {
            Tree::List(items) => {
                let read: Vec<_> = items.iter().map(|item| self.condition(item, scope)).collect();
                read.into_iter().collect()
            }
            Tree::Map(_) => Some(vec![self.condition(node, scope)?]),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => {
                self.wrong_type(node, "`when`", &format!("{WRITE}, or a list of them"))
            }
        }
    }

    fn condition(&mut self, node: &Node, scope: Scope<'_>) -> Option<Condition> {
        let members = self.map(node, "`when`", &["step", "outcome", "input", "equals"])?;
        let has = |name| members.get(name);
        match (has("step"), has("outcome"), has("input"), has("equals")) {
            (Some(step), Some(outcome), None, None) => self.outcome_condition(step, outcome, scope),
            (None, None, Some(input), Some(equals)) => self.input_condition(input, equals, scope),
            _ => self.report(node.at, "bad_condition", format!("a condition is {WRITE}, no more and no less")),
        }
    }

    fn outcome_condition(&mut self, step: &Node, outcome: &Node, scope: Scope<'_>) -> Option<Condition> {
        let name = self.text(step, "`step`", "the name of an earlier step");
        let any_of = self.texts(outcome, "`outcome`");
        let name = name?;
        let index = self.earlier_step(step.at, name, scope)?;
        let any_of = any_of?;
        let known = &scope.steps[index];
        if let Some(outcomes) = known.outcomes() {
            let mut sound = true;
            for (at, word) in any_of.iter().filter(|(_, word)| !outcomes.contains(word)) {
                sound = false;
                let has = match (known.contract(), &known.does) {
                    (Some(contract), _) if outcomes.is_empty() => format!("{} declares none", contract.contract),
                    (Some(contract), _) => format!("{} declares {}", contract.contract, listed(&outcomes)),
                    (None, Some(Does::ForEach { goes_on: Some(false) })) => {
                        "with `on_failure: continue` a `for_each` has `all` and `some`".to_owned()
                    }
                    (None, _) if outcomes.is_empty() => "it has none".to_owned(),
                    (None, _) => format!("it has {}", listed(&outcomes)),
                };
                self.report::<()>(*at, "unknown_outcome", format!("`{name}` has no outcome `{word}`: {has}"));
            }
            if !sound {
                return None;
            }
        }
        Some(Condition::Outcome { step: index, any_of: any_of.into_iter().map(|(_, word)| word).collect() })
    }

    fn input_condition(&mut self, input: &Node, equals: &Node, scope: Scope<'_>) -> Option<Condition> {
        let pointer = self.text(input, "`input`", "a pointer into the input, such as `/policy`")?;
        let values: Vec<Value> = match &equals.tree {
            Tree::List(items) => items.iter().map(Node::value).collect(),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::Map(_) => vec![equals.value()],
        };
        if let Some(schema) = scope.input {
            let found = if pointer.starts_with('/') { lookup(schema, pointer) } else { Found::Open };
            let Some(allowed) = (match found {
                Found::Schemas(found) => enumerated(schema, &found),
                Found::Open | Found::Missing { .. } => None,
            }) else {
                let advice = match pointer.strip_prefix("/input") {
                    Some(rest) if matches!(lookup(schema, rest), Found::Schemas(_)) => {
                        format!("the pointer starts within the input: write `{rest}`")
                    }
                    _ => "a condition compares a field of the input that has an `enum`; give it one, or branch on an outcome".to_owned(),
                };
                return self.report(
                    input.at,
                    "not_enumerated",
                    format!("`{pointer}` is no enumerated field of the input: {advice}"),
                );
            };
            if let Some(wrong) = values.iter().find(|value| !allowed.contains(value)) {
                let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
                return self.report(
                    equals.at,
                    "unknown_value",
                    format!("`{pointer}` is never {wrong}; it is one of {}", listed(&allowed)),
                );
            }
        }
        Some(Condition::Input { pointer: pointer.to_owned(), any_of: values })
    }
}
