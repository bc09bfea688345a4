//! Locks by key, within this process. They save work, they decide nothing: what must hold is held by transactions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Forgotten locks are swept out when the table has grown to this many, or to twice what was left after the last sweep.
const SWEEP_AT_MIN: usize = 1024;

/// One lock per key. Whoever asks first gets it first.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyedLocks {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    locks: HashMap<String, Weak<AsyncMutex<()>>>,
    sweep_at: usize,
}

impl KeyedLocks {
    /// Waits for the lock of a key; it is given back when the guard is dropped. Cancel safe.
    pub(crate) async fn lock(&self, key: String) -> OwnedMutexGuard<()> {
        self.get(key).lock_owned().await
    }

    fn get(&self, key: String) -> Arc<AsyncMutex<()>> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = table.locks.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        if table.locks.len() >= table.sweep_at.max(SWEEP_AT_MIN) {
            table.locks.retain(|_, lock| lock.strong_count() > 0);
            table.sweep_at = 2 * table.locks.len();
        }
        let lock = Arc::new(AsyncMutex::new(()));
        table.locks.insert(key, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn equal_keys_exclude_each_other_and_are_forgotten() {
        let locks = KeyedLocks::default();
        let held = locks.lock("a".to_owned()).await;
        let other = locks.lock("b".to_owned()).await;
        let second = locks.get("a".to_owned());
        assert!(second.try_lock().is_err());
        drop(held);
        assert!(second.try_lock().is_ok());
        drop((second, other));
        for n in 0..3 * SWEEP_AT_MIN {
            drop(locks.lock(n.to_string()).await);
        }
        assert!(locks.table.lock().unwrap().locks.len() <= SWEEP_AT_MIN);
    }
}
