//! The content hash: SHA-256 over the document as JSON with sorted members, so that comments, layout and the order of
//! members do not count.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Lower-case hex.
pub(crate) fn content_hash(document: &Value) -> String {
    let mut canonical = String::new();
    write(document, &mut canonical);
    hex::encode(Sha256::digest(canonical.as_bytes()))
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
}
