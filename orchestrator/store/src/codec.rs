//! Blobs: MessagePack with field names, so that fields can be added, under a number that says how it is written.

use std::fmt::Display;

use amends_engine::ports::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How this version writes blobs: MessagePack, structs as maps by field name. A change that an older reader would misread gets
/// the next number, and [`decode`] learns both.
pub(crate) const FORMAT: u8 = 1;

/// Largest blob, in bytes. A commit must fit into SurrealKV's memtable and a message to a remote server; the engine's batches are far
/// smaller.
pub(crate) const BLOB_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Writes a blob in [`FORMAT`].
pub(crate) fn encode<T: Serialize>(what: impl Display, value: &T) -> Result<Vec<u8>, StoreError> {
    let blob = rmp_serde::to_vec_named(value)
        .map_err(|error| StoreError::Invalid(format!("{what} cannot be written as MessagePack: {error}")))?;
    if blob.len() > BLOB_BYTES_MAX {
        return Err(StoreError::Invalid(format!("{what} takes {} bytes and {BLOB_BYTES_MAX} are allowed", blob.len())));
    }
    Ok(blob)
}

/// Reads a blob that says it is written in `format`.
pub(crate) fn decode<T: DeserializeOwned>(what: impl Display, format: i64, blob: &[u8]) -> Result<T, StoreError> {
    if format != i64::from(FORMAT) {
        return Err(StoreError::Damaged(format!(
            "{what} is written in format {format} and this version reads format {FORMAT}: start the version that wrote it, or a later one"
        )));
    }
    rmp_serde::from_slice(blob).map_err(|error| StoreError::Damaged(format!("{what} cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use amends_core::state::SagaState;
    use amends_engine::ports::JournalEntry;

    use super::*;

    /// Blobs that were written before operators could do anything; the JSON beside each says what they hold.
    #[test]
    fn blobs_of_earlier_versions_are_read() {
        let journal: Vec<JournalEntry> = decode("it", 1, include_bytes!("golden/journal-1.msgpack")).unwrap();
        let wanted: Vec<JournalEntry> = serde_json::from_str(include_str!("golden/journal-1.json")).unwrap();
        assert_eq!(journal, wanted);
        assert_eq!(encode("it", &journal).unwrap(), include_bytes!("golden/journal-1.msgpack"), "written as ever");
        let state: SagaState = decode("it", 1, include_bytes!("golden/state-1.msgpack")).unwrap();
        assert_eq!(state, serde_json::from_str(include_str!("golden/state-1.json")).unwrap());
    }

    #[test]
    fn an_unknown_format_is_named() {
        let error = decode::<u8>("position 7 of partition 3", 9, &[0]).unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged(text) if text.contains("position 7 of partition 3 is written in format 9")),
            "{error}"
        );
    }

    #[test]
    fn fields_may_be_added() {
        #[derive(Serialize)]
        struct Old {
            a: u8,
        }
        #[derive(serde::Deserialize)]
        struct New {
            a: u8,
            #[serde(default)]
            b: Option<String>,
        }
        let new: New = decode("it", i64::from(FORMAT), &encode("it", &Old { a: 1 }).unwrap()).unwrap();
        assert_eq!((new.a, new.b), (1, None));
    }

    #[test]
    fn a_blob_that_is_too_large_is_refused() {
        assert!(matches!(encode("it", &vec!["x"; BLOB_BYTES_MAX]), Err(StoreError::Invalid(_))));
    }
}
