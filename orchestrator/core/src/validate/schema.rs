//! What a JSON Schema says about a path: enough of the vocabulary to tell a slip from an open door. Where a schema says
//! nothing, everything is allowed.

use serde_json::Value;

/// How deep `$ref` and combinators are followed: a schema that refers to itself must not hold us up.
const DEPTH_MAX: usize = 16;

/// How many schemas one place may be made of before the rest is taken to say nothing.
const PARTS_MAX: usize = 1_000;

/// What was found.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'s> {
    /// These schemas apply there.
    Schemas(Vec<&'s Value>),
    /// The schema leaves it open what is there.
    Open,
    /// There is no such member; these there are.
    Missing {
        /// The token that is not there.
        token: String,
        /// What stands in its place.
        known: Vec<String>,
    },
}

/// Follows a JSON Pointer from the root.
pub(super) fn lookup<'s>(root: &'s Value, pointer: &str) -> Found<'s> {
    lookup_from(root, &[root], pointer)
}

/// Follows a JSON Pointer from these schemas of a document.
pub(super) fn lookup_from<'s>(root: &'s Value, from: &[&'s Value], pointer: &str) -> Found<'s> {
    let mut schemas = from.to_vec();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        match member(root, &schemas, &token) {
            Found::Schemas(next) => schemas = next,
            other @ (Found::Open | Found::Missing { .. }) => return other,
        }
    }
    Found::Schemas(schemas)
}

