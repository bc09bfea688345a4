//! The journal: one record per committed batch, created once and never changed.

use std::collections::HashMap;

use amends_database::{Database, ErrorKind};
use amends_engine::ports::{JournalRecord, StoreError};
use amends_schemas::ids::PartitionId;
use surrealdb::types::{Array, RecordId, SurrealValue, Variables};

use crate::rows::{JOURNAL_COLUMNS, JournalRow, from_values, journal_id};
use crate::store::unavailable;

/// How often creating a record may meet a write conflict without there being a record afterwards (whoever collided failed too).
const APPEND_ATTEMPTS_MAX: usize = 8;

/// Records read by one statement: bounds the memory of one answer.
const READ_CHUNK: usize = 256;

/// One statement, one record, one fsync.
const CREATE: &str = "CREATE $id CONTENT $row RETURN NONE";

/// Creates the record, or finds out who did.
pub(crate) async fn append(database: &Database, row: &JournalRow) -> Result<(), StoreError> {
    for _ in 0..APPEND_ATTEMPTS_MAX {
        let mut bindings = Variables::new();
        bindings.insert("id", row.id.clone());
        bindings.insert("row", row.clone());
        let error = match database.query_values(CREATE, bindings).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::Conflict => {
                if let Some(found) = read(database, vec![row.id.clone()]).await?.pop() {
                    return compare(row, found);
                }
            }
            ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Bug => {
                return Err(unavailable("appending to the journal", &error));
            }
        }
    }
    let (partition, position) = row.position()?;
    Err(StoreError::Unavailable(format!("position {position} of partition {partition} is contended")))
}

/// A record that we wrote, and whose answer was lost, is success; anything else at our position means that we were replaced.
fn compare(ours: &JournalRow, found: JournalRow) -> Result<(), StoreError> {
    if *ours == found {
        return Ok(());
    }
    let (partition, position) = found.position()?;
    let epoch = u64::try_from(found.epoch).unwrap_or_default();
    Err(StoreError::Fenced { partition, position, owner: found.owner, epoch })
}

/// Records by position, in the order asked for.
pub(crate) async fn records(
    database: &Database,
    partition: PartitionId,
    positions: &[u64],
) -> Result<Vec<JournalRecord>, StoreError> {
    let mut found = HashMap::with_capacity(positions.len());
    for chunk in positions.chunks(READ_CHUNK) {
        let ids = chunk.iter().map(|&position| journal_id(partition, position)).collect::<Result<Vec<_>, _>>()?;
        for row in read(database, ids).await? {
            let record = row.into_record()?;
            found.insert(record.position, record);
        }
    }
    Ok(positions.iter().filter_map(|position| found.get(position).cloned()).collect())
}

async fn read(database: &Database, ids: Vec<RecordId>) -> Result<Vec<JournalRow>, StoreError> {
    let mut bindings = Variables::new();
    bindings.insert("ids", Array::from(ids).into_value());
    let values = database
        .query_values(&format!("SELECT {JOURNAL_COLUMNS} FROM $ids"), bindings)
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable("reading the journal", &error))?;
    from_values("the journal", values)
}
