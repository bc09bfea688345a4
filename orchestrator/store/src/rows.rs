//! How records look in SurrealDB, and their way to and from the engine's types.

use amends_core::definition::DefinitionRef;
use amends_core::state::SagaState;
use amends_engine::ports::{JournalEntry, JournalRecord, StoreError, StoredSaga, UnreadEntry, UnreadSaga};
use amends_schemas::ids::{PartitionId, SagaId};
use serde::{Deserialize, Serialize};
use surrealdb::types::{Array, Bytes, Datetime, RecordId, RecordIdKey, SurrealValue, Value, Variables};

use crate::codec::{self, FORMAT, Failure};
use crate::completed::completed_id;
use crate::keys::{VIEW_VERSION, keys_of, turns_of};
use crate::rank::Rank;
use crate::tally::Tally;

/// The columns that [`JournalRow`] reads.
pub(crate) const JOURNAL_COLUMNS: &str = "id, epoch, owner, at, format, entries";
/// The columns that [`StateRow`] reads, of `saga` and of `completed`.
pub(crate) const STATE_COLUMNS: &str = "id, rank, waiting_for, format, state";
/// The columns that [`ListedRow`] reads: no blob.
pub(crate) const LISTED_COLUMNS: &str =
    "id, keys, definition, version, status, paused, waiting_for, tags, created_at, updated_at";

/// A row of `journal`.
#[derive(Debug, Clone, PartialEq, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct JournalRow {
    pub(crate) id: RecordId,
    pub(crate) epoch: i64,
    pub(crate) owner: String,
    pub(crate) at: Datetime,
    pub(crate) format: i64,
    pub(crate) entries: Bytes,
}

/// A row of `saga`, as it is written.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct SagaRow {
    id: RecordId,
    rank: String,
    keys: Vec<String>,
    turn: String,
    turns: Vec<String>,
    view: i64,
    partition: i64,
    settled: bool,
    definition: String,
    version: i64,
    status: String,
    paused: bool,
    waiting_for: Option<String>,
    tags: Vec<String>,
    created_at: Datetime,
    updated_at: Datetime,
    format: i64,
    state: Bytes,
}

/// A row of `saga` or `completed`, as it is recovered.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct StateRow {
    id: RecordId,
    /// None of a row of `completed`.
    rank: Option<String>,
    waiting_for: Option<String>,
    format: i64,
    state: Bytes,
}

/// What the blob of a saga holds.
#[derive(Serialize)]
struct SagaBlobRef<'a> {
    state: &'a SagaState,
    positions: &'a [u64],
}

/// The same, read.
#[derive(Deserialize)]
struct SagaBlob {
    state: SagaState,
    positions: Vec<u64>,
}

/// As much of it as every version writes alike.
#[derive(Deserialize)]
struct PinnedBlob {
    state: Pinned,
}

#[derive(Deserialize)]
struct Pinned {
    definition: DefinitionRef,
}

/// As much of an entry.
#[derive(Deserialize)]
struct EntryHead {
    saga_id: SagaId,
}

/// The entries of a record: those that this version knows to the end, and whose the others are.
pub(crate) fn entries(what: &str, blob: &[u8]) -> Result<(Vec<JournalEntry>, Vec<UnreadEntry>), StoreError> {
    if let Ok(entries) = codec::read(blob) {
        return Ok((entries, Vec::new()));
    }
    let (mut entries, mut unread) = (Vec::new(), Vec::new());
    for raw in codec::split(what, blob)? {
        match codec::read::<JournalEntry>(raw) {
            Ok(entry) => entries.push(entry),
            Err(Failure::Newer(why)) => {
                unread.push(UnreadEntry { saga_id: entry_saga_id(what, raw)?, why: format!("{what} says {why}") });
            }
            Err(Failure::Damaged(why)) => return Err(StoreError::Damaged(format!("{what} cannot be read: {why}"))),
        }
    }
    Ok((entries, unread))
}

