//! One transaction. Versions of a key are not kept, so that there is none to ask for.

use std::sync::{PoisonError, RwLock};

use surrealdb_kvs::api::{BoxFut, KeysResult, ScanResult, Transactable};
use surrealdb_kvs::{Direction, Error, Key, KeyRange, Result, SavepointStack, Val};
use surrealkv::LSMIterator;

use super::absent::Absent;
use super::store::{Committer, engine_error};
use super::written::WrittenKeys;

/// Room made for the result of a scan before it is known how much there is.
const ROOM_MAX: u32 = 4096;

/// What SurrealDB does through one transaction, in memory until it is committed.
pub(super) struct Transaction {
    writeable: bool,
    committer: Committer,
    /// None once it is committed or cancelled.
    open: RwLock<Option<Open>>,
}

struct Open {
    engine: surrealkv::Transaction,
    /// Of changes that were tried; whether one was made, or undone with a savepoint, does not matter.
    written: WrittenKeys,
    savepoints: SavepointStack,
    absent: Absent,
}

impl Transaction {
    pub(super) fn new(engine: surrealkv::Transaction, writeable: bool, committer: Committer) -> Self {
        let (written, savepoints) = (WrittenKeys::default(), SavepointStack::default());
        let open = Open { engine, written, savepoints, absent: Absent::default() };
        Self { writeable, committer, open: RwLock::new(Some(open)) }
    }

    fn take(&self) -> Result<Open> {
        self.open.write().unwrap_or_else(PoisonError::into_inner).take().ok_or(Error::TransactionFinished)
    }

    /// Looks at what it sees.
    fn read<T>(&self, version: Option<u64>, look: impl FnOnce(&Open) -> Result<T>) -> Result<T> {
        if version.is_some() {
            return Err(Error::UnsupportedVersionedQueries);
        }
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        look(open.as_ref().ok_or(Error::TransactionFinished)?)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        act(open.as_mut().ok_or(Error::TransactionFinished)?)
    }

    fn change<T>(&self, act: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        self.with(|open| if self.writeable { act(open) } else { Err(Error::TransactionReadonly) })
    }

    fn list_keys(
        &self,
        range: &KeyRange<'_>,
        direction: Direction,
        window: (u32, u32),
        version: Option<u64>,
    ) -> Result<KeysResult> {
        self.read(version, |open| {
            let mut found = KeysResult { keys: room_for(window.0), key_bytes: 0 };
            open.walk(range, direction, window, |entry| {
                let key = entry.key().user_key().to_vec();
                found.key_bytes += key.len() as u64;
                found.keys.push(key);
                Ok(())
            })?;
            Ok(found)
        })
    }

    fn list_values(
        &self,
        range: &KeyRange<'_>,
        direction: Direction,
        window: (u32, u32),
        version: Option<u64>,
    ) -> Result<ScanResult> {
        self.read(version, |open| {
            let mut found = ScanResult { values: room_for(window.0), key_bytes: 0, value_bytes: 0 };
            open.walk(range, direction, window, |entry| {
                let (key, value) = (entry.key().user_key().to_vec(), entry.value().map_err(engine_error)?);
                found.key_bytes += key.len() as u64;
                found.value_bytes += value.len() as u64;
                found.values.push((key, value));
                Ok(())
            })?;
            Ok(found)
        })
    }
}

impl Open {
    /// Visits `limit` entries after the first `skip` ones of a range.
    fn walk(
        &self,
        range: &KeyRange<'_>,
        direction: Direction,
        (limit, skip): (u32, u32),
        mut visit: impl FnMut(&dyn LSMIterator) -> Result<()>,
    ) -> Result<()> {
        let mut entries = self.engine.range(range.start.as_slice(), range.end.as_slice()).map_err(engine_error)?;
        let first = match direction {
            Direction::Forward => entries.seek_first(),
            Direction::Backward => entries.seek_last(),
        };
        let mut is_there = first.map_err(engine_error)?;
        let mut passed: u64 = 0;
        let (skip, end) = (u64::from(skip), u64::from(skip) + u64::from(limit));
        while is_there && passed < end {
            if passed >= skip {
                visit(&entries)?;
            }
            passed += 1;
            let next = match direction {
                Direction::Forward => entries.next(),
                Direction::Backward => entries.prev(),
            };
            is_there = next.map_err(engine_error)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &Key<'_>, value: &Val) -> Result<()> {
        self.written.add(key.as_slice(), value.len());
        self.absent.forget(key.as_slice());
        self.engine.set(key.as_slice(), value).map_err(engine_error)
    }

    fn delete(&mut self, key: &Key<'_>) -> Result<()> {
        self.written.add(key.as_slice(), 0);
        self.engine.delete(key.as_slice()).map_err(engine_error)
    }

    fn get(&self, key: &Key<'_>) -> Result<Option<Val>> {
        if self.absent.has(key.as_slice()) {
            return Ok(None);
        }
        let found = self.engine.get(key.as_slice()).map_err(engine_error)?;
        if found.is_none() {
            self.absent.note(key.as_slice());
        }
        Ok(found)
    }

    /// Goes on only if this stands under the key; nothing when there is nothing.
    fn expect(&self, key: &Key<'_>, wanted: Option<&[u8]>) -> Result<()> {
        if self.get(key)?.as_deref() == wanted { Ok(()) } else { Err(Error::TransactionConditionNotMet) }
    }
}

fn room_for<T>(limit: u32) -> Vec<T> {
    Vec::with_capacity(limit.min(ROOM_MAX) as usize)
}

/// Everything but a commit is done at once, on the thread that asks: it is in memory or in the system's cache.
impl Transactable for Transaction {
    fn kind(&self) -> &'static str {
        "surrealkv"
    }

