//! Blobs: MessagePack with field names, so that fields can be added, compressed, under a number that says how it is written.
//!
//! What a blob says over and over (field names, codes, times) is most of it: compressed, a journal record takes a quarter and the row of a saga
//! half, and all that a database does with bytes afterwards, down to merging its files again and again, with them.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Cursor;

use amends_engine::ports::StoreError;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

/// How this version writes blobs: MessagePack, structs as maps by field name, as an LZ4 block behind its size in four bytes. A change that an
/// older reader would misread gets the next number, and [`open`] learns both. An orchestrator that knows but the older one cannot read such records
/// at all, so that all of them are to be replaced at once; fields and variants, which park single sagas, come without a new number.
pub(crate) const FORMAT: u8 = 3;

/// The same, by versions that do not look for completed sagas in a table of their own: they would take one that stands there for one that never
/// was, and accept it again.
const WITHOUT_COMPLETED: i64 = 2;

/// The same, not compressed.
const PLAIN: i64 = 1;

/// Largest blob before it is compressed, in bytes. A commit must fit into SurrealKV's memtable and a message to a remote server; the engine's batches are far
/// smaller.
pub(crate) const BLOB_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Writes a blob in [`FORMAT`].
pub(crate) fn encode<T: Serialize>(what: impl Display, value: &T) -> Result<Vec<u8>, StoreError> {
    let blob = rmp_serde::to_vec_named(value)
        .map_err(|error| StoreError::Invalid(format!("{what} cannot be written as MessagePack: {error}")))?;
    if blob.len() > BLOB_BYTES_MAX {
        return Err(StoreError::Invalid(format!("{what} takes {} bytes and {BLOB_BYTES_MAX} are allowed", blob.len())));
    }
    Ok(pack(&blob))
}

/// What [`open`] gave, as it is written in [`FORMAT`].
pub(crate) fn pack(plain: &[u8]) -> Vec<u8> {
    lz4_flex::compress_prepend_size(plain)
}

/// Whether [`open`] knows it.
pub(crate) fn is_known(format: i64) -> bool {
    [PLAIN, WITHOUT_COMPLETED, FORMAT.into()].contains(&format)
}

/// The MessagePack of a blob that is written in this format.
pub(crate) fn open(what: impl Display, format: i64, blob: &[u8]) -> Result<Cow<'_, [u8]>, StoreError> {
    if format == PLAIN {
        return Ok(Cow::Borrowed(blob));
    }
    if !is_known(format) {
        return Err(StoreError::Damaged(format!(
            "{what} is written in format {format} and this version reads formats up to {FORMAT}: start the version that wrote it, or a later one"
        )));
    }
    let unpacked = match lz4_flex::block::uncompressed_size(blob) {
        Ok((size, block)) if size <= BLOB_BYTES_MAX => lz4_flex::decompress(block, size).ok(),
        Ok(_) | Err(_) => None,
    };
    unpacked.map(Cow::Owned).ok_or_else(|| StoreError::Damaged(format!("{what} cannot be unpacked")))
}

/// Why a value was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is whole, but says what this version does not know.
    Newer(String),
    /// It is no MessagePack, or torn.
    Damaged(String),
}

/// Reads a value, if this version knows it to the last field: what it would leave out, it would lose when the value is written again.
pub(crate) fn read<T: DeserializeOwned>(blob: &[u8]) -> Result<T, Failure> {
    let mut unknown: Option<String> = None;
    let mut reader = rmp_serde::Deserializer::from_read_ref(blob);
    let value = serde_ignored::deserialize(&mut reader, |path| {
        unknown.get_or_insert_with(|| path.to_string());
    });
    match (value, unknown) {
        (Ok(value), None) => Ok(value),
        (Ok(_), Some(field)) => Err(Failure::Newer(format!("the field `{field}`"))),
        (Err(error), _) if length(blob).is_some_and(|length| length == blob.len()) => {
            Err(Failure::Newer(without_values(&error.to_string())))
        }
        (Err(error), _) => Err(Failure::Damaged(without_values(&error.to_string()))),
    }
}

/// What serde says, without the list of what it expected and without what was stored, for errors reach logs.
fn without_values(error: &str) -> String {
    let said = error.split(", expected").next().unwrap_or_default();
    if said.contains('"') { "a value of another kind".to_owned() } else { said.to_owned() }
}

/// The elements of an array, each as it is written.
pub(crate) fn split(what: impl Display, blob: &[u8]) -> Result<Vec<&[u8]>, StoreError> {
    try_split(blob).ok_or_else(|| StoreError::Damaged(format!("{what} is no list")))
}

fn try_split(blob: &[u8]) -> Option<Vec<&[u8]>> {
    // MessagePack's three ways of beginning an array.
    let (count, mut rest) = match blob {
        [head @ 0x90..=0x9f, rest @ ..] => (usize::from(head & 0x0f), rest),
        [0xdc, a, b, rest @ ..] => (usize::from(u16::from_be_bytes([*a, *b])), rest),
        [0xdd, a, b, c, d, rest @ ..] => (usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok()?, rest),
        _ => return None,
    };
    let mut elements = Vec::new();
    for _ in 0..count {
        let (element, after) = rest.split_at_checked(length(rest)?)?;
        elements.push(element);
        rest = after;
    }
    rest.is_empty().then_some(elements)
}

