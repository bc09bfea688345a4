//! The document as a whole.

use std::sync::Arc;

use amends_schemas::contract::{ContractRegistry, is_plain_name};
use amends_schemas::limits::STEPS_MAX;

use super::finding::{Finding, Members, Reader};
use super::flow::Layout;
use super::hash::content_hash;
use super::known::Known;
use super::mapping::Scope;
use super::policy::DEADLINE_MAX;
use super::tree::{Node, Place, Tree};
use crate::definition::{CancelWith, Definition, DefinitionRef, InputCheck, Step};
use crate::mapping::Mapping;

const MEMBERS: [&str; 8] = ["saga", "version", "title", "input", "deadline", "cancel_with", "steps", "output"];

/// Reads and checks one document.
///
/// # Errors
/// Everything found wrong, in the order of the document. Whether the saga named in `cancel_with` exists is only known where
/// all documents are: see [`parse_library`](super::parse_library).
pub fn parse(file: &str, yaml: &str, contracts: &ContractRegistry) -> Result<Definition, Vec<Finding>> {
    let mut reader = Reader::new(file, contracts);
    let definition = match Node::read(yaml) {
        Ok(root) => reader.definition(&root, yaml),
        Err((place, message)) => reader.report(place, "yaml_syntax", message),
    };
    match definition {
        Some(definition) if reader.is_clean() => Ok(definition),
        Some(_) => Err(reader.into_findings()),
        None => {
            if reader.is_clean() {
                // Every `None` above reports; should one forget to, the document is refused all the same.
                reader.report::<()>(Place::START, "unreadable", "this document cannot be read as a saga definition");
            }
            Err(reader.into_findings())
        }
    }
}

impl Reader<'_> {
    fn definition(&mut self, root: &Node, yaml: &str) -> Option<Definition> {
        let members = self.map(root, "a saga definition", &MEMBERS)?;
        let name = self.required(members, "saga", "a definition", "its name, such as `saga: registration`");
        let name = name.and_then(|node| self.saga_name(node));
        let version = self.required(members, "version", "a definition", "`version: 1`");
        let version = version.and_then(|node| self.whole(node, "`version`", 1, u32::MAX));
        let title =
            self.required(members, "title", "a definition", "one line for people, such as `title: Register a person`");
        let title = title.and_then(|node| self.text(node, "`title`", "one line for people"));
        let input = self.required(members, "input", "a definition", "the JSON Schema of its input");
        let input = input.and_then(|node| self.json_schema(node, "input"));
        let deadline = match members.get("deadline") {
            Some(node) => self.duration(node, "`deadline`", DEADLINE_MAX).map(Some),
            None => Some(None),
        };
        let steps = self.required(members, "steps", "a definition", "a list of steps");
        let layout = steps.map(|node| self.layout(node));
        let layout = layout.and_then(|layout| self.not_too_many(members, layout));
        let known = layout.as_ref().map(|layout| self.known(layout)).unwrap_or_default();
        let schema = input.as_ref().map(|(schema, _)| schema);
        let scope = Scope { input: schema, steps: &known, earlier: known.len(), cancel: false, items: None };
        // Without steps to point at there is nothing to say about pointers.
        let (mut steps, mut output, mut cancel_with) = (None, None, None);
        if !known.is_empty() {
            steps = self.steps(&known, scope);
            output = match members.get("output") {
                Some(node) => self.mapping(node, scope),
                None => Some(Mapping::empty()),
            };
            cancel_with = match members.get("cancel_with") {
                Some(node) => self.cancel_with(node, Scope { cancel: true, ..scope }).map(Some),
                None => Some(None),
            };
        }
        let (input, input_check) = input?;
        let hash = content_hash(&root.value());
        Some(Definition {
            reference: DefinitionRef { name: name?.into(), version: version?, hash: hash.into() },
            title: title?.to_owned(),
            input,
            input_check,
            deadline: deadline?,
            steps: steps?,
            flow: layout.and_then(|layout| layout.flow)?,
            output: output?,
            cancel_with: cancel_with?,
            source: yaml.into(),
        })
    }

    fn saga_name<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let name = self.text(node, "`saga`", "its name, such as `registration`")?;
        if is_plain_name(name) {
            return Some(name);
        }
        self.report(
            node.at,
            "bad_name",
            format!(
                "`{name}` cannot name a saga; write lower-case letters, digits, `-` and `_`, a letter first, 64 at most"
            ),
        )
    }

    /// A JSON Schema, compiled; `of` is the key it stands under.
    pub(super) fn json_schema(&mut self, node: &Node, of: &str) -> Option<(serde_json::Value, InputCheck)> {
        if !matches!(node.tree, Tree::Map(_)) {
            let wanted = "a JSON Schema, such as `{type: object, properties: {…}}`";
            return self.wrong_type(node, &format!("`{of}`"), wanted);
        }
        let schema = node.value();
        match jsonschema::options().should_validate_formats(true).build(&schema) {
            Ok(validator) => Some((schema, InputCheck(Arc::new(validator)))),
            Err(error) => {
                let place = error.instance_path().to_string();
                let at = at_pointer(node, &place);
                self.report(at, "bad_schema", format!("`{of}{place}` is not valid JSON Schema (2020-12): {error}"))
            }
        }
    }

    fn not_too_many<'n>(&mut self, members: Members<'n>, layout: Layout<'n>) -> Option<Layout<'n>> {
        let count = layout.steps.len();
        if count > STEPS_MAX {
            let at = members.get("steps").map_or(members.at, |node| node.at);
            let message =
                format!("there are {count} steps; write at most {STEPS_MAX}, and split the rest into another saga");
            return self.report(at, "too_many_steps", message);
        }
        Some(layout)
    }

    fn steps(&mut self, known: &[Known<'_>], scope: Scope<'_>) -> Option<Vec<Step>> {
        let read: Vec<Option<Step>> = (0..known.len()).map(|earlier| self.step(Scope { earlier, ..scope })).collect();
        // Without all of them the paths are not known.
        let steps: Vec<Step> = read.into_iter().collect::<Option<_>>()?;
        self.check_paths(&steps, known);
        Some(steps)
    }

    fn cancel_with(&mut self, node: &Node, scope: Scope<'_>) -> Option<CancelWith> {
        let members = self.map(node, "`cancel_with`", &["saga", "input"])?;
        let saga = self.required(members, "saga", "`cancel_with`", "the name of the saga that cancels forward");
        let saga = saga.and_then(|node| self.saga_name(node));
        let input = self.required(members, "input", "`cancel_with`", "how the input of that saga is made");
        let input = input.and_then(|node| match &node.tree {
            Tree::Map(members) if members.is_empty() => self.report(
                node.at,
                "missing_input",
                "`cancel_with` says nothing to its saga; map at least what names the thing to cancel",
            ),
            Tree::Null => self.wrong_type(node, "`input`", "a map of pointers"),
            _ => self.mapping(node, scope),
        });
        Some(CancelWith { saga: saga?.to_owned(), input: input? })
    }
}

/// Where a JSON Pointer leads within a node; the node itself where it leads nowhere.
fn at_pointer(node: &Node, pointer: &str) -> Place {
    let mut current = node;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let next = match &current.tree {
            Tree::Map(members) => members.iter().find(|(key, _)| key.text == token).map(|(_, member)| member),
            Tree::List(items) => token.parse::<usize>().ok().and_then(|place| items.get(place)),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => None,
        };
        match next {
            Some(next) => current = next,
            None => break,
        }
    }
    current.at
}
