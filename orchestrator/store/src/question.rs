//! A filter as the view answers it: where to look, from where to where, and what else must be true of what is found there.

use amends_engine::ports::StoreError;
use amends_schemas::saga::SagaStatus;
use amends_schemas::search::{SagaFilter, SagaSort, words};
use chrono::{DateTime, TimeDelta, Utc};

use crate::keys::{
    EVERY, is_marked, kind_of, of_both, of_definition, of_error, of_kind, of_paused, of_status, of_status_and_tag,
    of_step, of_tag, of_version, of_word,
};
use crate::listed::ListedRow;
use crate::rank::rank_of_time;

/// Stands after every rank that begins with the same time: ranks are hexadecimal.
const AFTER: char = 'g';

/// The order in which sagas were accepted, by its column of keys.
pub(crate) const BY_CREATION: &str = "keys";
/// The order in which they last changed.
pub(crate) const BY_CHANGE: &str = "turns";

/// In which of the two orders, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// The column of keys and the column that sorts.
    pub(crate) keys: &'static str,
    pub(crate) place: &'static str,
    /// From the latest to the earliest.
    pub(crate) forward: bool,
}

impl Order {
    pub(crate) const fn of(sort: SagaSort) -> Self {
        match sort {
            SagaSort::NewestFirst => Self { keys: BY_CREATION, place: "rank", forward: true },
            SagaSort::OldestFirst => Self { keys: BY_CREATION, place: "rank", forward: false },
            SagaSort::ChangedLastFirst => Self { keys: BY_CHANGE, place: "turn", forward: true },
            SagaSort::ChangedFirstFirst => Self { keys: BY_CHANGE, place: "turn", forward: false },
        }
    }

    /// Whether sagas stand in the order in which they were accepted.
    pub(crate) const fn is_of_creation(sort: SagaSort) -> bool {
        match sort {
            SagaSort::NewestFirst | SagaSort::OldestFirst => true,
            SagaSort::ChangedLastFirst | SagaSort::ChangedFirstFirst => false,
        }
    }

    /// Whether one place stands before another.
    pub(crate) fn before(self, one: &str, other: &str) -> bool {
        if self.forward { one < other } else { one > other }
    }
}

/// Keys of which a saga has exactly one: together they hold everything that is to be looked at, each saga once.
pub(crate) type Source = Vec<String>;

/// A filter, at a moment, made ready.
#[derive(Debug)]
pub(crate) struct Question {
    filter: SagaFilter,
    words: Vec<String>,
}

impl Question {
    /// # Errors
    /// [`StoreError::Invalid`] for a filter that cannot be.
    pub(crate) fn new(filter: &SagaFilter, now: DateTime<Utc>) -> Result<Self, StoreError> {
        filter.check().map_err(|error| StoreError::Invalid(error.to_string()))?;
        let words = words(filter.text.as_deref()).into_iter().collect();
        let mut filter = filter.clone().at(now);
        filter.status = SagaStatus::ALL.into_iter().filter(|status| filter.status.contains(status)).collect();
        Ok(Self { filter, words })
    }

