//! A step's input against its contract: no member it does not know, none missing that it needs, no literal it refuses.

use serde_json::Value;

use super::finding::{Reader, closest, listed};
use super::schema::{Found, member, required};
use super::tree::{Node, Tree};

/// What an input is checked against.
#[derive(Clone, Copy)]
pub(super) struct Target<'t> {
    /// Who takes it, for messages.
    pub(super) taker: &'t str,
    /// The whole schema, for its references.
    pub(super) root: &'t Value,
}

impl Reader<'_> {
    /// Checks what is mapped; what a pointer brings is the worker's to check.
    pub(super) fn check_input(&mut self, node: &Node, target: Target<'_>, schemas: &[&Value]) {
        match &node.tree {
            Tree::Text(text) if text.starts_with('/') => {}
            Tree::Map(members) => match members.as_slice() {
                [(key, literal)] if key.text == "const" => self.check_literal(literal, target, schemas),
                _ => self.check_members(node, target, schemas),
            },
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => self.check_literal(node, target, schemas),
            // Items are made one by one and may be pointers.
            Tree::List(_) => {}
        }
    }

    fn check_members(&mut self, node: &Node, target: Target<'_>, schemas: &[&Value]) {
        let Tree::Map(members) = &node.tree else { return };
        for (key, value) in members {
            match member(target.root, schemas, &key.text) {
                Found::Schemas(found) => self.check_input(value, target, &found),
                Found::Open => {}
                Found::Missing { known, .. } => {
                    let advice = match closest(&key.text, known.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("it takes {}", listed(&known)),
                    };
                    self.report::<()>(
                        key.at,
                        "unknown_input",
                        format!("{} takes no `{}`; {advice}", target.taker, key.text),
                    );
                }
            }
        }
        let missing: Vec<&str> = required(target.root, schemas)
            .into_iter()
            .filter(|name| !members.iter().any(|(key, _)| key.text == *name))
            .collect();
        if !missing.is_empty() {
            self.report::<()>(
                node.at,
                "missing_input",
                format!("{} needs {}; map it from `/input/…` or `/steps/…/output/…`", target.taker, listed(&missing)),
            );
        }
    }

    fn check_literal(&mut self, node: &Node, target: Target<'_>, schemas: &[&Value]) {
        let value = node.value();
        // A schema taken out of its document cannot follow its references.
        let alone = |schema: &&&Value| !schema.to_string().contains("\"$ref\"");
        let refusals = schemas.iter().filter(alone).filter_map(|schema| {
            let validator = jsonschema::options().should_validate_formats(true).build(schema).ok()?;
            validator.validate(&value).err().map(|error| error.to_string())
        });
        // With alternatives, one that takes it is enough.
        let refusals: Vec<String> = refusals.collect();
        if let Some(refusal) = refusals.first()
            && refusals.len() == schemas.len()
        {
            self.report::<()>(node.at, "wrong_literal", format!("{} does not take this: {refusal}", target.taker));
        }
    }
}
