//! Facts before the checkpoint that no row contains: an owner could not read them, and a newer version will.

use amends_database::{Database, DatabaseError, ErrorKind, Transaction};
use amends_engine::ports::{ParkedFacts, StoreError};
use amends_schemas::ids::{PartitionId, SagaId};
use surrealdb::types::{Array, RecordId, SurrealValue, Value, Variables};

use crate::project::{Checkpoint, fenced, stored_checkpoint, write_checkpoint};
use crate::rows::{from_values, second_part, to_i64};
use crate::store::unavailable;

/// How often the projector of the owner before may get in the way.
const PARK_ATTEMPTS_MAX: usize = 8;

/// A row of `parked`.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct ParkedRow {
    id: RecordId,
    positions: Vec<i64>,
}

/// Puts a new list in the place of the old one.
pub(crate) async fn park(
    database: &Database,
    partition: PartitionId,
    epoch: u64,
    parked: &[ParkedFacts],
) -> Result<(), StoreError> {
    let mut rows: Vec<Value> = Vec::with_capacity(parked.len());
    for saga in parked {
        let positions = saga.positions.iter().map(|&position| to_i64("a journal position", position));
        let key = Array::from(vec![i64::from(partition.0).into_value(), saga.saga_id.to_string().into_value()]);
        let row = ParkedRow { id: RecordId::new("parked", key), positions: positions.collect::<Result<_, _>>()? };
        rows.push(row.into_value());
    }
    let mut attempt = 1;
    loop {
        match try_park(database, partition, epoch, &rows).await {
            Ok(stored) if stored.epoch > epoch => return Err(fenced(partition, stored)),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < PARK_ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(unavailable("remembering what cannot be read", &error)),
        }
    }
}

/// The checkpoint as it is then: of a later epoch when nothing was written. Otherwise it has this epoch, so that the owner before
/// cannot move it any more.
async fn try_park(
    database: &Database,
    partition: PartitionId,
    epoch: u64,
    rows: &[Value],
) -> Result<Checkpoint, DatabaseError> {
    let transaction = database.begin().await?;
    let stored = stored_checkpoint(&transaction, partition).await?.unwrap_or(Checkpoint { epoch, position: 0 });
    if stored.epoch > epoch {
        transaction.cancel().await?;
        return Ok(stored);
    }
    let moved = Checkpoint { epoch, position: stored.position };
    write_checkpoint(&transaction, partition, moved).await?;
    let mut bindings = Variables::new();
    bindings.insert("partition", i64::from(partition.0));
    transaction.query_values("DELETE parked:[$partition]..[$partition + 1] RETURN NONE", bindings).await?;
    if !rows.is_empty() {
        let mut bindings = Variables::new();
        bindings.insert("rows", Array::from(rows.to_vec()).into_value());
        transaction.query_values("INSERT INTO parked $rows RETURN NONE", bindings).await?;
    }
    transaction.commit().await?;
    Ok(moved)
}

/// The list as it was last written.
pub(crate) async fn parked(snapshot: &Transaction, partition: PartitionId) -> Result<Vec<ParkedFacts>, StoreError> {
    let mut bindings = Variables::new();
    bindings.insert("partition", i64::from(partition.0));
    let values = snapshot
        .query_values("SELECT id, positions FROM parked:[$partition]..[$partition + 1]", bindings)
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable("reading what could not be read", &error))?;
    let rows: Vec<ParkedRow> = from_values("parked", values)?;
    rows.into_iter().map(ParkedRow::into_facts).collect()
}

impl ParkedRow {
    fn into_facts(self) -> Result<ParkedFacts, StoreError> {
        let damaged = || StoreError::Damaged("a row of parked is not as it was written".to_owned());
        let saga_id: SagaId = second_part(&self.id).and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
        let positions = self.positions.into_iter().map(|position| u64::try_from(position).map_err(|_| damaged()));
        Ok(ParkedFacts { saga_id, positions: positions.collect::<Result<_, _>>()? })
    }
}