/// Which saga an entry is about, whatever else it says.
pub(crate) fn entry_saga_id(what: &str, raw: &[u8]) -> Result<SagaId, StoreError> {
    rmp_serde::from_slice::<EntryHead>(raw)
        .map(|head| head.saga_id)
        .map_err(|_| StoreError::Damaged(format!("{what} has an entry that names no saga")))
}

/// The id of a journal record.
pub(crate) fn journal_id(partition: PartitionId, position: u64) -> Result<RecordId, StoreError> {
    let position = to_i64("a journal position", position)?;
    Ok(RecordId::new("journal", Array::from(vec![i64::from(partition.0), position])))
}

/// The id of a saga's row.
pub(crate) fn saga_id(saga_id: SagaId) -> RecordId {
    RecordId::new("saga", saga_id.to_string())
}

/// The ids under which a saga's row may stand: it has one of them at most.
pub(crate) fn row_ids(saga: SagaId) -> [RecordId; 2] {
    [saga_id(saga), completed_id(saga)]
}

/// Ids as one binding.
pub(crate) fn ids(name: &str, ids: &[RecordId]) -> Variables {
    let mut bindings = Variables::new();
    bindings.insert(name, Array::from(ids.to_vec()).into_value());
    bindings
}

/// The blob of a saga's row.
pub(crate) fn state_of(saga: &StoredSaga) -> Result<Vec<u8>, StoreError> {
    let blob = SagaBlobRef { state: &saga.state, positions: &saga.positions };
    codec::encode(format_args!("saga {}", saga.state.saga_id), &blob)
}

/// The parts of an id like `[partition, …]`; none of any other id.
pub(crate) fn array_of(id: &RecordId) -> &[Value] {
    match &id.key {
        RecordIdKey::Array(array) => array.as_slice(),
        RecordIdKey::Number(_)
        | RecordIdKey::String(_)
        | RecordIdKey::Uuid(_)
        | RecordIdKey::Object(_)
        | RecordIdKey::Range(_) => &[],
    }
}

/// The text behind the partition in an id like `[partition, text, …]`.
pub(crate) fn second_part(id: &RecordId) -> Option<&str> {
    match array_of(id) {
        [_, Value::String(text), ..] => Some(text.as_str()),
        _ => None,
    }
}

/// SurrealDB's integers are signed.
pub(crate) fn to_i64(what: &str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Invalid(format!("{what} cannot be {number}")))
}

/// Rows of one statement as one of the types above.
pub(crate) fn from_values<T: SurrealValue>(table: &str, values: Vec<Value>) -> Result<Vec<T>, StoreError> {
    let read =
        |value| T::from_value(value).map_err(|_| StoreError::Damaged(format!("a row of {table} lacks a column")));
    values.into_iter().map(read).collect()
}

impl JournalRow {
    pub(crate) fn new(record: &JournalRecord) -> Result<Self, StoreError> {
        let what = format_args!("position {} of partition {}", record.position, record.partition).to_string();
        Ok(Self {
            id: journal_id(record.partition, record.position)?,
            epoch: to_i64("an epoch", record.epoch)?,
            owner: record.owner.clone(),
            at: record.at.into(),
            format: i64::from(FORMAT),
            entries: codec::encode(what, &record.entries)?.into(),
        })
    }

