//! What clients and operators ask of schedules, and how a schedule reads. A schedule starts a saga at every time that its cron
//! expression names.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::contract::is_plain_name;
use crate::ids::SagaId;
use crate::limits::NAME_BYTES_MAX;

/// What the tag of a schedule's sagas begins with.
pub const SCHEDULE_TAG_PREFIX: &str = "schedule_";

/// Longest name of a schedule, in bytes: its sagas' tag holds it.
pub const SCHEDULE_NAME_BYTES_MAX: usize = NAME_BYTES_MAX - SCHEDULE_TAG_PREFIX.len();

/// Whether a schedule may be called so.
pub fn is_schedule_name(name: &str) -> bool {
    is_plain_name(name) && name.len() <= SCHEDULE_NAME_BYTES_MAX
}

/// The tag that every saga of a schedule bears.
pub fn schedule_tag(name: &str) -> String {
    format!("{SCHEDULE_TAG_PREFIX}{name}")
}

/// What becomes of times that passed while nobody could start anything. What is no later than a minute is not late and is always started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are left out.
    #[default]
    Skip,
    /// The newest of them is started, unless one is due that is not late.
    Latest,
    /// Each is started, oldest first, up to [`SCHEDULE_CATCH_UP_MAX`](crate::limits::SCHEDULE_CATCH_UP_MAX); older ones are left out.
    All,
}

impl CatchUp {
    /// As it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            CatchUp::Skip => "skip",
            CatchUp::Latest => "latest",
            CatchUp::All => "all",
        }
    }
}

/// What a schedule starts, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// The definition's name.
    pub definition: String,
    /// Its version; the newest at each time when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What every saga is started with.
    pub input: Value,
    /// The member of the input that is set to the time for which a saga is started; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_member: Option<String>,
    /// Labels of every saga, besides [`schedule_tag`].
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// Five fields (minute, hour, day of month, month, day of week), or six with the second before them.
    pub cron: String,
    /// IANA name of the zone in which `cron` is read.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// What becomes of times that passed.
    #[serde(default)]
    pub catch_up: CatchUp,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Asks for a new schedule. Sending it again under the same `operation_id` changes nothing and is answered with the schedule as it stands;
/// a name that is taken by a schedule with another content is the conflict `schedule_exists`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateSchedule {
    /// Its id, for people; see [`is_schedule_name`].
    pub name: String,
    /// Chosen by the caller, so that asking twice is asking once.
    pub operation_id: Uuid,
    /// Who asks, for the record.
    #[serde(default)]
    pub by: String,
    /// Why, for the record.
    #[serde(default)]
    pub reason: String,
    /// Whether it starts nothing until it is resumed.
    #[serde(default)]
    pub paused: bool,
    /// What it starts, and when.
    pub spec: ScheduleSpec,
}

/// Names a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRef {
    /// Which.
    pub name: String,
}

/// Asks for a page of schedules, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSchedules {
    /// Where the last page ended; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many; bounded by [`crate::limits::PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Asks to do something with a schedule. Sending it again under the same `operation_id` changes nothing and is answered as the first
/// time; with another content it is the conflict `operation_id_reused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperateSchedule {
    /// Which.
    pub name: String,
    /// Chosen by the caller, so that asking twice is asking once.
    pub operation_id: Uuid,
    /// Who asks, for the record.
    #[serde(default)]
    pub by: String,
    /// Why, for the record.
    #[serde(default)]
    pub reason: String,
    /// What is to be done.
    pub act: ScheduleAct,
}

/// What operators do with a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum ScheduleAct {
    /// Start something else, or at other times. Another `cron` or `time_zone` counts from now on.
    Change {
        /// Only while it has this revision; at any when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
        /// What is to be different.
        change: ScheduleChange,
    },
    /// Start nothing until it is resumed.
    Pause,
    /// Go on from now.
    Resume,
    /// Start one saga now, whether it is paused or not.
    Run,
    /// End it. Its sagas go on.
    Delete,
}

/// What is to be different; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleChange {
    /// Another version; null for the newest at each time.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub version: Option<Option<u32>>,
    /// Another input.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub input: Option<Value>,
    /// Another member for the time; null for none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub time_member: Option<Option<String>>,
    /// Other labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeSet<String>>,
    /// Other times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Another zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Another policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
}

/// Tells a member that is null from one that is absent.
///
/// # Errors
/// As `T`.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

/// What has been done with a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleVerb {
    /// It was made.
    Create,
    /// See [`ScheduleAct::Change`].
    Change,
    /// See [`ScheduleAct::Pause`].
    Pause,
    /// See [`ScheduleAct::Resume`].
    Resume,
    /// See [`ScheduleAct::Run`].
    Run,
    /// See [`ScheduleAct::Delete`].
    Delete,
}

