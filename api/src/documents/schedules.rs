//! Schedules: twins of the wire types in `amends_schemas::schedule`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// What becomes of times that passed while nobody could start anything; what is at most a minute late is always started.
#[derive(ToSchema)]
#[schema(as = CatchUp, rename_all = "snake_case")]
pub enum CatchUpDocument {
    /// They are left out.
    Skip,
    /// The newest of them is started.
    Latest,
    /// The newest 100 of them are started, oldest first.
    All,
}

/// A schedule.
#[derive(ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleDocument {
    /// Its id.
    pub name: String,
    /// The definition whose sagas it starts.
    pub definition: String,
    /// Its version; absent: the newest at each time.
    #[schema(required = false, minimum = 1)]
    pub version: Option<u32>,
    /// What every saga is started with.
    pub input: Value,
    /// The member of the input that is set to the time for which a saga is started.
    #[schema(required = false)]
    pub time_member: Option<String>,
    /// Labels of every saga, besides `schedule_<name>`.
    pub tags: Vec<String>,
    /// Five fields, or six with the second before them.
    #[schema(example = "30 2 * * *")]
    pub cron: String,
    /// IANA name of the zone in which `cron` is read.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    /// What becomes of times that passed.
    pub catch_up: CatchUpDocument,
    /// Whether it starts nothing.
    pub paused: bool,
    /// One more with each act of a person: given with a change, it is made only if nobody else has been at it.
    #[schema(minimum = 1)]
    pub revision: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last did something with it.
    pub updated_at: DateTime<Utc>,
    /// The next time; null while it is paused.
    #[schema(required)]
    pub next_at: Option<DateTime<Utc>>,
    /// The next few times, as if it were not paused.
    #[schema(max_items = 5)]
    pub upcoming: Vec<DateTime<Utc>>,
    /// The last time that a saga was started for.
    #[schema(required)]
    pub last_at: Option<DateTime<Utc>>,
    /// That saga.
    #[schema(required)]
    pub last_saga_id: Option<Uuid>,
    /// Why the last time started nothing; absent when it did.
    #[schema(required = false)]
    pub last_error: Option<ScheduleErrorDocument>,
    /// Times that were last left out.
    #[schema(required = false)]
    pub left_out: Option<LeftOutDocument>,
    /// What people did with it, oldest first; the last 100.
    #[schema(max_items = 100)]
    pub acts: Vec<ScheduleActDocument>,
}

/// One line of a list of schedules.
#[derive(ToSchema)]
#[schema(as = ScheduleSummary)]
pub struct ScheduleSummaryDocument {
    /// Its id.
    pub name: String,
    /// The definition whose sagas it starts.
    pub definition: String,
    /// Its version; null: the newest at each time.
    #[schema(required, minimum = 1)]
    pub version: Option<u32>,
    /// Five fields, or six with the second before them.
    #[schema(example = "30 2 * * *")]
    pub cron: String,
    /// IANA name of the zone in which `cron` is read.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    /// What becomes of times that passed.
    pub catch_up: CatchUpDocument,
    /// Whether it starts nothing.
    pub paused: bool,
    /// The next time; null while it is paused.
    #[schema(required)]
    pub next_at: Option<DateTime<Utc>>,
    /// The last time that a saga was started for.
    #[schema(required)]
    pub last_at: Option<DateTime<Utc>>,
    /// That saga.
    #[schema(required)]
    pub last_saga_id: Option<Uuid>,
    /// Why the last time started nothing; absent when it did.
    #[schema(required = false)]
    pub last_error: Option<ScheduleErrorDocument>,
}

/// Why a time started nothing.
#[derive(ToSchema)]
#[schema(as = ScheduleError)]
pub struct ScheduleErrorDocument {
    /// The time that was to be started.
    pub scheduled_for: DateTime<Utc>,
    /// When it was refused.
    pub at: DateTime<Utc>,
    /// Stable, in `snake_case`.
    #[schema(example = "invalid_input")]
    pub code: String,
    /// For people.
    pub message: String,
}

/// Times that passed and were not started.
#[derive(ToSchema)]
#[schema(as = LeftOut)]
pub struct LeftOutDocument {
    /// The first of them.
    pub from: DateTime<Utc>,
    /// The last of them.
    pub to: DateTime<Utc>,
    /// When this was decided.
    pub at: DateTime<Utc>,
}

/// What somebody did with a schedule.
#[derive(ToSchema)]
#[schema(as = ScheduleAct)]
pub struct ScheduleActDocument {
    /// What was done.
    pub verb: ScheduleVerbDocument,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Made of the Idempotency-Key, or new.
    pub operation_id: Uuid,
    /// With `change`: what is different since.
    #[schema(required = false)]
    pub changed: Option<Vec<String>>,
    /// With `run`: the saga that was started.
    #[schema(required = false)]
    pub saga_id: Option<Uuid>,
}

/// What an act did; the same for every repeat of it.
#[derive(ToSchema)]
#[schema(as = ScheduleOperated)]
pub struct ScheduleOperatedDocument {
    /// The schedule.
    pub name: String,
    /// What was done.
    pub verb: ScheduleVerbDocument,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Made of the Idempotency-Key, or new.
    pub operation_id: Uuid,
    /// With `change`: what is different since.
    #[schema(required = false)]
    pub changed: Option<Vec<String>>,
    /// With `run`: the saga that was started.
    #[schema(required = false)]
    pub saga_id: Option<Uuid>,
}

/// What people do with schedules.
#[derive(ToSchema)]
#[schema(as = ScheduleVerb, rename_all = "snake_case")]
pub enum ScheduleVerbDocument {
    /// Make it.
    Create,
    /// Start something else, or at other times.
    Change,
    /// Start nothing until it is resumed.
    Pause,
    /// Go on from now.
    Resume,
    /// Start one saga now.
    Run,
    /// End it.
    Delete,
}
