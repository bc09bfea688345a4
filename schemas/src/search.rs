//! Which sagas are meant: one filter for listing, counting and bulk operations.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::contract::is_plain_name;
use crate::limits::{NAME_BYTES_MAX, TAGS_MAX};
use crate::saga::{SagaStatus, SagaSummary};

/// Longest text to search errors for, in bytes: a handful of words.
pub const SEARCH_TEXT_BYTES_MAX: usize = 256;

/// Words of a saga's errors by which it is found; what a message says beyond is not searched. Each word is an entry of an index.
pub const ERROR_WORDS_MAX: usize = 24;

/// Longest word by which an error is found, in bytes; longer ones are cut, in errors and in questions alike.
const WORD_BYTES_MAX: usize = 32;

/// Longest step or error code asked for, in bytes.
const PLACE_BYTES_MAX: usize = 128;

/// Oldest age asked for: ten thousand days.
const AGE_SECONDS_MAX: u64 = 10_000 * 24 * 60 * 60;

/// Which sagas: all that meet every criterion given. A criterion that is left out is met by all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaFilter {
    /// With one of these statuses.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub status: Vec<SagaStatus>,
    /// Paused, or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Of this definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Of this version; only together with a definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// At this step: in flight, backing off, stuck or cleanly failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The last error of a step they stand at has this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The last errors of the steps they stand at hold all these words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// With all these tags. A business key is a tag `<kind>_<value>`, such as `registration_0193…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub tag: Vec<String>,
    /// With a tag that begins so, such as `event_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_prefix: Option<String>,
    /// Accepted then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_from: Option<DateTime<Utc>>,
    /// Accepted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_to: Option<DateTime<Utc>>,
    /// Last changed then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_from: Option<DateTime<Utc>>,
    /// Last changed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_to: Option<DateTime<Utc>>,
    /// Accepted at least so long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<Age>,
}

/// A criterion that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{criterion} {message}")]
pub struct FilterError {
    /// Which, as it is written.
    pub criterion: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl SagaFilter {
    /// Whether it can be asked for.
    ///
    /// # Errors
    /// The first criterion that cannot be.
    pub fn check(&self) -> Result<(), FilterError> {
        let refuse = |criterion, message: String| Err(FilterError { criterion, message });
        let bounded = |text: &String| !text.is_empty() && text.len() <= PLACE_BYTES_MAX;
        if self.status.len() > SagaStatus::ALL.len() {
            return refuse("status", "names a status twice".to_owned());
        }
        if self.definition.as_deref().is_some_and(|name| !is_plain_name(name)) {
            return refuse("definition", "is not a name".to_owned());
        }
        match (self.version, &self.definition) {
            (Some(0), _) => return refuse("version", "is counted from one".to_owned()),
            (Some(_), None) => return refuse("version", "is one of a definition: name that, too".to_owned()),
            (Some(_), Some(_)) | (None, _) => {}
        }
        for (criterion, value) in [("step", &self.step), ("error", &self.error)] {
            if value.as_ref().is_some_and(|value| !bounded(value)) {
                return refuse(criterion, format!("has from 1 to {PLACE_BYTES_MAX} bytes"));
            }
        }
        if let Some(text) = &self.text
            && (text.len() > SEARCH_TEXT_BYTES_MAX || words([text.as_str()]).is_empty())
        {
            return refuse(
                "text",
                format!("holds words of letters and digits, in at most {SEARCH_TEXT_BYTES_MAX} bytes"),
            );
        }
        if self.tag.len() > TAGS_MAX || self.tag.iter().any(|tag| !is_plain_name(tag)) {
            return refuse("tag", format!("holds at most {TAGS_MAX} tags, as they were given when sagas were started"));
        }
        if self.tag_prefix.as_deref().is_some_and(|prefix| !is_plain_name(prefix)) {
            return refuse("tag_prefix", format!("is how a tag begins, at most {NAME_BYTES_MAX} bytes"));
        }
        for (criterion, from, to) in
            [("created_to", self.created_from, self.created_to), ("updated_to", self.updated_from, self.updated_to)]
        {
            if from.zip(to).is_some_and(|(from, to)| to <= from) {
                return refuse(criterion, "is not after its beginning".to_owned());
            }
        }
        Ok(())
    }

    /// The same at a moment: an age is then a time before which sagas were accepted.
    pub fn at(mut self, now: DateTime<Utc>) -> Self {
        if let Some(age) = self.older_than.take() {
            let before = age.before(now);
            self.created_to = Some(self.created_to.map_or(before, |to| to.min(before)));
        }
        self
    }
}

/// The words of some texts, as they are found: lower-case runs of letters and digits, at most [`ERROR_WORDS_MAX`] of them.
pub fn words<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in texts {
        for run in text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty()) {
            if found.len() >= ERROR_WORDS_MAX {
                return found;
            }
            let mut word = run.to_lowercase();
            while word.len() > WORD_BYTES_MAX {
                word.pop();
            }
            found.insert(word);
        }
    }
    found
}

