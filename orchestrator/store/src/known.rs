//! Which sagas the view surely does not have, so that accepting a new one need not ask the database: with many in flight that was a third of all it did.
//!
//! A filter of the ids of all rows, partition by partition: it may take an id for known that is not, and then the database is asked; it
//! never takes a known one for unknown. It speaks of a partition only from the moment at which, since this process took the partition over,
//! every saga that had begun by then is in it: whoever owned the partition before may write rows of those, and the sagas that begin later
//! this owner has in memory until it writes their rows itself.
//!
//! A filter is kept in the database now and then ([`kept`]), so that a new owner takes it from there and reads only the journal behind it.
//! Where none is kept, or the journal behind it is truncated, the ids of all rows are read instead, once for all partitions that need it.

mod filter;
mod kept;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use amends_database::Database;
use amends_engine::ports::StoreError;
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use surrealdb::types::{Value, Variables};

use self::filter::Filter;
use self::kept::Kept;
use crate::rows::saga_id_of;
use crate::store::unavailable;

/// Ids read by one statement: bounds the memory of one answer, in which the database reads whole rows.
const PAGE: usize = 500;

/// Where rows are, in the order in which they move when sagas complete: none is missed that moves while they are read. One that moves back has changed, and
/// whoever changed it has added it.
const TABLES: [&str; 2] = ["saga", "completed"];

/// Between two pages: reading must not get into the way of serving.
const PAGE_PAUSE: Duration = Duration::from_millis(5);

/// Before reading is tried again after the database did not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What keeping a filter may cost for each new saga, in bytes: it is kept again after so many that it does not cost more, and a new owner
/// reads the journal of no more than these: of up to eight partitions each after 10,000.
const KEPT_BYTES_EACH: u64 = 200;

/// Records behind what was kept from which on a filter is kept again as soon as they are read: an owner that dies before it has begun enough new
/// sagas leaves its successor no more to read than it had itself.
const RECORDS_KEPT: u64 = 10 * kept::PAGE_RECORDS;

/// How far the filter of a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// What was kept is to be looked for.
    Wanted,
    /// Nothing useful is kept: all rows are to be read.
    RowsWanted,
    /// They are being read, or the journal behind what was kept.
    Underway,
    /// All are in the filter.
    Done,
}

/// What is known of a partition.
#[derive(Debug, Clone)]
struct Known {
    filter: Arc<Filter>,
    reading: Reading,
    /// New sagas since the filter was kept.
    fresh_count: u64,
}

/// The ids that the view may have.
#[derive(Debug, Clone)]
pub(crate) struct KnownSagas {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    partition_count: OnceLock<PartitionCount>,
    readings: Mutex<Readings>,
}

#[derive(Debug, Default)]
struct Readings {
    partitions: BTreeMap<PartitionId, Known>,
    /// Whether a task is at it.
    running: bool,
}

impl KnownSagas {
    pub(crate) fn new(database: Database) -> Self {
        Self { inner: Arc::new(Inner { database, partition_count: OnceLock::new(), readings: Mutex::default() }) }
    }

    /// Says how many partitions there are; before that nothing is surely absent.
    pub(crate) fn establish(&self, partition_count: PartitionCount) {
        // It never changes, so the first is as good as any.
        let _ = self.inner.partition_count.set(partition_count);
    }

    /// A partition was taken over: what had begun by now is read in the background. Must be called within a tokio runtime.
    pub(crate) fn taken_over(&self, partition: PartitionId) {
        let Some(partition_count) = self.inner.partition_count.get() else { return };
        let mut readings = self.inner.readings();
        let filter = readings.partitions.remove(&partition).map(|known| known.filter);
        let filter = filter.unwrap_or_else(|| Arc::new(Filter::new(*partition_count)));
        readings.partitions.insert(partition, Known { filter, reading: Reading::Wanted, fresh_count: 0 });
        if !readings.running {
            readings.running = true;
            tokio::spawn(read(Arc::downgrade(&self.inner)));
        }
    }

    /// A row is about to be written.
    pub(crate) fn add(&self, saga_id: SagaId) {
        let Some(partition_count) = self.inner.partition_count.get() else { return };
        let mut readings = self.inner.readings();
        let Some(known) = readings.partitions.get_mut(&saga_id.partition(*partition_count)) else { return };
        if known.is_absent(saga_id) {
            known.fresh_count += 1;
        }
        known.filter.add(saga_id);
    }

    /// Whether there is no row of this saga, for sure.
    pub(crate) fn surely_absent(&self, saga_id: SagaId) -> bool {
        let Some(partition_count) = self.inner.partition_count.get() else { return false };
        let readings = self.inner.readings();
        readings.partitions.get(&saga_id.partition(*partition_count)).is_some_and(|known| known.is_absent(saga_id))
    }

