//! How long histories and sagas are kept, by definition.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::port::Cutoffs;

/// Longest wait beyond the shortest history before a record leaves the journal. Most sagas take less than this: all their facts are past
/// keeping by then, and none has to be moved.
const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The part of the shortest history that is waited beyond it, where that is less than [`GRACE_MAX`].
const GRACE_PART: u32 = 8;

/// How long a settled saga is kept, from its last fact on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Its facts.
    pub history: Duration,
    /// The saga itself, as one reads and lists it; not shorter than its facts.
    pub sagas: Duration,
}

/// What is kept, and where to the rest goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Of definitions that have nothing of their own.
    pub default: Keep,
    /// By the definition's name.
    pub definitions: BTreeMap<String, Keep>,
    /// The folder into which histories are written before they are dropped; nowhere when absent.
    pub archive: Option<PathBuf>,
}

impl RetentionPolicy {
    /// How long sagas of a definition are kept.
    pub fn of(&self, definition: &str) -> Keep {
        self.definitions.get(definition).copied().unwrap_or(self.default)
    }

    /// Records older than this may leave the journal.
    pub fn journal_before(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let kept = self.definitions.values().map(|keep| keep.history).chain([self.default.history]);
        let shortest = kept.min().unwrap_or(self.default.history);
        before(now, shortest.saturating_add((shortest / GRACE_PART).min(GRACE_MAX)))
    }

    /// Whether the facts of a saga that settled then are past keeping.
    pub fn is_history_over(&self, definition: &str, settled_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        settled_at <= before(now, self.of(definition).history)
    }

    /// Sagas that settled before are past keeping.
    pub fn saga_cutoffs(&self, now: DateTime<Utc>) -> Cutoffs {
        let definitions = self.definitions.iter().map(|(name, keep)| (name.clone(), before(now, keep.sagas)));
        Cutoffs { default: before(now, self.default.sagas), definitions: definitions.collect() }
    }
}

fn before(now: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(age).ok().and_then(|age| now.checked_sub_signed(age)).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn keep(history: u32, sagas: u32) -> Keep {
        Keep { history: DAY * history, sagas: DAY * sagas }
    }

    #[test]
    fn each_definition_has_its_own_times_and_the_shortest_history_moves_the_journal() {
        let definitions = BTreeMap::from([("invoice".to_owned(), keep(3650, 3650)), ("ping".to_owned(), keep(4, 5))]);
        let policy = RetentionPolicy { default: keep(30, 365), definitions, archive: None };
        let now: DateTime<Utc> = "2026-12-31T00:00:00Z".parse().expect("a time");
        let ago = |days: f64| now - TimeDelta::seconds((days * 86_400.0) as i64);
        for (definition, days, over) in [
            ("ping", 3.9, false),
            ("ping", 4.0, true),
            ("any", 29.0, false),
            ("any", 30.0, true),
            ("invoice", 900.0, false),
        ] {
            assert_eq!(policy.is_history_over(definition, ago(days), now), over, "{definition} after {days} days");
        }
        assert_eq!(policy.journal_before(now), ago(4.5), "an eighth beyond the shortest");
        let longer = RetentionPolicy { definitions: BTreeMap::new(), ..policy.clone() };
        assert_eq!(longer.journal_before(now), ago(31.0), "a day beyond it at most");
        let cutoffs = policy.saga_cutoffs(now);
        assert_eq!((cutoffs.of("ping"), cutoffs.of("any")), (ago(5.0), ago(365.0)));
    }

    #[test]
    fn a_time_longer_than_time_keeps_everything() {
        let ever = Keep { history: Duration::MAX, sagas: Duration::MAX };
        let policy = RetentionPolicy { default: ever, definitions: BTreeMap::new(), archive: None };
        assert!(!policy.is_history_over("any", DateTime::UNIX_EPOCH, Utc::now()));
    }
}