/// How long ago, in whole seconds. Written as a number and a unit: `90s`, `15m`, `36h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(u64);

impl Age {
    /// The moment so long before another.
    pub fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let seconds = i64::try_from(self.0).unwrap_or(i64::MAX);
        let age = TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX);
        now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }
}

/// A text that is no age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an age is a number and a unit, such as 90s, 15m, 36h or 7d")]
pub struct AgeError;

impl FromStr for Age {
    type Err = AgeError;
    fn from_str(text: &str) -> Result<Self, AgeError> {
        let unit = text.chars().last().ok_or(AgeError)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return Err(AgeError),
        };
        let number = &text[..text.len() - 1];
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AgeError);
        }
        let number: u64 = number.parse().map_err(|_| AgeError)?;
        number.checked_mul(seconds).filter(|age| *age <= AGE_SECONDS_MAX).map(Self).ok_or(AgeError)
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl Serialize for Age {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// In which order sagas are listed. Those of the same microsecond stand in the order of their ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SagaSort {
    /// Accepted last, first. What is accepted meanwhile stands before the first page and moves nothing.
    #[default]
    #[serde(rename = "-created")]
    NewestFirst,
    /// Accepted first, first.
    #[serde(rename = "created")]
    OldestFirst,
    /// Changed last, first. A saga that changes meanwhile moves before the first page.
    #[serde(rename = "-updated")]
    ChangedLastFirst,
    /// Changed first, first: what has not moved for long. A saga that changes meanwhile moves to the end.
    #[serde(rename = "updated")]
    ChangedFirstFirst,
}

impl SagaSort {
    /// All of them.
    pub const ALL: [SagaSort; 4] =
        [SagaSort::NewestFirst, SagaSort::OldestFirst, SagaSort::ChangedLastFirst, SagaSort::ChangedFirstFirst];

    /// As it stands in questions.
    pub const fn as_str(self) -> &'static str {
        match self {
            SagaSort::NewestFirst => "-created",
            SagaSort::OldestFirst => "created",
            SagaSort::ChangedLastFirst => "-updated",
            SagaSort::ChangedFirstFirst => "updated",
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == SagaSort::default()
    }
}

/// How many sagas a filter finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaCount {
    /// So many were found.
    pub count: u64,
    /// There may be more: the count stopped at its bound.
    pub at_least: bool,
}

/// How many sagas there are, by status and by definition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaCounts {
    /// All together.
    pub total: u64,
    /// Of all definitions.
    pub statuses: Vec<StatusCount>,
    /// Of each, by name.
    pub definitions: Vec<DefinitionCounts>,
    /// Whether all sagas are counted: after an upgrade those of earlier versions are added in the background.
    pub complete: bool,
}

/// How many sagas have a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCount {
    /// Which.
    pub status: SagaStatus,
    /// So many, paused ones among them.
    pub count: u64,
    /// So many of them are paused.
    pub paused: u64,
}

/// How many sagas a definition has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionCounts {
    /// Which, all versions together.
    pub definition: String,
    /// All together.
    pub total: u64,
    /// By status; those that no saga has are left out.
    pub statuses: Vec<StatusCount>,
}

/// What a filter finds, before anything is done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// How many.
    #[serde(flatten)]
    pub count: SagaCount,
    /// The first of them.
    pub items: Vec<SagaSummary>,
}