    /// All sagas begun up to this position have their rows: if there are enough new ones, that is kept. In the background: when it fails, the
    /// next try comes with as many new ones again. Must be called within a tokio runtime.
    pub(crate) fn projected(&self, partition: PartitionId, upto: u64) {
        let mut readings = self.inner.readings();
        let Some(known) = readings.partitions.get_mut(&partition) else { return };
        if known.reading != Reading::Done || known.fresh_count * KEPT_BYTES_EACH < known.filter.byte_count() {
            return;
        }
        known.fresh_count = 0;
        self.inner.keep(partition, upto, &known.filter);
    }
}

impl Known {
    fn is_absent(&self, saga_id: SagaId) -> bool {
        self.reading == Reading::Done && !self.filter.may_have(saga_id)
    }
}

impl Inner {
    fn readings(&self) -> MutexGuard<'_, Readings> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A partition whose kept filter is to be looked for; it is under way from now on.
    fn begin(&self) -> Option<(PartitionId, Arc<Filter>)> {
        let mut readings = self.readings();
        let (partition, known) = readings.partitions.iter_mut().find(|(_, known)| known.reading == Reading::Wanted)?;
        known.reading = Reading::Underway;
        Some((*partition, Arc::clone(&known.filter)))
    }

    /// Those whose rows are to be read are under way from now on. `None` when nothing is wanted any more, and then nobody is at it.
    fn begin_rows(&self) -> Option<BTreeMap<PartitionId, Arc<Filter>>> {
        let mut readings = self.readings();
        let wanted = readings.partitions.iter_mut().filter(|(_, known)| known.reading == Reading::RowsWanted);
        let begun: BTreeMap<_, _> = wanted
            .map(|(partition, known)| {
                known.reading = Reading::Underway;
                (*partition, Arc::clone(&known.filter))
            })
            .collect();
        // One may have been taken over since we looked.
        let more = readings.partitions.values().any(|known| known.reading == Reading::Wanted);
        readings.running = more || !begun.is_empty();
        readings.running.then_some(begun)
    }

    /// One that was under way has come so far. One that was taken over anew meanwhile is left as it is.
    fn end(&self, partition: PartitionId, reading: Reading) {
        if let Some(known) = self.readings().partitions.get_mut(&partition)
            && known.reading == Reading::Underway
        {
            known.reading = reading;
        }
    }

    /// Keeps a filter that has every saga begun up to this position, in the background. Must be called within a tokio runtime.
    fn keep(&self, partition: PartitionId, upto: u64, filter: &Arc<Filter>) {
        let (filter, database) = (Arc::clone(filter), self.database.clone());
        tokio::spawn(async move {
            let kept = Kept { upto, bits: filter.to_bytes() };
            if let Err(error) = kept::keep(&database, partition, kept).await {
                tracing::debug!(%partition, %error, "which sagas there are is kept later");
            }
        });
    }

    /// Takes what was kept, and the journal behind it, into the filter. `false` when nothing useful is kept.
    async fn read_kept(&self, partition: PartitionId, filter: &Arc<Filter>) -> Result<bool, StoreError> {
        let Some(kept) = kept::kept(&self.database, partition).await? else { return Ok(false) };
        if !filter.merge(&kept.bits) {
            return Ok(false);
        }
        let mut upto = kept.upto;
        let mut position = Some(kept.upto);
        while let Some(behind) = position {
            let begun = kept::begun_behind(&self.database, partition, behind).await?;
            begun.sagas.into_iter().for_each(|saga_id| filter.add(saga_id));
            upto = begun.upto;
            position = begun.next;
            tokio::task::yield_now().await;
        }
        if upto - kept.upto >= RECORDS_KEPT {
            self.keep(partition, upto, filter);
        }
        Ok(true)
    }

    /// Reads one page of a table's ids after `after` into the filters; the last of them, unless the page was not full: that is where the rows
    /// ended, and waiting for an empty one would never end while rows keep coming.
    async fn page(
        &self,
        filters: &BTreeMap<PartitionId, Arc<Filter>>,
        table: &str,
        after: Option<SagaId>,
    ) -> Result<Option<SagaId>, StoreError> {
        let from = match after {
            Some(after) => format!("type::record('{table}', '{after}'>..)"),
            None => table.to_owned(),
        };
        let statement = format!("SELECT VALUE id FROM {from} LIMIT {PAGE}");
        let ids = self
            .database
            .query_values(&statement, Variables::new())
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable("reading the ids of sagas", &error))?;
        let full = ids.len() == PAGE;
        let mut last = None;
        for id in ids {
            let Value::RecordId(id) = id else { continue };
            let saga_id = saga_id_of(&id)?;
            let partition = self.partition_count.get().map(|count| saga_id.partition(*count));
            if let Some(filter) = partition.and_then(|partition| filters.get(&partition)) {
                filter.add(saga_id);
            }
            last = Some(saga_id);
        }
        Ok(last.filter(|_| full))
    }
}