/// The schemas of one member or item.
pub(super) fn member<'s>(root: &'s Value, schemas: &[&'s Value], token: &str) -> Found<'s> {
    let parts = flatten(root, schemas);
    let (mut found, mut known, mut open, mut described) = (Vec::new(), Vec::new(), false, false);
    for part in parts {
        if part.as_bool() == Some(true) {
            open = true;
        }
        let Some(part) = part.as_object() else { continue };
        if let Some(properties) = part.get("properties").and_then(Value::as_object) {
            described = true;
            known.extend(properties.keys().cloned());
            found.extend(properties.get(token));
        }
        match part.get("additionalProperties") {
            Some(Value::Bool(true) | Value::Object(_)) => open = true,
            Some(Value::Bool(false)) => described = true,
            _ => {}
        }
        open |= part.contains_key("patternProperties");
        if let Ok(place) = token.parse::<usize>() {
            let first = part.get("prefixItems").and_then(Value::as_array).and_then(|items| items.get(place));
            found.extend(first.or_else(|| part.get("items")));
        }
        described |= is_scalar(part.get("type"))
            || (part.get("type").and_then(Value::as_str) == Some("array") && part.contains_key("items"));
    }
    known.sort();
    known.dedup();
    if !found.is_empty() {
        Found::Schemas(found)
    } else if open || !described {
        Found::Open
    } else {
        Found::Missing { token: token.to_owned(), known }
    }
}

/// The values an enumerated place may take; `None` when it is not enumerated.
pub(super) fn enumerated(root: &Value, schemas: &[&Value]) -> Option<Vec<Value>> {
    flatten(root, schemas).into_iter().find_map(|part| {
        if let Some(values) = part.get("enum").and_then(Value::as_array) {
            return Some(values.clone());
        }
        if let Some(value) = part.get("const") {
            return Some(vec![value.clone()]);
        }
        (part.get("type").and_then(Value::as_str) == Some("boolean"))
            .then(|| vec![Value::Bool(true), Value::Bool(false)])
    })
}

/// Whether a value of one of these types may stand there: not when every type that is named is another.
pub(super) fn may_be(root: &Value, schemas: &[&Value], types: &[&str]) -> bool {
    let parts = flatten(root, schemas);
    let named: Vec<&str> = parts
        .iter()
        .filter_map(|part| part.get("type"))
        .flat_map(|kind| match kind {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => kind.as_str().into_iter().collect::<Vec<_>>(),
        })
        .collect();
    named.is_empty() || named.iter().any(|kind| types.contains(kind))
}

/// The members an object must have, as far as every alternative says so.
pub(super) fn required<'s>(root: &'s Value, schemas: &[&'s Value]) -> Vec<&'s str> {
    let mut names: Vec<&str> = Vec::new();
    let mut parts = Vec::new();
    // With several alternatives none of them alone demands anything.
    if let [schema] = schemas {
        gather(root, schema, &["allOf"], 0, &mut parts);
    }
    for part in parts {
        for name in part.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// The schemas themselves and all they refer to or combine.
fn flatten<'s>(root: &'s Value, schemas: &[&'s Value]) -> Vec<&'s Value> {
    let mut parts = Vec::new();
    for schema in schemas {
        gather(root, schema, &["allOf", "anyOf", "oneOf"], 0, &mut parts);
    }
    parts
}

fn gather<'s>(root: &'s Value, schema: &'s Value, combinators: &[&str], depth: usize, parts: &mut Vec<&'s Value>) {
    if depth > DEPTH_MAX || parts.len() >= PARTS_MAX {
        return;
    }
    parts.push(schema);
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'))
        && let Some(target) = root.pointer(target)
    {
        gather(root, target, combinators, depth + 1, parts);
    }
    for combinator in combinators {
        for branch in schema.get(combinator).and_then(Value::as_array).into_iter().flatten() {
            gather(root, branch, combinators, depth + 1, parts);
        }
    }
}

fn is_scalar(kind: Option<&Value>) -> bool {
    matches!(kind.and_then(Value::as_str), Some("string" | "integer" | "number" | "boolean" | "null"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `found`, `open` or the members there are.
    fn check(schema: &Value, pointer: &str, want: &str) {
        let have = match lookup(schema, pointer) {
            Found::Schemas(_) => "found".to_owned(),
            Found::Open => "open".to_owned(),
            Found::Missing { token, known } => format!("{token} not in [{}]", known.join(" ")),
        };
        assert_eq!(have, want, "{pointer} in {schema}");
    }

    #[test]
    fn paths_are_followed_as_far_as_a_schema_speaks() {
        let schema = json!({
            "$defs": {"money": {"type": "object", "properties": {"amount": {"type": "string"}}}},
            "properties": {
                "price": {"$ref": "#/$defs/money"},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/money"}},
                "any": {},
                "loose": {"type": "object", "properties": {"a": {}}, "additionalProperties": true},
                "either": {"oneOf": [{"properties": {"left": {}}}, {"properties": {"right": {}}}]},
                "both": {"type": "object", "allOf": [{"properties": {"left": {}}}]},
                "odd/name": {"type": "string"},
            },
        });
        check(&schema, "", "found");
        check(&schema, "/price/amount", "found");
        check(&schema, "/price/currency", "currency not in [amount]");
        check(&schema, "/lines/0/amount", "found");
        check(&schema, "/lines/first", "first not in []");
        check(&schema, "/any/thing/at/all", "open");
        check(&schema, "/loose/b", "open");
        check(&schema, "/either/right", "found");
        check(&schema, "/either/middle", "middle not in [left right]");
        check(&schema, "/both/left", "found");
        check(&schema, "/both/right", "right not in [left]");
        check(&schema, "/odd~1name", "found");
        check(&schema, "/odd~1name/deeper", "deeper not in []");
        check(&schema, "/absent", "absent not in [any both either lines loose odd/name price]");
        check(&json!({}), "/x", "open");
        check(&json!({"$ref": "#"}), "/x", "open");
    }

    #[test]
    fn enumerated_fields_are_known_through_references() {
        let schema =
            json!({"$defs": {"p": {"enum": ["full", "none"]}}, "properties": {"policy": {"$ref": "#/$defs/p"}}});
        let Found::Schemas(found) = lookup(&schema, "/policy") else { panic!("found") };
        assert_eq!(enumerated(&schema, &found), Some(vec![json!("full"), json!("none")]));
        assert_eq!(enumerated(&schema, &[&json!({"type": "string"})]), None);
        assert_eq!(enumerated(&schema, &[&json!({"type": "boolean"})]), Some(vec![json!(true), json!(false)]));
    }

    #[test]
    fn a_type_is_excluded_only_when_others_are_named() {
        let may = |schema: Value| may_be(&schema, &[&schema], &["string"]);
        assert!(may(json!({})));
        assert!(may(json!({"type": "string"})));
        assert!(may(json!({"type": ["string", "null"]})));
        assert!(may(json!({"anyOf": [{"type": "integer"}, {"type": "string"}]})));
        assert!(!may(json!({"type": "integer"})));
        assert!(!may(json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": ["integer", "null"]}}})));
    }
}
