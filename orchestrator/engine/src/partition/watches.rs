//! Who is watched, and until when.

use std::collections::HashMap;
use std::time::Duration;

use amends_schemas::ids::SagaId;
use tokio::time::Instant;

/// The sagas whose changes are published.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    until: HashMap<SagaId, Instant>,
}

impl Watches {
    /// Watches a saga for a while; `false` when too many are watched already.
    pub(crate) fn add(&mut self, saga_id: SagaId, watch: Duration, most: usize) -> bool {
        let now = Instant::now();
        if self.until.len() >= most && !self.until.contains_key(&saga_id) {
            self.until.retain(|_, until| *until > now);
            if self.until.len() >= most {
                return false;
            }
        }
        self.until.insert(saga_id, now + watch);
        true
    }

    /// Whether a saga's changes are to be published. Costs nothing while nobody watches anything.
    pub(crate) fn is_watched(&mut self, saga_id: SagaId) -> bool {
        if self.until.is_empty() {
            return false;
        }
        match self.until.get(&saga_id) {
            Some(until) if *until > Instant::now() => true,
            Some(_) => {
                self.until.remove(&saga_id);
                false
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_ends_by_itself_and_makes_room() {
        let (first, second) = (SagaId::generate(), SagaId::generate());
        let mut watches = Watches::default();
        assert!(watches.add(first, Duration::from_secs(30), 1));
        assert!(watches.is_watched(first));
        assert!(!watches.add(second, Duration::from_secs(30), 1));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(!watches.is_watched(first));
        assert!(watches.add(second, Duration::from_secs(30), 1));
    }
}
