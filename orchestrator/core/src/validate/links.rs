//! The sagas that a definition names: they must be there, take what they are given, be cancellable where that is asked, and not lead
//! back to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use amends_schemas::contract::ContractRegistry;

use super::finding::{Finding, Reader, closest};
use super::input::Target;
use super::tree::{Node, Place, Tree};
use crate::definition::{Children, Compensate, Definition, DefinitionLibrary, Step};

/// What is wrong with a definition, read from `file`, as one of a library: the sagas it names must be there and take what they are
/// given, those it cancels must say how, and none may lead back to it.
pub fn check_links(file: &str, definition: &Definition, library: &DefinitionLibrary) -> Vec<Finding> {
    let contracts = ContractRegistry::empty();
    let mut reader = Reader::new(file, &contracts);
    // It was read when the definition was made of it.
    let Ok(root) = Node::read(&definition.source) else { return Vec::new() };
    if let (Some(cancel_with), Some(node)) = (&definition.cancel_with, root.get("cancel_with")) {
        reader.check_cancel_with(node, &cancel_with.saga, library);
    }
    let layout = root.get("steps").map(|steps| reader.layout(steps));
    let placed = layout.iter().flat_map(|layout| &layout.steps);
    for (step, placed) in definition.steps.iter().zip(placed) {
        if let Some(children) = step.children() {
            reader.check_children(placed.node, step, children, definition, library);
        }
    }
    reader.into_findings()
}

impl Reader<'_> {
    fn check_cancel_with(&mut self, node: &Node, saga: &str, library: &DefinitionLibrary) {
        let Some(target) = library.find(saga, None) else {
            let message = format!("`cancel_with` names the saga `{saga}`, which does not exist{}", near(saga, library));
            self.report::<()>(place(node, "saga"), "unknown_saga", message);
            return;
        };
        if let Some(input) = node.get("input") {
            self.check_input_of(input, target);
        }
    }

    fn check_children(
        &mut self,
        node: &Node,
        step: &Step,
        children: &Children,
        definition: &Definition,
        library: &DefinitionLibrary,
    ) {
        let Some(target) = self.target(place(node, "saga"), children, library) else { return };
        let nothing = Node { at: node.at, tree: Tree::Map(Vec::new()) };
        self.check_input_of(node.get("input").unwrap_or(&nothing), target);
        if step.compensate == Compensate::Cancel && target.cancel_with.is_none() {
            let message = format!(
                "`{}` is to be cancelled, but {} has no `cancel_with`, so it cannot be once it has completed; give it one, or \
                 write `compensate: {{waive: \"why\"}}`",
                step.name, target.reference
            );
            self.report::<()>(place(node, "compensate"), "not_cancellable", message);
        }
        if let Some(way) = way_back(target, definition, library) {
            let way: Vec<String> = way.iter().map(|name| format!("`{name}`")).collect();
            let message = format!(
                "{} starts {}: that would never end; take one of these steps out",
                definition.reference,
                way.join(", which starts ")
            );
            self.report::<()>(place(node, "saga"), "saga_circle", message);
        }
    }

    fn target<'l>(
        &mut self,
        at: Place,
        children: &Children,
        library: &'l DefinitionLibrary,
    ) -> Option<&'l Arc<Definition>> {
        if let Some(target) = library.find(&children.saga, children.version) {
            return Some(target);
        }
        match (library.find(&children.saga, None), children.version) {
            (Some(newest), Some(version)) => self.report(
                at,
                "unknown_saga_version",
                format!("there is no {}@{version}; did you mean `{}`?", children.saga, newest.reference),
            ),
            (Some(_) | None, _) => {
                let advice = near(&children.saga, library);
                self.report(at, "unknown_saga", format!("there is no saga `{}`{advice}", children.saga))
            }
        }
    }

    fn check_input_of(&mut self, node: &Node, target: &Definition) {
        let taker = target.reference.to_string();
        self.check_input(node, Target { taker: &taker, root: &target.input }, &[&target.input]);
    }
}

/// The sagas that are started one by another from `from` until `to` is, if it is.
fn way_back(from: &Definition, to: &Definition, library: &DefinitionLibrary) -> Option<Vec<String>> {
    fn go_on(
        from: &Definition,
        to: &Definition,
        library: &DefinitionLibrary,
        seen: &mut BTreeSet<String>,
        way: &mut Vec<String>,
    ) -> bool {
        let reference = from.reference.to_string();
        way.push(reference.clone());
        if reference == to.reference.to_string() {
            return true;
        }
        // Each is looked at once, so this ends however they start each other.
        if seen.insert(reference) {
            for children in from.steps.iter().filter_map(Step::children) {
                if let Some(next) = library.find(&children.saga, children.version)
                    && go_on(next, to, library, seen, way)
                {
                    return true;
                }
            }
        }
        way.pop();
        false
    }
    let mut way = Vec::new();
    go_on(from, to, library, &mut BTreeSet::new(), &mut way).then_some(way)
}

fn near(saga: &str, library: &DefinitionLibrary) -> String {
    let near = closest(saga, library.iter().map(|definition| &*definition.reference.name));
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn place(node: &Node, member: &str) -> Place {
    node.get(member).map_or(node.at, |member| member.at)
}
