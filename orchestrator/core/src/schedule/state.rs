//! One schedule as it is stored.

use amends_schemas::ids::SagaId;
use amends_schemas::limits::SCHEDULE_ACTS_MAX;
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Priority, StartSaga};
use amends_schemas::schedule::{
    LeftOut, ScheduleActRecord, ScheduleError, ScheduleSpec, ScheduleSummary, ScheduleView, schedule_tag,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Due, Timetable, due};

/// Times that are shown in advance.
pub const UPCOMING: usize = 5;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// Tells it from an earlier one of the same name. The ids of its sagas are made of it.
    pub schedule_id: Uuid,
    /// How often it had been written when it was read: nobody writes over what somebody else has written meanwhile.
    pub writes: u64,
    /// One more with each act of a person.
    pub revision: u64,
    /// What it starts, and when.
    pub spec: ScheduleSpec,
    /// Whether it starts nothing.
    pub paused: bool,
    /// Kept for the record.
    #[serde(default)]
    pub deleted: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last did something with it.
    pub updated_at: DateTime<Utc>,
    /// Every time up to this one is started, refused or passed over.
    pub settled_until: DateTime<Utc>,
    /// The next time; none while it is paused, or deleted.
    pub next_at: Option<DateTime<Utc>>,
    /// The last time that a saga was started for.
    #[serde(default)]
    pub last_at: Option<DateTime<Utc>>,
    /// That saga.
    #[serde(default)]
    pub last_saga_id: Option<SagaId>,
    /// Why the last time started nothing.
    #[serde(default)]
    pub last_error: Option<ScheduleError>,
    /// What was last passed over.
    #[serde(default)]
    pub left_out: Option<LeftOut>,
    /// What people did with it, oldest first.
    pub acts: Vec<RecordedAct>,
}

/// An act, with what tells a repeat of it from another under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedAct {
    /// What was done.
    pub act: ScheduleActRecord,
    /// A hash of the request.
    pub fingerprint: String,
}

impl Schedule {
    /// What is to be started now. Nothing while it is paused.
    ///
    /// # Errors
    /// `invalid_cron` or `unknown_time_zone` when another version of this binary has written what this one cannot read.
    pub fn due(&self, now: DateTime<Utc>) -> Result<Due, Problem> {
        if self.paused || self.deleted {
            return Ok(Due::default());
        }
        Ok(due(&self.timetable()?, self.spec.catch_up, self.settled_until, now))
    }

    /// The saga for one of its times: the same for whoever starts it, and however often.
    pub fn saga_at(&self, time: DateTime<Utc>) -> StartSaga {
        self.saga(&format!("at {}", text(time)), time)
    }

    /// The saga that one act starts now.
    pub fn saga_by_hand(&self, operation_id: Uuid, now: DateTime<Utc>) -> StartSaga {
        self.saga(&format!("by hand {operation_id}"), now)
    }

    /// A time has its saga.
    pub fn started(&mut self, time: DateTime<Utc>, saga_id: SagaId) {
        self.last_at = Some(time);
        self.last_saga_id = Some(saga_id);
        self.last_error = None;
        self.settle(time);
    }

    /// A time has none, and never will.
    pub fn refused(&mut self, time: DateTime<Utc>, problem: &Problem, now: DateTime<Utc>) {
        self.last_error = Some(ScheduleError {
            scheduled_for: time,
            at: now,
            code: problem.code.clone(),
            message: problem.message.clone(),
        });
        self.settle(time);
    }

    /// This binary cannot read when it is due. It waits for one that can; whether there is anything to write.
    pub fn unreadable(&mut self, problem: &Problem, now: DateTime<Utc>) -> bool {
        if self.last_error.as_ref().is_some_and(|error| error.code == problem.code) {
            return false;
        }
        self.last_error = Some(ScheduleError {
            scheduled_for: self.next_at.unwrap_or(now),
            at: now,
            code: problem.code.clone(),
            message: problem.message.clone(),
        });
        true
    }

    /// Times are passed over.
    pub fn leave_out(&mut self, left_out: LeftOut) {
        self.left_out = Some(left_out);
        self.settle(left_out.to);
    }

    /// Everything up to `time` is dealt with.
    pub(super) fn settle(&mut self, time: DateTime<Utc>) {
        self.settled_until = self.settled_until.max(time);
        self.next_at = if self.paused || self.deleted {
            None
        } else {
            self.timetable().ok().and_then(|timetable| timetable.next_after(self.settled_until))
        };
    }

    /// Puts an act on record.
    pub(super) fn record(&mut self, act: ScheduleActRecord, fingerprint: String) {
        self.updated_at = act.at;
        self.revision += 1;
        self.acts.push(RecordedAct { act, fingerprint });
        let forgotten = self.acts.len().saturating_sub(SCHEDULE_ACTS_MAX);
        self.acts.drain(..forgotten);
    }

    /// The act of this id.
    pub(super) fn act(&self, operation_id: Uuid) -> Option<&RecordedAct> {
        self.acts.iter().find(|recorded| recorded.act.operation_id == operation_id)
    }

    /// As people read it.
    pub fn view(&self, now: DateTime<Utc>) -> ScheduleView {
        let next = |time| self.timetable().ok().and_then(|timetable| timetable.next_after(time));
        let first = if self.paused { now } else { self.settled_until.max(now) };
        ScheduleView {
            name: self.name.clone(),
            spec: self.spec.clone(),
            paused: self.paused,
            revision: self.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
            next_at: self.next_at,
            upcoming: std::iter::successors(next(first), |time| next(*time)).take(UPCOMING).collect(),
            last_at: self.last_at,
            last_saga_id: self.last_saga_id,
            last_error: self.last_error.clone(),
            left_out: self.left_out,
            acts: self.acts.iter().map(|recorded| recorded.act.clone()).collect(),
        }
    }

    /// As it stands in a list.
    pub fn summary(&self) -> ScheduleSummary {
        ScheduleSummary {
            name: self.name.clone(),
            definition: self.spec.definition.clone(),
            version: self.spec.version,
            cron: self.spec.cron.clone(),
            time_zone: self.spec.time_zone.clone(),
            catch_up: self.spec.catch_up,
            paused: self.paused,
            next_at: self.next_at,
            last_at: self.last_at,
            last_saga_id: self.last_saga_id,
            last_error: self.last_error.clone(),
        }
    }

    fn timetable(&self) -> Result<Timetable, Problem> {
        Timetable::parse(&self.spec.cron, &self.spec.time_zone)
    }

    fn saga(&self, what_for: &str, time: DateTime<Utc>) -> StartSaga {
        let mut tags = self.spec.tags.clone();
        tags.insert(schedule_tag(&self.name));
        StartSaga {
            saga_id: SagaId::derive(self.schedule_id, what_for),
            definition: self.spec.definition.clone(),
            version: self.spec.version,
            input: input_at(&self.spec, time),
            tags,
            start_at: None,
            priority: Priority::default(),
            parent: None,
        }
    }
}

/// The input for one time.
pub(super) fn input_at(spec: &ScheduleSpec, time: DateTime<Utc>) -> Value {
    let mut input = spec.input.clone();
    if let (Some(member), Some(members)) = (&spec.time_member, input.as_object_mut()) {
        members.insert(member.clone(), Value::String(text(time)));
    }
    input
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