    /// Where sagas that fit are found, what is likely to hold fewest first.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let (filter, statuses) = (&self.filter, self.marked_statuses());
        let mut sources: Vec<Source> = Vec::new();
        for tag in &filter.tag {
            sources.push(match statuses {
                [] => vec![of_tag(tag)],
                statuses => statuses.iter().map(|status| of_status_and_tag(*status, tag)).collect(),
            });
        }
        sources.extend(filter.error.as_deref().map(|code| vec![of_error(code)]));
        sources.extend(self.words.iter().map(|word| vec![of_word(word)]));
        sources.extend(filter.step.as_deref().map(|step| vec![of_step(step)]));
        sources.extend((filter.paused == Some(true)).then(|| vec![of_paused()]));
        match (statuses, &filter.definition) {
            ([], None) => {}
            ([], Some(definition)) => sources.push(match filter.version {
                Some(version) => vec![of_version(definition, version.into())],
                None => vec![of_definition(definition)],
            }),
            (statuses, None) => sources.push(statuses.iter().map(|status| of_status(*status)).collect()),
            (statuses, Some(definition)) => {
                sources.push(statuses.iter().map(|status| of_both(*status, definition)).collect());
                sources.extend(filter.version.map(|version| vec![of_version(definition, version.into())]));
            }
        }
        sources.extend(filter.tag_prefix.as_deref().and_then(kind_of).map(|kind| vec![of_kind(kind)]));
        if sources.is_empty() {
            sources.push(vec![EVERY.to_owned()]);
        }
        sources
    }

    /// The statuses asked for, when keys tell all sagas that have one of them; none otherwise.
    fn marked_statuses(&self) -> &[SagaStatus] {
        let statuses = &self.filter.status[..];
        if statuses.iter().copied().all(is_marked) { statuses } else { &[] }
    }

    /// Where to look in the order of changes, which has fewer keys.
    pub(crate) fn source_of_changes(&self) -> Source {
        match (self.marked_statuses(), &self.filter.definition) {
            ([], None) => vec![EVERY.to_owned()],
            ([], Some(definition)) => vec![of_definition(definition)],
            (statuses, _) => statuses.iter().map(|status| of_status(*status)).collect(),
        }
    }

    /// Between which places of an order, both outside, everything stands that fits.
    pub(crate) fn bounds(&self, sort: SagaSort) -> (String, String) {
        let (from, to) = match Order::is_of_creation(sort) {
            true => (self.filter.created_from, self.filter.created_to),
            false => (self.filter.updated_from, self.filter.updated_to),
        };
        // A time that has nanoseconds lies within a microsecond, which may hold sagas on both sides of it: `matches` tells them apart.
        let low = to.map_or_else(String::new, |to| match to.timestamp_subsec_nanos() % 1000 {
            0 => format!("{}{AFTER}", rank_of_time(to)),
            _ => format!("{}{AFTER}", rank_of_time(to + TimeDelta::microseconds(1))),
        });
        let high = from.map_or_else(|| AFTER.to_string(), |from| format!("{}{AFTER}", rank_of_time(from)));
        (low, high)
    }

    /// Whether a row fits, wherever it was found.
    pub(crate) fn matches(&self, row: &ListedRow) -> bool {
        let filter = &self.filter;
        let within = |at: DateTime<Utc>, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>| {
            from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
        };
        let has = |key: String| row.has(&key);
        (filter.status.is_empty() || filter.status.iter().any(|status| status.as_str() == row.status()))
            && filter.paused.is_none_or(|paused| paused == row.paused())
            && filter.definition.as_deref().is_none_or(|definition| definition == row.definition())
            && filter.version.is_none_or(|version| i64::from(version) == row.version())
            && filter.step.as_deref().is_none_or(|step| has(of_step(step)))
            && filter.error.as_deref().is_none_or(|code| has(of_error(code)))
            && self.words.iter().all(|word| has(of_word(word)))
            && filter.tag.iter().all(|tag| row.tags().contains(tag))
            && filter.tag_prefix.as_ref().is_none_or(|prefix| row.tags().iter().any(|tag| tag.starts_with(prefix)))
            && within(row.created_at(), filter.created_from, filter.created_to)
            && within(row.updated_at(), filter.updated_from, filter.updated_to)
    }

    /// The statuses and the definition, when nothing else is asked for: then the counts know the answer.
    pub(crate) fn of_counts(&self) -> Option<(&[SagaStatus], Option<&str>)> {
        let SagaFilter {
            status,
            paused: None,
            definition,
            version: None,
            step: None,
            error: None,
            text: None,
            tag,
            tag_prefix: None,
            created_from: None,
            created_to: None,
            updated_from: None,
            updated_to: None,
            older_than: None,
        } = &self.filter
        else {
            return None;
        };
        tag.is_empty().then_some((status, definition.as_deref()))
    }
}
