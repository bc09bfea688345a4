//! The content hash: SHA-256 over the document as JSON with sorted members, so that comments, layout and the order of
//! members do not count.

use amends_schemas::contract::Contract;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Lower-case hex.
pub(crate) fn content_hash(document: &Value) -> String {
    let mut canonical = String::new();
    write(document, &mut canonical);
    hex::encode(Sha256::digest(canonical.as_bytes()))
}

/// The hash of what sagas rely on in a contract: its name, how it can end, what can be asked of it, what goes in and comes out. Titles,
/// descriptions, the words for its errors and its limits, which a deployment may set as it likes, do not count.
///
/// Released contracts are listed by it: a member that is added to contracts may only count where it is not as it was before.
pub(crate) fn contract_hash(contract: &Contract) -> String {
    let Contract { contract: name, outcomes, undo, probe, errors, input, output, .. } = contract;
    let codes: Vec<&String> = errors.keys().collect();
    content_hash(&json!({
        "contract": name, "outcomes": outcomes, "undo": undo, "probe": probe, "errors": codes, "input": input, "output": output,
    }))
}

fn write(value: &Value, into: &mut String) {
    match value {
        Value::Object(members) => {
            // Sorted here and not by the map: whether serde_json's map sorts is up to whoever else is compiled in.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            into.push('{');
            for (place, (name, member)) in members.into_iter().enumerate() {
                if place > 0 {
                    into.push(',');
                }
                into.push_str(&Value::String(name.clone()).to_string());
                into.push(':');
                write(member, into);
            }
            into.push('}');
        }
        Value::Array(items) => {
            into.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    into.push(',');
                }
                write(item, into);
            }
            into.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => into.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_members_does_not_count_and_content_does() {
        let read = |json: &str| content_hash(&serde_json::from_str(json).expect("json"));
        assert_eq!(read(r#"{"a":[1,{"c":null,"b":"x"}],"d":true}"#), read(r#"{"d":true,"a":[1,{"b":"x","c":null}]}"#));
        assert_ne!(read(r#"{"a":[1,2]}"#), read(r#"{"a":[2,1]}"#));
        // Journaled sagas are pinned to this: it must never change.
        assert_eq!(read(r#"{"b":1,"a":"é"}"#), "aa58fba8483623bed37c1b02edfccbdd9a53123837c20bfa4cb4049993a2872e");
    }

    #[test]
    fn what_sagas_rely_on_in_a_contract_counts_and_words_do_not() {
        let read = |json: &str| contract_hash(&serde_json::from_str(json).expect("a contract"));
        let hash = read(
            r#"{"contract":"a.b@1","title":"t","outcomes":["x","y"],"errors":{"e":"why"},"input":{"type":"object"},"output":{}}"#,
        );
        let words = r#"{"title":"T","description":"d","contract":"a.b@1","undo":false,"limits":{"concurrency":3},
            "outcomes":["x","y"],"errors":{"e":"another why"},"output":{},"input":{"type":"object"}}"#;
        assert_eq!(read(words), hash);
        for (from, to) in [
            (r#""undo":false"#, r#""undo":true"#),
            (r#"["x","y"]"#, r#"["x"]"#),
            (r#"{"e":"#, r#"{"f":"#),
            (r#"{"type":"object"}"#, r#"{"type":"string"}"#),
            ("a.b@1", "a.b@2"),
        ] {
            assert_ne!(read(&words.replace(from, to)), hash, "{to}");
        }
        // Released contracts are listed by it: it must never change.
        assert_eq!(hash, "6e2f1567f4b0654b22b6b143fe33e52026a40c7215a2437fc8930a91834d04d5");
    }
}
