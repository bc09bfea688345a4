//! Bulk operations: a row each, changed by compare-and-set on its revision.

use amends_database::{Database, DatabaseError, ErrorKind};
use amends_engine::bulk::{BulkRecord, BulkStore};
use amends_engine::ports::StoreError;
use amends_schemas::bulk::{BulkOperation, ListBulk};
use amends_schemas::cursor;
use amends_schemas::ids::{BulkId, SagaId};
use amends_schemas::limits::{PAGE_DEFAULT, PAGE_MAX};
use amends_schemas::saga::Page;
use async_trait::async_trait;
use surrealdb::types::{Bytes, RecordId, SurrealValue, Value, Variables};

use crate::codec::{self, FORMAT, Failure};
use crate::keys::EVERY;
use crate::rank::Rank;
use crate::rows::{from_values, to_i64};
use crate::store::{SurrealStore, unavailable};

/// The key of those that are to go on.
const RUNNING: &str = "running";

/// What a cursor belongs to: there is one list.
const QUESTION: &str = "bulk operations";

/// How often a change is tried when others change their rows at the same moment.
const CHANGE_ATTEMPTS_MAX: usize = 8;

/// The columns that [`BulkRow`] reads.
const COLUMNS: &str = "id, rank, keys, revision, format, state";

/// A row of `bulk`. The id of an operation sorts it among those of the same microsecond.
#[derive(Debug, Clone, SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct BulkRow {
    id: RecordId,
    rank: String,
    keys: Vec<String>,
    revision: i64,
    format: i64,
    state: Bytes,
}

fn row_id(bulk_id: BulkId) -> RecordId {
    RecordId::new("bulk", bulk_id.to_string())
}

impl BulkRow {
    fn new(record: &BulkRecord) -> Result<Self, StoreError> {
        let bulk_id = record.operation.bulk_id;
        let mut keys = vec![EVERY.to_owned()];
        keys.extend(record.is_running().then(|| RUNNING.to_owned()));
        Ok(Self {
            id: row_id(bulk_id),
            rank: Rank::new(record.operation.created_at, SagaId(bulk_id.uuid())).to_string(),
            keys,
            revision: to_i64("a revision", record.revision)?,
            format: i64::from(FORMAT),
            state: codec::encode(format_args!("bulk operation {bulk_id}"), record)?.into(),
        })
    }

    fn into_record(self) -> Result<BulkRecord, StoreError> {
        let plain = codec::open("a bulk operation", self.format, &self.state)?;
        let record: BulkRecord = codec::read(&plain).map_err(|failure| match failure {
            Failure::Newer(why) | Failure::Damaged(why) => {
                StoreError::Damaged(format!("a bulk operation cannot be read: {why}"))
            }
        })?;
        let revision = u64::try_from(self.revision)
            .map_err(|_| StoreError::Damaged(format!("a bulk operation has revision {}", self.revision)))?;
        Ok(BulkRecord { revision, ..record })
    }
}

async fn rows(database: &Database, statement: &str, bindings: Variables) -> Result<Vec<BulkRow>, StoreError> {
    let values = database
        .query_values(statement, bindings)
        .await
        .and_then(|mut rows| rows.take_values(0))
        .map_err(|error| unavailable("reading bulk operations", &error))?;
    from_values("bulk", values)
}

async fn change(database: &Database, statement: &str, bindings: Variables) -> Result<Vec<Value>, DatabaseError> {
    let mut attempt = 1;
    loop {
        let changed = database.query_values(statement, bindings.clone()).await.and_then(|mut rows| rows.take_values(0));
        match changed {
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < CHANGE_ATTEMPTS_MAX => attempt += 1,
            changed => return changed,
        }
    }
}

/// Running operations read to find those that began first. The index is walked forward although that is its other end: backward the embedded
/// engine passes everything in its table in memory, at every look.
const RUNNING_READ_MAX: usize = 1_000;

#[async_trait]
impl BulkStore for SurrealStore {
    async fn create_bulk(&self, record: &BulkRecord) -> Result<Option<BulkRecord>, StoreError> {
        let mut bindings = Variables::new();
        bindings.insert("row", BulkRow::new(record)?.into_value());
        match change(&self.database, "INSERT INTO bulk $row RETURN VALUE revision", bindings).await {
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.load_bulk(record.operation.bulk_id).await,
            Err(error) => Err(unavailable("beginning a bulk operation", &error)),
        }
    }

    async fn load_bulk(&self, bulk_id: BulkId) -> Result<Option<BulkRecord>, StoreError> {
        let mut bindings = Variables::new();
        bindings.insert("id", row_id(bulk_id));
        let found = rows(&self.database, &format!("SELECT {COLUMNS} FROM $id"), bindings).await?;
        found.into_iter().next().map(BulkRow::into_record).transpose()
    }

    async fn list_bulk(&self, query: &ListBulk) -> Result<Page<BulkOperation>, StoreError> {
        let after = match query.cursor.as_deref() {
            None => "",
            Some(cursor) => cursor::open(cursor, QUESTION)
                .ok_or_else(|| StoreError::Invalid("the cursor is not one that a page of this list gave".into()))?,
        };
        let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let statement =
            format!("SELECT {COLUMNS} FROM bulk WHERE keys CONTAINS $key AND rank > $after ORDER BY rank LIMIT $limit");
        let mut bindings = Variables::new();
        bindings.insert("key", EVERY);
        bindings.insert("after", after);
        bindings.insert("limit", i64::try_from(limit + 1).unwrap_or(i64::MAX));
        let mut found = rows(&self.database, &statement, bindings).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| more).map(|last| cursor::seal(&last.rank, QUESTION));
        let items = found.into_iter().map(|row| row.into_record().map(|record| record.operation));
        Ok(Page { items: items.collect::<Result<_, _>>()?, next_cursor })
    }

    async fn running_bulk(&self, most: usize) -> Result<Vec<BulkRecord>, StoreError> {
        let statement =
            format!("SELECT {COLUMNS} FROM bulk WHERE keys CONTAINS $key AND rank > '' ORDER BY rank LIMIT $limit");
        let mut bindings = Variables::new();
        bindings.insert("key", RUNNING);
        bindings.insert("limit", i64::try_from(RUNNING_READ_MAX.max(most)).unwrap_or(i64::MAX));
        let found = rows(&self.database, &statement, bindings).await?;
        // Those that began first have a place first. What a newer version began with a verb that is not known here is left to it.
        Ok(found.into_iter().rev().filter_map(|row| row.into_record().ok()).take(most).collect())
    }

    async fn replace_bulk(&self, record: &BulkRecord) -> Result<bool, StoreError> {
        let mut bindings = Variables::new();
        bindings.insert("id", row_id(record.operation.bulk_id));
        bindings.insert("row", BulkRow::new(record)?.into_value());
        bindings.insert("before", to_i64("a revision", record.revision.saturating_sub(1))?);
        let statement = "UPDATE $id CONTENT $row WHERE revision = $before RETURN VALUE revision";
        let changed = change(&self.database, statement, bindings).await;
        changed.map(|rows| !rows.is_empty()).map_err(|error| unavailable("changing a bulk operation", &error))
    }
}
