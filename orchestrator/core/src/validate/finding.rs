//! One thing wrong with a definition, and the reader that goes on after finding it.

use std::fmt;

use amends_schemas::contract::ContractRegistry;

use super::tree::{Key, Node, Place, Tree};

/// One thing wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named to us.
    pub file: String,
    /// Line, from one.
    pub line: usize,
    /// Column, from one.
    pub column: usize,
    /// Stable, in `snake_case`.
    pub code: &'static str,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {} [{}]", self.file, self.line, self.column, self.message, self.code)
    }
}

/// Reads member by member and collects what is wrong. Every method that finds something returns `None`, and the reading
/// goes on elsewhere.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) contracts: &'a ContractRegistry,
    findings: Vec<Finding>,
}

/// The members of a map.
#[derive(Clone, Copy)]
pub(super) struct Members<'n> {
    pub(super) at: Place,
    pub(super) all: &'n [(Key, Node)],
}

impl<'n> Members<'n> {
    /// The member of this name.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.all.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str, contracts: &'a ContractRegistry) -> Self {
        Self { file, contracts, findings: Vec::new() }
    }

    /// Everything found, in the order of the document.
    pub(super) fn into_findings(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|finding| (finding.line, finding.column));
        self.findings
    }

    pub(super) fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Adds a finding. Returns `None` so that a reader's branch can end with it.
    pub(super) fn report<T>(&mut self, at: Place, code: &'static str, message: impl Into<String>) -> Option<T> {
        let (file, message) = (self.file.to_owned(), message.into());
        self.findings.push(Finding { file, line: at.line, column: at.column, code, message });
        None
    }

    pub(super) fn wrong_type<T>(&mut self, node: &Node, what: &str, wanted: &str) -> Option<T> {
        self.report(node.at, "wrong_type", format!("{what} is {}; write {wanted}", node.kind()))
    }

    /// A map with these members and no others.
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Members<'n>> {
        let Tree::Map(all) = &node.tree else {
            return self.wrong_type(node, what, &format!("a map with {}", listed(known)));
        };
        for (key, _) in all {
            if !known.contains(&key.text.as_str()) {
                let advice = match closest(&key.text, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it takes {}", listed(known)),
                };
                self.report::<()>(key.at, "unknown_key", format!("{what} has no `{}`; {advice}", key.text));
            }
        }
        Some(Members { at: node.at, all })
    }

    /// A member that must be there.
    pub(super) fn required<'n>(
        &mut self,
        members: Members<'n>,
        name: &str,
        what: &str,
        write: &str,
    ) -> Option<&'n Node> {
        match members.get(name) {
            Some(node) => Some(node),
            None => self.report(members.at, "missing_key", format!("{what} needs `{name}`; write {write}")),
        }
    }

    /// A text that is not empty.
    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str, wanted: &str) -> Option<&'n str> {
        match &node.tree {
            Tree::Text(text) if !text.trim().is_empty() => Some(text),
            Tree::Text(_) => self.report(node.at, "wrong_type", format!("{what} is empty; write {wanted}")),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::List(_) | Tree::Map(_) => {
                self.wrong_type(node, what, wanted)
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn whole(&mut self, node: &Node, what: &str, least: u32, most: u32) -> Option<u32> {
        let Tree::Number(number) = &node.tree else {
            return self.wrong_type(node, what, &format!("a whole number from {least} to {most}"));
        };
        match number.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(whole) if (least..=most).contains(&whole) => Some(whole),
            _ => self.report(
                node.at,
                "bad_number",
                format!("{what} is {number}; write a whole number from {least} to {most}"),
            ),
        }
    }

    /// A number within bounds.
    pub(super) fn number(&mut self, node: &Node, what: &str, least: f64, most: f64) -> Option<f64> {
        let Tree::Number(number) = &node.tree else {
            return self.wrong_type(node, what, &format!("a number from {least} to {most}"));
        };
        match number.as_f64() {
            Some(value) if (least..=most).contains(&value) => Some(value),
            _ => {
                self.report(node.at, "bad_number", format!("{what} is {number}; write a number from {least} to {most}"))
            }
        }
    }

    /// One text or a list of them.
    pub(super) fn texts(&mut self, node: &Node, what: &str) -> Option<Vec<(Place, String)>> {
        match &node.tree {
            Tree::Text(text) => Some(vec![(node.at, text.clone())]),
            Tree::List(items) if !items.is_empty() => {
                let read = items.iter().map(|item| Some((item.at, self.text(item, what, "a word")?.to_owned())));
                read.collect::<Vec<_>>().into_iter().collect()
            }
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::List(_) | Tree::Map(_) => {
                self.wrong_type(node, what, "a word or a list of words")
            }
        }
    }
}

/// The known word most like `word`, when any is like it at all.
pub(super) fn closest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // Below this two words share letters by accident.
    const LIKE: f64 = 0.75;
    known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` and `c`.
pub(super) fn listed<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
