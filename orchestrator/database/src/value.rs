//! JSON on our side, SurrealDB's values on the other.

use serde::Serialize;
use serde_json::Value as Json;
use surrealdb::types::{Number, Object, RecordId, Value, Variables};

use crate::error::{DatabaseError, without_values};

/// Bindings from a map, a struct, or `()` for none.
pub(crate) fn to_variables(bindings: impl Serialize) -> Result<Variables, DatabaseError> {
    let json = serde_json::to_value(bindings)
        .map_err(|error| DatabaseError::bug(format!("bindings are no JSON: {}", without_values(&error.to_string()))))?;
    let mut variables = Variables::new();
    match json {
        Json::Null => {}
        Json::Object(members) => {
            for (name, value) in members {
                let value = to_value(value).map_err(|error| DatabaseError::bug(format!("binding ${name}: {error}")))?;
                variables.insert(name, value);
            }
        }
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            return Err(DatabaseError::bug("bindings are a map of names to values"));
        }
    }
    Ok(variables)
}

/// Binds `$name` to the records of a table with these keys: to make them in the statement costs several times as much.
pub fn bind_records(name: &str, table: &str, keys: impl IntoIterator<Item = impl Into<String>>) -> Variables {
    let ids: Vec<Value> = keys.into_iter().map(|key| Value::RecordId(RecordId::new(table, key.into()))).collect();
    let mut variables = Variables::new();
    variables.insert(name, Value::Array(ids.into()));
    variables
}

/// One JSON value. Integers beyond `i64` are refused: SurrealDB would make them floats.
fn to_value(json: Json) -> Result<Value, DatabaseError> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(bool),
        Json::Number(number) => match (number.as_i64(), number.is_u64(), number.as_f64()) {
            (Some(int), _, _) => Value::Number(Number::Int(int)),
            (None, false, Some(float)) => Value::Number(Number::Float(float)),
            (None, true, _) | (None, false, None) => {
                return Err(DatabaseError::bug("a number is larger than the database can hold exactly"));
            }
        },
        Json::String(string) => Value::String(string),
        Json::Array(items) => Value::Array(items.into_iter().map(to_value).collect::<Result<Vec<_>, _>>()?.into()),
        Json::Object(members) => {
            let mut object = Object::new();
            for (name, value) in members {
                object.insert(name, to_value(value)?);
            }
            Value::Object(object)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_never_rounded() {
        assert!(to_variables(json!({"n": i64::MAX})).is_ok());
        assert!(to_variables(json!({"n": i64::MAX as u64 + 1})).is_err());
    }

    #[test]
    fn bindings_are_named() {
        assert!(to_variables(()).unwrap().is_empty());
        assert!(to_variables([1, 2]).is_err());
    }
}
