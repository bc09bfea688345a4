//! What a transaction has found not to be there.
//!
//! SurrealDB looks for the same keys again and again: each row that is inserted asks, for every index, whether that is being built, and up
//! to three times for the number of its record (surrealdb 3.3, `recheck_cached_admission` and `TableDocIds`). That something is absent costs
//! most to find out, because every file is asked. What a transaction sees changes by nothing but what it does itself.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys remembered at once: those of some rows; what is asked for again is asked for soon.
const KEYS_MAX: usize = 256;

/// Some keys under which there is nothing.
#[derive(Debug, Default)]
pub(super) struct Absent(Mutex<HashSet<Box<[u8]>>>);

impl Absent {
    /// Whether it is known that there is nothing.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.keys().contains(key)
    }

    pub(super) fn note(&self, key: &[u8]) {
        let mut keys = self.keys();
        if keys.len() == KEYS_MAX {
            keys.clear();
        }
        keys.insert(key.into());
    }

    /// There may be something now.
    pub(super) fn forget(&self, key: &[u8]) {
        self.keys().remove(key);
    }

    /// Changes were undone: what was deleted may be back.
    pub(super) fn forget_all(&self) {
        self.keys().clear();
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<Box<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