/// One value is written bare, as before there could be several; either is read.
mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        One(T),
        Many(Vec<T>),
    }

    pub(super) fn serialize<T: Serialize, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        match values {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        Ok(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_value_reads_as_it_always_did() {
        let old: SagaFilter = serde_json::from_value(json!({"status": "stuck", "tag": "event_1"})).expect("valid");
        assert_eq!((&old.status[..], &old.tag[..]), (&[SagaStatus::Stuck][..], &["event_1".to_owned()][..]));
        assert_eq!(serde_json::to_value(&old).expect("json"), json!({"status": "stuck", "tag": "event_1"}));
        let many = json!({"status": ["stuck", "running"], "older_than": "120s"});
        let read: SagaFilter = serde_json::from_value(many.clone()).expect("valid");
        assert_eq!(serde_json::to_value(&read).expect("json"), many);
    }

    #[test]
    fn ages_are_a_number_and_a_unit() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().expect("a time");
        for (text, before) in [
            ("0s", "2026-11-21T12:00:00Z"),
            ("90s", "2026-11-21T11:58:30Z"),
            ("15m", "2026-11-21T11:45:00Z"),
            ("36h", "2026-11-20T00:00:00Z"),
            ("7d", "2026-11-14T12:00:00Z"),
        ] {
            let age: Age = text.parse().expect(text);
            assert_eq!(age.before(now), before.parse::<DateTime<Utc>>().expect("a time"), "{text}");
        }
        for text in ["", "s", "7", "-1d", "+1d", "1w", "1.5h", "10001d", "99999999999999999999d", "7é"] {
            assert_eq!(text.parse::<Age>(), Err(AgeError), "{text}");
        }
    }

    #[test]
    fn an_age_becomes_a_time_once() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().expect("a time");
        let filter = SagaFilter { older_than: "1h".parse().ok(), ..SagaFilter::default() };
        let frozen = filter.at(now);
        assert_eq!((frozen.older_than, frozen.created_to), (None, "2026-11-21T11:00:00Z".parse().ok()));
        assert_eq!(frozen.clone().at(now + TimeDelta::hours(5)), frozen);
    }

    #[test]
    fn words_are_bounded_and_plain() {
        let found = words(["card_declined", "The card 4242 was DECLINED: é."]);
        assert_eq!(found.iter().collect::<Vec<_>>(), ["4242", "card", "declined", "the", "was", "é"]);
        let many: String = (0..100).map(|n| format!("w{n} ")).collect();
        assert_eq!(words([many.as_str()]).len(), ERROR_WORDS_MAX);
        assert!(words(["é".repeat(100).as_str()]).iter().all(|word| word.len() <= WORD_BYTES_MAX));
        assert!(words([" ,;:-_"]).is_empty());
    }

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        let filter = SagaFilter::default;
        let day = |day: u32| format!("2026-11-{day}T00:00:00Z").parse::<DateTime<Utc>>().ok();
        for (wrong, criterion) in [
            (SagaFilter { definition: Some("No name".into()), ..filter() }, "definition"),
            (SagaFilter { version: Some(1), ..filter() }, "version"),
            (SagaFilter { definition: Some("a".into()), version: Some(0), ..filter() }, "version"),
            (SagaFilter { step: Some(String::new()), ..filter() }, "step"),
            (SagaFilter { error: Some("x".repeat(129)), ..filter() }, "error"),
            (SagaFilter { text: Some("…".into()), ..filter() }, "text"),
            (SagaFilter { tag: vec!["A".into()], ..filter() }, "tag"),
            (SagaFilter { tag_prefix: Some("_".into()), ..filter() }, "tag_prefix"),
            (SagaFilter { created_from: day(21), created_to: day(20), ..filter() }, "created_to"),
            (SagaFilter { updated_from: day(21), updated_to: day(21), ..filter() }, "updated_to"),
        ] {
            assert_eq!(wrong.check().expect_err("wrong").criterion, criterion, "{wrong:?}");
        }
        let sound = SagaFilter {
            definition: Some("a".into()),
            version: Some(1),
            text: Some("card declined".into()),
            tag_prefix: Some("event_".into()),
            created_from: day(20),
            created_to: day(21),
            ..filter()
        };
        assert_eq!(sound.check(), Ok(()));
    }
}