impl ScheduleVerb {
    /// As it stands in paths and sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            ScheduleVerb::Create => "create",
            ScheduleVerb::Change => "change",
            ScheduleVerb::Pause => "pause",
            ScheduleVerb::Resume => "resume",
            ScheduleVerb::Run => "run",
            ScheduleVerb::Delete => "delete",
        }
    }
}

impl ScheduleAct {
    /// Its name.
    pub const fn verb(&self) -> ScheduleVerb {
        match self {
            ScheduleAct::Change { .. } => ScheduleVerb::Change,
            ScheduleAct::Pause => ScheduleVerb::Pause,
            ScheduleAct::Resume => ScheduleVerb::Resume,
            ScheduleAct::Run => ScheduleVerb::Run,
            ScheduleAct::Delete => ScheduleVerb::Delete,
        }
    }
}

/// One act, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleActRecord {
    /// What was done.
    pub verb: ScheduleVerb,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
    /// From the request.
    pub operation_id: Uuid,
    /// What is different since, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// The saga that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saga_id: Option<SagaId>,
}

/// What an act did. The same for every repeat of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleOperated {
    /// The schedule.
    pub name: String,
    /// The act, as it stands in the record.
    #[serde(flatten)]
    pub act: ScheduleActRecord,
}

/// Why a time started nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleError {
    /// The time that was to be started.
    pub scheduled_for: DateTime<Utc>,
    /// When it was refused.
    pub at: DateTime<Utc>,
    /// Stable, in `snake_case`.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Times that passed and were not started, as the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The first of them.
    pub from: DateTime<Utc>,
    /// The last of them.
    pub to: DateTime<Utc>,
    /// When this was decided.
    pub at: DateTime<Utc>,
}

/// A schedule, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleView {
    /// Its id.
    pub name: String,
    /// What it starts, and when.
    #[serde(flatten)]
    pub spec: ScheduleSpec,
    /// Whether it starts nothing.
    pub paused: bool,
    /// One more with each act of a person: given with a change, it is made only if nobody else has been at it.
    pub revision: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last did something with it.
    pub updated_at: DateTime<Utc>,
    /// The next time; null while it is paused.
    pub next_at: Option<DateTime<Utc>>,
    /// The next few times, as if it were not paused.
    pub upcoming: Vec<DateTime<Utc>>,
    /// The last time that a saga was started for.
    pub last_at: Option<DateTime<Utc>>,
    /// That saga.
    pub last_saga_id: Option<SagaId>,
    /// Why the last time started nothing; absent when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ScheduleError>,
    /// What was last left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// What people did with it, oldest first; the last [`SCHEDULE_ACTS_MAX`](crate::limits::SCHEDULE_ACTS_MAX).
    pub acts: Vec<ScheduleActRecord>,
}

/// One line of a list of schedules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSummary {
    /// Its id.
    pub name: String,
    /// The definition's name.
    pub definition: String,
    /// Its version; the newest when null.
    pub version: Option<u32>,
    /// When.
    pub cron: String,
    /// In which zone.
    pub time_zone: String,
    /// What becomes of times that passed.
    pub catch_up: CatchUp,
    /// Whether it starts nothing.
    pub paused: bool,
    /// The next time; null while it is paused.
    pub next_at: Option<DateTime<Utc>>,
    /// The last time that a saga was started for.
    pub last_at: Option<DateTime<Utc>>,
    /// That saga.
    pub last_saga_id: Option<SagaId>,
    /// Why the last time started nothing; absent when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ScheduleError>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_reads_as_any_language_would_write_it() {
        let request: CreateSchedule = serde_json::from_str(
            r#"{"name":"nightly","operation_id":"0193a1de-7d41-7cc1-9b5e-0242ac120002",
                "spec":{"definition":"invoice-run","input":{},"cron":"30 2 * * *"}}"#,
        )
        .expect("valid");
        assert_eq!(request.spec.time_zone, "UTC");
        assert_eq!(request.spec.catch_up, CatchUp::Skip);
        assert!(!request.paused);
    }

    #[test]
    fn null_is_a_change_and_absence_is_none() {
        let act: ScheduleAct =
            serde_json::from_str(r#"{"verb":"change","change":{"version":null,"cron":"0 * * * *"}}"#).expect("valid");
        let ScheduleAct::Change { revision: None, change } = act else { panic!("{act:?}") };
        assert_eq!((change.version, &change.time_member), (Some(None), &None));
        let text = serde_json::to_string(&change).expect("json");
        assert_eq!(text, r#"{"version":null,"cron":"0 * * * *"}"#);
    }

    #[test]
    fn every_name_makes_a_tag() {
        let longest = "a".repeat(SCHEDULE_NAME_BYTES_MAX);
        assert!(is_schedule_name(&longest) && is_plain_name(&schedule_tag(&longest)));
        assert!(!is_schedule_name(&format!("{longest}a")) && !is_schedule_name("No") && !is_schedule_name(""));
    }
}
