//! When sagas want to be woken: a heap in memory, made again from the sagas at recovery.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use amends_schemas::ids::SagaId;
use chrono::{DateTime, Utc};

/// Entries beyond twice the number of sagas at which the heap is made anew, so that timers of sagas long gone do not pile up.
const SLACK: usize = 4096;

/// A heap of wake-ups. A saga has at most one that counts: the one it remembers itself as armed; others are skipped when
/// they come up.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(DateTime<Utc>, SagaId)>>,
}

impl Timers {
    pub(crate) fn push(&mut self, at: DateTime<Utc>, saga_id: SagaId) {
        self.heap.push(Reverse((at, saga_id)));
    }

    /// When the next one comes up.
    pub(crate) fn next(&self) -> Option<DateTime<Utc>> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the earliest one if it has come up.
    pub(crate) fn pop_due(&mut self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, SagaId)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| due)
    }

    /// Whether most entries no longer count.
    pub(crate) fn is_overgrown(&self, saga_count: usize) -> bool {
        self.heap.len() > 2 * saga_count + SLACK
    }

    /// Starts over with what counts.
    pub(crate) fn rebuild(&mut self, armed: impl Iterator<Item = (DateTime<Utc>, SagaId)>) {
        self.heap = armed.map(Reverse).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_not_before_its_time() {
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().expect("a time");
        let (early, late) = (SagaId::generate(), SagaId::generate());
        let mut timers = Timers::default();
        timers.push(start + chrono::Duration::seconds(2), late);
        timers.push(start + chrono::Duration::seconds(1), early);
        assert_eq!(timers.pop_due(start), None);
        let now = start + chrono::Duration::seconds(2);
        assert_eq!(timers.pop_due(now).map(|(_, saga_id)| saga_id), Some(early));
        assert_eq!(timers.pop_due(now).map(|(_, saga_id)| saga_id), Some(late));
        assert_eq!(timers.pop_due(now), None);
    }

    #[test]
    fn an_overgrown_heap_is_cut_back() {
        let at: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().expect("a time");
        let mut timers = Timers::default();
        for _ in 0..=SLACK {
            timers.push(at, SagaId::generate());
        }
        assert!(timers.is_overgrown(0));
        timers.rebuild(std::iter::once((at, SagaId::generate())));
        assert!(!timers.is_overgrown(1));
        assert_eq!(timers.next(), Some(at));
    }
}