/// Reads until nothing is wanted any more, or the store is gone.
async fn read(inner: Weak<Inner>) {
    loop {
        while let Some(store) = inner.upgrade()
            && let Some((partition, filter)) = store.begin()
        {
            match store.read_kept(partition, &filter).await {
                Ok(true) => store.end(partition, Reading::Done),
                Ok(false) => store.end(partition, Reading::RowsWanted),
                Err(error) => {
                    tracing::debug!(%partition, %error, "which sagas there are is asked again later");
                    store.end(partition, Reading::Wanted);
                    drop(store);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
        let Some(filters) = inner.upgrade().and_then(|store| store.begin_rows()) else { return };
        if !filters.is_empty() {
            read_rows(&inner, &filters).await;
        }
    }
}

/// Reads all rows there are, for these partitions, and keeps what that comes to.
async fn read_rows(inner: &Weak<Inner>, filters: &BTreeMap<PartitionId, Arc<Filter>>) {
    let read = try_read_rows(inner, filters).await;
    let Some(store) = inner.upgrade() else { return };
    let reading = if read.is_ok() { Reading::Done } else { Reading::RowsWanted };
    filters.keys().for_each(|partition| store.end(*partition, reading));
    if let Err(error) = read {
        tracing::debug!(%error, "which sagas there are is asked again later");
        drop(store);
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn try_read_rows(inner: &Weak<Inner>, filters: &BTreeMap<PartitionId, Arc<Filter>>) -> Result<(), StoreError> {
    let gone = || StoreError::Unavailable("the store is closed".into());
    let mut checkpoints = Vec::new();
    for partition in filters.keys() {
        let store = inner.upgrade().ok_or_else(gone)?;
        checkpoints.push(kept::checkpoint(&store.database, *partition).await?);
    }
    for table in TABLES {
        let mut after = None;
        loop {
            let store = inner.upgrade().ok_or_else(gone)?;
            after = match store.page(filters, table, after).await? {
                Some(last) => Some(last),
                None => break,
            };
            drop(store);
            tokio::time::sleep(PAGE_PAUSE).await;
        }
    }
    // Whatever had begun by its checkpoint had its row when reading began.
    for ((partition, filter), upto) in filters.iter().zip(checkpoints) {
        let store = inner.upgrade().ok_or_else(gone)?;
        // What was read stays read, also when it cannot be kept.
        if let Err(error) = kept::keep(&store.database, *partition, Kept { upto, bits: filter.to_bytes() }).await {
            tracing::debug!(%partition, %error, "which sagas there are is kept later");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use amends_database::Location;
    use chrono::Utc;
    use uuid::Uuid;

    use super::*;
    use crate::journal;
    use crate::rows::JournalRow;
    use amends_engine::ports::{JournalEntry, JournalRecord};

    const PARTITION: PartitionId = PartitionId(0);

    fn id(number: usize) -> SagaId {
        SagaId(Uuid::from_u128(number as u128))
    }

    /// Records and rows keep coming while they are read: whoever waits for an empty page reads for ever, and until then every new saga is
    /// looked for and written over.
    #[tokio::test(flavor = "multi_thread")]
    async fn reading_ends_at_a_page_that_is_not_full() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&Location::Embedded(folder.path().join("db")), "amends", "test").await.unwrap();
        crate::schema::define(&database).await.unwrap();
        let store = KnownSagas::new(database.clone());
        let one = PartitionCount::new(1).unwrap();
        store.establish(one);
        let filter = Arc::new(Filter::new(one));
        let filters = BTreeMap::from([(PARTITION, Arc::clone(&filter))]);
        for number in 1..=PAGE + 1 {
            database.query(&format!("CREATE saga:`{}`", id(number)), ()).await.unwrap();
        }
        let last = store.inner.page(&filters, "saga", None).await.unwrap();
        assert_eq!(last, Some(id(PAGE)));
        assert_eq!(store.inner.page(&filters, "saga", last).await.unwrap(), None);
        assert!((1..=PAGE + 1).all(|number| filter.may_have(id(number))));

        for position in 1..=kept::PAGE_RECORDS + 1 {
            let entries = vec![JournalEntry { saga_id: id(usize::try_from(position).unwrap()), events: Vec::new() }];
            let owner = "one".to_owned();
            let (partition, at, unread) = (PARTITION, Utc::now(), Vec::new());
            let record = JournalRecord { partition, position, epoch: 1, owner, at, entries, unread };
            journal::append(&database, &JournalRow::new(&record).unwrap()).await.unwrap();
        }
        let first = kept::begun_behind(&database, PARTITION, 0).await.unwrap();
        assert_eq!((first.sagas.len() as u64, first.next), (kept::PAGE_RECORDS, Some(kept::PAGE_RECORDS)));
        let second = kept::begun_behind(&database, PARTITION, kept::PAGE_RECORDS).await.unwrap();
        assert_eq!((second.sagas.len(), second.next), (1, None));
    }
}