    fn closed(&self) -> bool {
        self.open.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn writeable(&self) -> bool {
        self.writeable
    }

    /// A locked read takes part in the check of a commit and is seen by nobody else.
    fn shared_locked_reads(&self) -> bool {
        true
    }

    fn commit(&self) -> BoxFut<'_, Result<()>> {
        Box::pin(async move {
            let open = self.take()?;
            if !self.writeable {
                return Err(Error::TransactionReadonly);
            }
            self.committer.commit(open.engine, open.written).await
        })
    }

    fn cancel(&self) -> BoxFut<'_, Result<()>> {
        Box::pin(async move {
            self.take()?.engine.rollback();
            Ok(())
        })
    }

    fn exists<'a>(&'a self, key: Key<'a>, version: Option<u64>) -> BoxFut<'a, Result<bool>> {
        Box::pin(async move { Ok(self.read(version, |open| open.get(&key))?.is_some()) })
    }

    fn get<'a>(&'a self, key: Key<'a>, version: Option<u64>) -> BoxFut<'a, Result<Option<Val>>> {
        Box::pin(async move { self.read(version, |open| open.get(&key)) })
    }

    fn getu<'a>(&'a self, key: Key<'a>) -> BoxFut<'a, Result<Option<Val>>> {
        Box::pin(async move { self.change(|open| open.engine.get_for_update(key.as_slice()).map_err(engine_error)) })
    }

    fn set<'a>(&'a self, key: Key<'a>, val: Val) -> BoxFut<'a, Result<()>> {
        Box::pin(async move { self.change(|open| open.set(&key, &val)) })
    }

    fn put<'a>(&'a self, key: Key<'a>, val: Val) -> BoxFut<'a, Result<()>> {
        Box::pin(async move {
            self.change(|open| match open.get(&key)? {
                None => open.set(&key, &val),
                Some(_) => Err(Error::TransactionKeyAlreadyExists),
            })
        })
    }

    fn putc<'a>(&'a self, key: Key<'a>, val: Val, chk: Option<Val>) -> BoxFut<'a, Result<()>> {
        Box::pin(async move {
            self.change(|open| {
                open.expect(&key, chk.as_deref())?;
                open.set(&key, &val)
            })
        })
    }

    fn replace<'a>(&'a self, key: Key<'a>, val: Val) -> BoxFut<'a, Result<()>> {
        self.set(key, val)
    }

    fn del<'a>(&'a self, key: Key<'a>) -> BoxFut<'a, Result<()>> {
        Box::pin(async move { self.change(|open| open.delete(&key)) })
    }

    fn delc<'a>(&'a self, key: Key<'a>, chk: Option<&'a [u8]>) -> BoxFut<'a, Result<()>> {
        Box::pin(async move {
            self.change(|open| {
                open.expect(&key, chk)?;
                open.delete(&key)
            })
        })
    }

    fn keys<'a>(
        &'a self,
        rng: KeyRange<'a>,
        limit: u32,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<KeysResult>> {
        Box::pin(async move { self.list_keys(&rng, Direction::Forward, (limit, skip), version) })
    }

    fn keysr<'a>(
        &'a self,
        rng: KeyRange<'a>,
        limit: u32,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<KeysResult>> {
        Box::pin(async move { self.list_keys(&rng, Direction::Backward, (limit, skip), version) })
    }

    fn scan<'a>(
        &'a self,
        rng: KeyRange<'a>,
        limit: u32,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<ScanResult>> {
        Box::pin(async move { self.list_values(&rng, Direction::Forward, (limit, skip), version) })
    }

    fn scanr<'a>(
        &'a self,
        rng: KeyRange<'a>,
        limit: u32,
        skip: u32,
        version: Option<u64>,
    ) -> BoxFut<'a, Result<ScanResult>> {
        Box::pin(async move { self.list_values(&rng, Direction::Backward, (limit, skip), version) })
    }

    fn new_save_point(&self) -> BoxFut<'_, Result<()>> {
        Box::pin(async move {
            self.with(|open| {
                open.engine.set_savepoint().map_err(engine_error)?;
                open.savepoints.open();
                Ok(())
            })
        })
    }

    fn release_last_save_point(&self) -> BoxFut<'_, Result<()>> {
        Box::pin(async move {
            self.with(|open| {
                open.savepoints.release();
                Ok(())
            })
        })
    }

    /// SurrealKV has no release: a savepoint that was released is gone back over together with the one around it.
    fn rollback_to_save_point(&self) -> BoxFut<'_, Result<()>> {
        Box::pin(async move {
            self.with(|open| {
                open.absent.forget_all();
                for _ in 0..open.savepoints.take()? {
                    open.engine.rollback_to_savepoint().map_err(engine_error)?;
                }
                Ok(())
            })
        })
    }
}
