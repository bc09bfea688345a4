//! JSON read strictly: what readers may understand in two ways, or what would break a store further on, is refused here
//! with line and column.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep a body may nest. Envelopes on the way to a worker nest it deeper, and every reader on that way stops at 128.
pub const JSON_DEPTH_MAX: usize = 64;

/// Reads one JSON document.
///
/// # Errors
/// A sentence with line and column: not JSON, not UTF-8, a number that cannot be held, nesting beyond [`JSON_DEPTH_MAX`],
/// a member named twice (readers differ on which one counts), or U+0000 (which stores cannot keep).
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth < JSON_DEPTH_MAX {
            Ok(Self { depth: self.depth + 1 })
        } else {
            Err(E::custom(format_args!("nested deeper than {JSON_DEPTH_MAX} levels")))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

fn without_nul<E: Error>(text: &str) -> Result<&str, E> {
    if text.contains('\0') { Err(E::custom("a text contains the character U+0000")) } else { Ok(text) }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number cannot be held"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(without_nul(text)?.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(deeper)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            without_nul(&name)?;
            if members.contains_key(&name) {
                let name: String = name.chars().take(64).collect();
                return Err(A::Error::custom(format_args!("the member `{name}` is there twice")));
            }
            let value = access.next_value_seed(deeper)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_json_reads_as_it_always_does() {
        let text = r#"{"a":[1,-2,0.5,true,null,"é\n"],"b":{"c":{}},"d":18446744073709551615}"#;
        assert_eq!(parse(text.as_bytes()).expect("json"), serde_json::from_str::<Value>(text).expect("json"));
    }

    #[test]
    fn what_is_ambiguous_or_harmful_is_refused_with_its_place() {
        let deep = "[".repeat(JSON_DEPTH_MAX + 1) + &"]".repeat(JSON_DEPTH_MAX + 1);
        for (bytes, part) in [
            (&b"{\"a\":1,\n\"a\":2}"[..], "`a` is there twice"),
            (br#"{"a":"\u0000"}"#, "U+0000"),
            (br#"{"\u0000":1}"#, "U+0000"),
            (b"{\"a\":\"\xff\"}", "invalid unicode"),
            (b"1e999", "out of range"),
            (deep.as_bytes(), "deeper than 64"),
            (b"{} {}", "trailing characters"),
            (b"", "EOF"),
            (b"NaN", "expected"),
            (b"[1,]", "trailing comma"),
        ] {
            let error = parse(bytes).expect_err(part);
            assert!(error.to_string().contains(part), "{part}: {error}");
            assert!(error.line() >= 1, "{part} has no line");
        }
        let at_bound = "[".repeat(JSON_DEPTH_MAX) + &"]".repeat(JSON_DEPTH_MAX);
        assert!(parse(at_bound.as_bytes()).is_ok());
    }
}
