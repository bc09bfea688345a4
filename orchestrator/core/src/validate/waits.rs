//! Steps that wait: `await` for a signal, `sleep` for a time.

use amends_schemas::contract::is_plain_name;

use super::finding::Reader;
use super::mapping::Scope;
use super::policy::WAIT_MAX;
use super::schema::may_be;
use super::tree::{Node, Tree};
use crate::definition::{Await, Sleep};
use crate::mapping::{Mapping, Pointer};

/// Most outcomes of one `await`: each makes paths, and somebody must be able to choose among them.
pub const OUTCOMES_MAX: usize = 20;

impl Reader<'_> {
    /// A wait for a signal. Nothing of it depends on other steps.
    pub(super) fn awaited(&mut self, step: &Node, node: &Node) -> Option<Await> {
        let signal = self.plain_word(node, "`await`", "a signal", "the name of a signal such as `approval`");
        let outcomes = match step.get("outcomes") {
            Some(node) => self.outcomes(node),
            None => Some(Vec::new()),
        };
        let schema = match step.get("schema") {
            Some(node) => self.json_schema(node, "schema"),
            None => self.json_schema(&Node { at: node.at, tree: Tree::Map(Vec::new()) }, "schema"),
        };
        let timeout = match step.get("timeout") {
            Some(node) => self.duration(node, "`timeout`", WAIT_MAX).map(Some),
            None => Some(None),
        };
        let on_timeout = match step.get("on_timeout") {
            Some(node) => self.on_timeout(step, node).map(Some),
            None => Some(None),
        };
        let (schema, check) = schema?;
        Some(Await {
            signal: signal?.into(),
            outcomes: outcomes?,
            schema,
            check,
            timeout: timeout?,
            on_timeout: on_timeout?.map(str::to_owned),
        })
    }

    fn on_timeout<'n>(&mut self, step: &Node, node: &'n Node) -> Option<&'n str> {
        if step.get("timeout").is_none() {
            let message = "`on_timeout` says what happens when `timeout` is over; write a `timeout`, or leave it out";
            return self.report(node.at, "missing_timeout", message);
        }
        self.plain_word(node, "`on_timeout`", "an outcome", "an outcome such as `expired`")
    }

    fn outcomes(&mut self, node: &Node) -> Option<Vec<String>> {
        const WRITE: &str = "a list of words such as `[approved, rejected]`";
        let Tree::List(items) = &node.tree else { return self.wrong_type(node, "`outcomes`", WRITE) };
        if items.is_empty() || items.len() > OUTCOMES_MAX {
            let message = format!("`outcomes` has {} words; write 1 to {OUTCOMES_MAX}, or leave it out", items.len());
            return self.report(node.at, "bad_number", message);
        }
        let mut outcomes: Vec<String> = Vec::new();
        let mut sound = true;
        for item in items {
            match self.plain_word(item, "an outcome", "an outcome", "a word such as `approved`") {
                Some(word) if outcomes.iter().any(|known| known == word) => {
                    sound = false;
                    self.report::<()>(
                        item.at,
                        "duplicate_outcome",
                        format!("`{word}` stands here twice; leave one out"),
                    );
                }
                Some(word) => outcomes.push(word.to_owned()),
                None => sound = false,
            }
        }
        sound.then_some(outcomes)
    }

    fn plain_word<'n>(&mut self, node: &'n Node, what: &str, kind: &str, wanted: &str) -> Option<&'n str> {
        let word = self.text(node, what, wanted)?;
        if is_plain_name(word) {
            return Some(word);
        }
        self.report(
            node.at,
            "bad_name",
            format!(
                "`{word}` cannot name {kind}; write lower-case letters, digits, `-` and `_`, a letter first, 64 at most"
            ),
        )
    }

    /// A wait for a time.
    pub(super) fn sleep(&mut self, node: &Node, scope: Scope<'_>) -> Option<Sleep> {
        const WRITE: &str = "so long, such as `3d`, or `{until: /input/…}`";
        match &node.tree {
            Tree::Text(text) if text.starts_with('/') => {
                self.report(node.at, "wrong_type", format!("`sleep` is a pointer; write `{{until: {text}}}`"))
            }
            Tree::Text(_) => self.duration(node, "`sleep`", WAIT_MAX).map(Sleep::For),
            Tree::Map(_) => self.sleep_until(node, scope),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::List(_) => self.wrong_type(node, "`sleep`", WRITE),
        }
    }

    fn sleep_until(&mut self, node: &Node, scope: Scope<'_>) -> Option<Sleep> {
        let members = self.map(node, "`sleep`", &["until", "time_zone", "before"])?;
        let until = self.required(members, "until", "`sleep`", "where the time stands, such as `/input/starts_at`");
        let until = until.and_then(|node| match &node.tree {
            Tree::Text(text) if text.starts_with('/') => self.text_pointer(node, "`until`", scope),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => {
                self.wrong_type(node, "`until`", "where the time stands, such as `/input/starts_at`")
            }
        });
        let time_zone = match members.get("time_zone") {
            Some(node) => self.time_zone(node, scope).map(Some),
            None => Some(None),
        };
        let before = match members.get("before") {
            Some(node) => self.duration(node, "`before`", WAIT_MAX),
            None => Some(std::time::Duration::ZERO),
        };
        Some(Sleep::Until { at: until?, time_zone: time_zone?, before: before? })
    }

    fn time_zone(&mut self, node: &Node, scope: Scope<'_>) -> Option<Mapping> {
        const WRITE: &str = "an IANA name such as `Europe/Paris`, or where it stands, such as `/input/time_zone`";
        let text = self.text(node, "`time_zone`", WRITE)?;
        if text.starts_with('/') {
            return self.text_pointer(node, "`time_zone`", scope);
        }
        if text.parse::<chrono_tz::Tz>().is_err() {
            return self.report(node.at, "unknown_time_zone", format!("there is no time zone `{text}`; write {WRITE}"));
        }
        Some(Mapping::Literal(node.value()))
    }

    /// A pointer into the input or an output that leads to a text, as far as schemas speak.
    fn text_pointer(&mut self, node: &Node, what: &str, scope: Scope<'_>) -> Option<Mapping> {
        let mapping = self.mapping(node, scope)?;
        let Mapping::Pointer(pointer @ (Pointer::Input { .. } | Pointer::Output { .. })) = &mapping else {
            return self.wrong_type(node, what, "a pointer into `/input/…` or `/steps/…/output/…`");
        };
        if let Some((root, schemas)) = scope.schemas_at(pointer)
            && !may_be(root, &schemas, &["string"])
        {
            let message = format!("{what} must lead to a text, and its schema says that it is none; point at one");
            return self.report(node.at, "not_a_text", message);
        }
        Some(mapping)
    }
}