/// An array of what [`split`] gave.
pub(crate) fn join(elements: &[Vec<u8>]) -> Vec<u8> {
    let count = u32::try_from(elements.len()).expect("the elements of a list that fit into memory");
    let mut blob = vec![0xdd];
    blob.extend(count.to_be_bytes());
    elements.iter().for_each(|element| blob.extend(element));
    blob
}

/// How many bytes the value at the beginning takes; none when it is no MessagePack, or torn.
fn length(blob: &[u8]) -> Option<usize> {
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(blob));
    IgnoredAny::deserialize(&mut reader).ok()?;
    usize::try_from(reader.position()).ok()
}

#[cfg(test)]
mod tests {
    use amends_core::state::SagaState;
    use amends_engine::ports::JournalEntry;

    use super::*;

    /// Blobs that were written before operators could do anything; the JSON beside each says what they hold.
    #[test]
    fn blobs_of_earlier_versions_are_read() {
        let journal: Vec<JournalEntry> = read(include_bytes!("golden/journal-1.msgpack")).unwrap();
        let wanted: Vec<JournalEntry> = serde_json::from_str(include_str!("golden/journal-1.json")).unwrap();
        assert_eq!(journal, wanted);
        let written = encode("it", &journal).unwrap();
        assert_eq!(*opened(&written), *include_bytes!("golden/journal-1.msgpack"), "written as ever");
        let state: SagaState = read(include_bytes!("golden/state-1.msgpack")).unwrap();
        assert_eq!(state, serde_json::from_str(include_str!("golden/state-1.json")).unwrap());
    }

    fn opened(blob: &[u8]) -> Cow<'_, [u8]> {
        open("it", i64::from(FORMAT), blob).unwrap()
    }

    #[test]
    fn what_was_written_before_blobs_were_compressed_is_opened_and_what_is_torn_is_damage() {
        assert_eq!(*open("it", PLAIN, b"as it is").unwrap(), *b"as it is");
        let packed = pack(&[7; 10_000]);
        assert!(packed.len() < 100, "{}", packed.len());
        for format in [WITHOUT_COMPLETED, FORMAT.into()] {
            assert_eq!(*open("it", format, &packed).unwrap(), [7; 10_000]);
        }
        let too_large = [&u32::MAX.to_le_bytes()[..], &packed[4..]].concat();
        for torn in [&packed[..3], &packed[..packed.len() - 1], &[0xff; 9], &too_large] {
            assert!(matches!(open("it", 2, torn), Err(StoreError::Damaged(_))), "{torn:?}");
        }
    }

    #[test]
    fn an_unknown_format_is_named() {
        let error = open("position 7 of partition 3", 9, &[]).unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged(text) if text.contains("position 7 of partition 3 is written in format 9")),
            "{error}"
        );
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Old {
        a: u8,
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct New {
        a: u8,
        #[serde(default)]
        b: Option<String>,
    }

    #[test]
    fn a_field_that_was_added_is_read_and_one_that_will_be_is_not_lost() {
        let old = encode("it", &Old { a: 1 }).unwrap();
        assert_eq!(read::<New>(&opened(&old)), Ok(New { a: 1, b: None }));
        let new = encode("it", &New { a: 1, b: Some("secret".into()) }).unwrap();
        assert_eq!(read::<Old>(&opened(&new)), Err(Failure::Newer("the field `b`".into())));
    }

    #[test]
    fn what_is_not_known_is_told_from_what_is_torn_and_nothing_stored_is_said() {
        let blob = rmp_serde::to_vec_named("secret").unwrap();
        assert!(matches!(read::<u8>(&blob), Err(Failure::Newer(said)) if !said.contains("secret")));
        assert!(matches!(read::<String>(&blob[..3]), Err(Failure::Damaged(said)) if !said.contains("secret")));
        let fact = encode("it", &std::collections::BTreeMap::from([("ship_launched", 1)])).unwrap();
        let failure = read::<amends_core::event::Fact>(&opened(&fact));
        assert_eq!(failure, Err(Failure::Newer("unknown variant `ship_launched`".into())));
    }

    #[test]
    fn a_list_is_split_into_what_it_was_made_of() {
        for count in [0, 1, 15, 16, 70_000_usize] {
            let list: Vec<String> = (0..count).map(|n| n.to_string()).collect();
            let blob = rmp_serde::to_vec_named(&list).unwrap();
            let elements: Vec<String> = split("it", &blob).unwrap().into_iter().map(|raw| read(raw).unwrap()).collect();
            assert_eq!(elements, list);
            let raws: Vec<Vec<u8>> = split("it", &blob).unwrap().into_iter().map(<[u8]>::to_vec).collect();
            assert_eq!(read::<Vec<String>>(&join(&raws)).unwrap(), list);
            assert!(split("it", &[&blob[..], &[0xc0]].concat()).is_err(), "more than the list");
        }
        for torn in [&[][..], &[0x80], &[0x92, 1], &[0xdc, 0], &[0x91, 0xc1]] {
            assert!(split("it", torn).is_err(), "{torn:?}");
        }
    }

    #[test]
    fn a_blob_that_is_too_large_is_refused() {
        assert!(matches!(encode("it", &vec!["x"; BLOB_BYTES_MAX]), Err(StoreError::Invalid(_))));
    }
}