    /// Of what makes it large.
    pub(crate) fn blob_bytes(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn position(&self) -> Result<(PartitionId, u64), StoreError> {
        let numbers = match &self.id.key {
            RecordIdKey::Array(array) => array.iter().map(|value| value.as_int().copied()).collect::<Vec<_>>(),
            RecordIdKey::Number(_)
            | RecordIdKey::String(_)
            | RecordIdKey::Uuid(_)
            | RecordIdKey::Object(_)
            | RecordIdKey::Range(_) => Vec::new(),
        };
        match numbers[..] {
            [Some(partition), Some(position)] => u16::try_from(partition)
                .ok()
                .zip(u64::try_from(position).ok())
                .map(|(partition, position)| (PartitionId(partition), position)),
            _ => None,
        }
        .ok_or_else(|| StoreError::Damaged("a record of the journal has an id that is no [partition, position]".into()))
    }

    pub(crate) fn into_record(self) -> Result<JournalRecord, StoreError> {
        let (partition, position) = self.position()?;
        let what = format!("position {position} of partition {partition}");
        let (entries, unread) = entries(&what, &codec::open(&what, self.format, &self.entries)?)?;
        let epoch =
            u64::try_from(self.epoch).map_err(|_| StoreError::Damaged(format!("{what} has a negative epoch")))?;
        Ok(JournalRecord { partition, position, epoch, owner: self.owner, at: self.at.into(), entries, unread })
    }
}

impl SagaRow {
    /// With the blob that [`state_of`] made.
    pub(crate) fn new(partition: PartitionId, saga: &StoredSaga, blob: Vec<u8>) -> Self {
        let state = &saga.state;
        Self {
            id: saga_id(state.saga_id),
            rank: Rank::new(state.created_at, state.saga_id).to_string(),
            keys: keys_of(partition, state, &saga.standing),
            turn: Rank::new(state.updated_at, state.saga_id).to_string(),
            turns: turns_of(state),
            view: VIEW_VERSION,
            partition: i64::from(partition.0),
            settled: state.is_settled(),
            definition: state.definition.name.to_string(),
            version: i64::from(state.definition.version),
            status: state.status.as_str().to_owned(),
            paused: state.paused,
            waiting_for: saga.waiting_for.clone(),
            tags: state.tags.iter().cloned().collect(),
            created_at: state.created_at.into(),
            updated_at: state.updated_at.into(),
            format: i64::from(FORMAT),
            state: blob.into(),
        }
    }

    /// Under how many keys it is found.
    pub(crate) fn key_count(&self) -> usize {
        self.keys.len() + self.turns.len()
    }

    /// Whose it is.
    pub(crate) fn saga_id(&self) -> Option<SagaId> {
        saga_id_of(&self.id).ok()
    }

    /// Adds it to what is counted.
    pub(crate) fn count(&self, tally: &mut Tally) {
        tally.is(self.partition, &self.definition, &self.status, self.paused);
    }
}

impl StateRow {
    /// Its place in the order in which sagas were accepted.
    pub(crate) fn rank(&self) -> Result<&str, StoreError> {
        self.rank.as_deref().ok_or_else(|| StoreError::Damaged("a row of saga lacks its rank".into()))
    }

    pub(crate) fn saga_id(&self) -> Result<SagaId, StoreError> {
        saga_id_of(&self.id)
    }

    pub(crate) fn into_saga(self) -> Result<StoredSaga, StoreError> {
        let saga_id = saga_id_of(&self.id)?;
        let unread = |definition, why| StoreError::Unread(Box::new(UnreadSaga { saga_id, definition, why }));
        if !codec::is_known(self.format) {
            return Err(unread(None, format!("its row is in format {}", self.format)));
        }
        let plain = codec::open(format_args!("the row of saga {saga_id}"), self.format, &self.state)?;
        match codec::read::<SagaBlob>(&plain) {
            Ok(SagaBlob { state, positions }) => {
                Ok(StoredSaga { state, positions, waiting_for: self.waiting_for, standing: Vec::new(), is_new: false })
            }
            Err(Failure::Newer(why)) => {
                let pinned: Option<PinnedBlob> = rmp_serde::from_slice(&plain).ok();
                Err(unread(pinned.map(|blob| blob.state.definition), format!("its row says {why}")))
            }
            Err(Failure::Damaged(why)) => {
                Err(StoreError::Damaged(format!("the row of saga {saga_id} cannot be read: {why}")))
            }
        }
    }
}

pub(crate) fn saga_id_of(id: &RecordId) -> Result<SagaId, StoreError> {
    match &id.key {
        RecordIdKey::String(text) => text.parse().ok(),
        RecordIdKey::Number(_)
        | RecordIdKey::Uuid(_)
        | RecordIdKey::Array(_)
        | RecordIdKey::Object(_)
        | RecordIdKey::Range(_) => None,
    }
    .ok_or_else(|| StoreError::Damaged("a row of saga has an id that is no saga's id".into()))
}
