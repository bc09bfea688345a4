//! Which sagas the view surely does not have, so that accepting a new one need not ask the database: with many in flight that was a third of all it did.
//!
//! A Bloom filter (Bloom 1970) of the ids of all rows: it may take an id for known that is not, and then the database is asked; it
//! never takes a known one for unknown. It speaks of a partition only from the moment at which every row has been read since this
//! process took the partition over: whoever owned it before has written its rows by then, or writes rows of sagas that stand behind the
//! checkpoint in the journal, and those this owner has in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use amends_database::Database;
use amends_engine::ports::StoreError;
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use surrealdb::types::{Value, Variables};

use crate::rows::saga_id_of;
use crate::store::unavailable;

/// Bits of the filter: 16 MiB of memory, of which only what is touched is taken. With eight million sagas one in 400 new ones is looked
/// for in vain, with thirty million one in six; beyond, it merely helps less.
const BITS: u64 = 1 << 27;

/// Bits set for one id.
const PROBES: u64 = 4;

/// Ids read by one statement: bounds the memory of one answer.
const PAGE: usize = 2_000;

/// Between two pages: reading must not get into the way of serving.
const PAGE_PAUSE: Duration = Duration::from_millis(5);

/// Before reading is tried again after the database did not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How far the filter is for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Rows are to be read.
    Wanted,
    /// They are being read.
    Underway,
    /// All are in the filter.
    Done,
}

/// The ids that the view may have.
#[derive(Debug, Clone)]
pub(crate) struct KnownSagas {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    filter: OnceLock<Filter>,
    partition_count: OnceLock<PartitionCount>,
    readings: Mutex<Readings>,
}

#[derive(Debug, Default)]
struct Readings {
    partitions: BTreeMap<PartitionId, Reading>,
    /// Whether a task is at it.
    running: bool,
}

impl KnownSagas {
    pub(crate) fn new(database: Database) -> Self {
        let (filter, partition_count, readings) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        Self { inner: Arc::new(Inner { database, filter, partition_count, readings }) }
    }

    /// Says how many partitions there are; before that nothing is surely absent.
    pub(crate) fn establish(&self, partition_count: PartitionCount) {
        // It never changes, so the first is as good as any.
        let _ = self.inner.partition_count.set(partition_count);
    }

    /// A partition was taken over: its rows are read in the background. Must be called within a tokio runtime.
    pub(crate) fn taken_over(&self, partition: PartitionId) {
        let mut readings = self.inner.readings();
        readings.partitions.insert(partition, Reading::Wanted);
        if !readings.running {
            readings.running = true;
            tokio::spawn(read(Arc::downgrade(&self.inner)));
        }
    }

    /// A row is about to be written.
    pub(crate) fn add(&self, saga_id: SagaId) {
        self.inner.filter().add(saga_id);
    }

    /// Whether there is no row of this saga, for sure.
    pub(crate) fn surely_absent(&self, saga_id: SagaId) -> bool {
        let Some(partition_count) = self.inner.partition_count.get() else { return false };
        let partition = saga_id.partition(*partition_count);
        let complete = self.inner.readings().partitions.get(&partition) == Some(&Reading::Done);
        complete && !self.inner.filter().may_have(saga_id)
    }
}

impl Inner {
    fn readings(&self) -> MutexGuard<'_, Readings> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filter(&self) -> &Filter {
        self.filter.get_or_init(Filter::new)
    }

    /// Those that are wanted are under way from now on; `false` when there are none, and then nobody is at it any more.
    fn begin(&self) -> bool {
        let mut readings = self.readings();
        let mut any = false;
        for reading in readings.partitions.values_mut().filter(|reading| **reading == Reading::Wanted) {
            *reading = Reading::Underway;
            any = true;
        }
        readings.running = any;
        any
    }

    /// Those that were under way are done, or wanted again. One that was taken over anew meanwhile stays wanted.
    fn end(&self, as_it_is: Reading) {
        for reading in self.readings().partitions.values_mut().filter(|reading| **reading == Reading::Underway) {
            *reading = as_it_is;
        }
    }

    /// Reads one page of ids after `after` into the filter; the last of them.
    async fn page(&self, after: Option<SagaId>) -> Result<Option<SagaId>, StoreError> {
        let from = match after {
            Some(after) => format!("saga:`{after}`>.."),
            None => "saga".to_owned(),
        };
        let statement = format!("SELECT VALUE id FROM {from} LIMIT {PAGE}");
        let ids = self
            .database
            .query_values(&statement, Variables::new())
            .await
            .and_then(|mut rows| rows.take_values(0))
            .map_err(|error| unavailable("reading the ids of sagas", &error))?;
        let mut last = None;
        for id in ids {
            let Value::RecordId(id) = id else { continue };
            let saga_id = saga_id_of(&id)?;
            self.filter().add(saga_id);
            last = Some(saga_id);
        }
        Ok(last)
    }
}

/// Reads until nothing is wanted any more, or the store is gone.
async fn read(inner: Weak<Inner>) {
    while inner.upgrade().is_some_and(|inner| inner.begin()) {
        let mut after = None;
        loop {
            let Some(store) = inner.upgrade() else { return };
            match store.page(after).await {
                Ok(Some(last)) => after = Some(last),
                Ok(None) => {
                    store.end(Reading::Done);
                    break;
                }
                Err(error) => {
                    tracing::debug!(%error, "which sagas there are is asked again later");
                    store.end(Reading::Wanted);
                    drop(store);
                    tokio::time::sleep(RETRY_PAUSE).await;
                    break;
                }
            }
            drop(store);
            tokio::time::sleep(PAGE_PAUSE).await;
        }
    }
}

/// The bits. Ids are random where it matters, so they need no hashing.
#[derive(Debug)]
struct Filter(Vec<AtomicU64>);

impl Filter {
    fn new() -> Self {
        let words = usize::try_from(BITS / 64).expect("it fits into any memory that we run in");
        Self(std::iter::repeat_with(AtomicU64::default).take(words).collect())
    }

    fn add(&self, saga_id: SagaId) {
        for bit in bits(saga_id) {
            if let Some(word) = self.word(bit) {
                word.fetch_or(1 << (bit % 64), Ordering::Relaxed);
            }
        }
    }

    fn may_have(&self, saga_id: SagaId) -> bool {
        bits(saga_id)
            .all(|bit| self.word(bit).is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (bit % 64)) != 0))
    }

    fn word(&self, bit: u64) -> Option<&AtomicU64> {
        self.0.get(usize::try_from(bit / 64).ok()?)
    }
}

/// Two numbers make all the probes (Kirsch and Mitzenmacher 2006). The low half of an id is random in every version we make; its partition
/// is taken from there as well, which leaves enough.
fn bits(saga_id: SagaId) -> impl Iterator<Item = u64> {
    let (high, low) = saga_id.uuid().as_u64_pair();
    let step = (high ^ low.rotate_left(32)) | 1;
    (0..PROBES).map(move |probe| low.wrapping_add(probe.wrapping_mul(step)) % BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_known_and_almost_nothing_else() {
        let filter = Filter::new();
        let ids: Vec<SagaId> = (0..100_000).map(|_| SagaId::generate()).collect();
        ids.iter().for_each(|id| filter.add(*id));
        assert!(ids.iter().all(|id| filter.may_have(*id)));
        let mistaken = (0..100_000).filter(|_| filter.may_have(SagaId::generate())).count();
        assert!(mistaken < 100, "{mistaken} of 100000");
    }
}
