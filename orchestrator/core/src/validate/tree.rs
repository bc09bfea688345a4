//! YAML as a tree in which every value and key knows its line and column.
//!
//! A derived serde type would stop at the first unknown key or wrong type; this tree is read member by member instead, so
//! that one run names everything that is wrong.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

/// Line and column, both from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    /// Where a document begins, for what is missing from it.
    pub(super) const START: Place = Place { line: 1, column: 1 };

    pub(super) fn of(location: Location) -> Self {
        let from_one = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
        Self { line: from_one(location.line()), column: from_one(location.column()) }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) tree: Tree,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) at: Place,
    pub(super) text: String,
}

impl Node {
    /// Reads a document.
    pub(super) fn read(yaml: &str) -> Result<Node, (Place, String)> {
        // YAML 1.2 booleans only: an outcome called `no` is a word. Errors carry their place in fields, not in a picture.
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        serde_saphyr::from_str_with_options::<Spanned<Tree>>(yaml, options).map(node).map_err(|error| {
            let place = error.location().map_or(Place::START, Place::of);
            (place, error.render())
        })
    }

    /// The member of this name, of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        match &self.tree {
            Tree::Map(members) => members.iter().find(|(key, _)| key.text == name).map(|(_, node)| node),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) => None,
        }
    }

    /// The same without places, as JSON.
    pub(super) fn value(&self) -> Value {
        match &self.tree {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::Text(text) => Value::String(text.clone()),
            Tree::List(items) => Value::Array(items.iter().map(Node::value).collect()),
            Tree::Map(members) => {
                Value::Object(members.iter().map(|(key, node)| (key.text.clone(), node.value())).collect::<Map<_, _>>())
            }
        }
    }

    /// What kind of value this is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self.tree {
            Tree::Null => "nothing",
            Tree::Bool(_) => "a boolean",
            Tree::Number(_) => "a number",
            Tree::Text(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }
}

fn node(spanned: Spanned<Tree>) -> Node {
    Node { at: Place::of(spanned.referenced), tree: spanned.value }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        Number::from_f64(value).map(Tree::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Tree>>()? {
            list.push(node(item));
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = members.next_key::<Spanned<String>>()? {
            let value = members.next_value::<Spanned<Tree>>()?;
            map.push((Key { at: Place::of(key.referenced), text: key.value }, node(value)));
        }
        Ok(Tree::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_key_knows_its_place() {
        let root = Node::read("a: 1\nb:\n  - no\n  - {c: 'x', d: 2.5}\n").expect("valid");
        assert_eq!(root.value(), serde_json::json!({"a": 1, "b": ["no", {"c": "x", "d": 2.5}]}));
        let Tree::Map(members) = &root.tree else { panic!("a map") };
        assert_eq!((members[1].0.at, members[0].1.at), (Place { line: 2, column: 1 }, Place { line: 1, column: 4 }));
        let Tree::List(items) = &members[1].1.tree else { panic!("a list") };
        let Tree::Map(inner) = &items[1].tree else { panic!("a map") };
        assert_eq!((inner[1].0.at, inner[1].1.at), (Place { line: 4, column: 14 }, Place { line: 4, column: 17 }));
    }

    #[test]
    fn syntax_errors_and_duplicate_keys_have_a_place() {
        assert_eq!(Node::read("a: 1\nb: [1,\n").expect_err("open list").0.line, 2);
        assert_eq!(Node::read("a: 1\na: 2\n").expect_err("twice").0, Place { line: 2, column: 1 });
    }
}
