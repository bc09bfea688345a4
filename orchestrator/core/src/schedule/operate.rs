//! What people do with schedules. Each act is on record with who, why and an id; a repeat under the same id changes nothing.

use amends_schemas::contract::is_plain_name;
use amends_schemas::ids::SagaId;
use amends_schemas::limits::{NAME_BYTES_MAX, REASON_BYTES_MAX};
use amends_schemas::problem::{FieldError, Problem};
use amends_schemas::saga::StartSaga;
use amends_schemas::schedule::{
    CreateSchedule, OperateSchedule, SCHEDULE_NAME_BYTES_MAX, ScheduleAct, ScheduleActRecord, ScheduleChange,
    ScheduleOperated, ScheduleSpec, ScheduleVerb, is_schedule_name, schedule_tag,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::state::{RecordedAct, Schedule, input_at};
use super::timetable::Timetable;
use crate::accept::accept;
use crate::definition::DefinitionLibrary;
use crate::validate::content_hash;

/// What is to be done about a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Operating {
    /// Write this over what was read.
    Write(Box<Schedule>),
    /// Start this saga, then put it on record with [`ran`].
    Start(Box<StartSaga>),
    /// Nothing: it was done before.
    Done(Box<ScheduleOperated>),
}

/// Makes a schedule where there is none, or one that was deleted; none when it is there already, by this request or another that asked
/// for the same.
///
/// # Errors
/// `invalid_schedule`, `invalid_cron`, `unknown_time_zone`, `definition_not_found`, `schedule_exists`, `operation_id_reused`, and those of
/// [`accept`].
pub fn create(
    known: Option<&Schedule>,
    request: &CreateSchedule,
    library: &DefinitionLibrary,
    now: DateTime<Utc>,
) -> Result<Option<Schedule>, Problem> {
    check_words(&request.by, &request.reason)?;
    let fingerprint = fingerprint(&(&request.by, &request.reason, request.paused, &request.spec))?;
    if let Some(known) = known {
        if let Some(done) = known.act(request.operation_id) {
            return if done.fingerprint == fingerprint && !known.deleted { Ok(None) } else { Err(reused()) };
        }
        if !known.deleted && known.spec == request.spec && known.paused == request.paused {
            return Ok(None);
        }
    }
    if !is_schedule_name(&request.name) {
        let message = format!(
            "a name is made of lower-case letters, digits, `-` and `_`, starts with a letter and has at most \
             {SCHEDULE_NAME_BYTES_MAX} bytes"
        );
        return Err(invalid("/name", message));
    }
    check(&request.name, &request.spec, library, now)?;
    if known.is_some_and(|known| !known.deleted) {
        return Err(exists(&request.name));
    }
    let mut schedule = Schedule {
        name: request.name.clone(),
        schedule_id: Uuid::new_v5(&request.operation_id, request.name.as_bytes()),
        writes: known.map_or(0, |known| known.writes),
        revision: 0,
        spec: request.spec.clone(),
        paused: request.paused,
        deleted: false,
        created_at: now,
        updated_at: now,
        settled_until: now,
        next_at: None,
        last_at: None,
        last_saga_id: None,
        last_error: None,
        left_out: None,
        acts: known.map_or_else(Vec::new, |known| known.acts.clone()),
    };
    let act = ScheduleActRecord {
        verb: ScheduleVerb::Create,
        by: request.by.clone(),
        reason: request.reason.clone(),
        at: now,
        operation_id: request.operation_id,
        changed: Vec::new(),
        saga_id: None,
    };
    schedule.record(act, fingerprint);
    schedule.settle(now);
    Ok(Some(schedule))
}

/// Does what somebody asks, or says why not.
///
/// # Errors
/// `schedule_not_found`, `illegal_here`, `schedule_changed`, `operation_id_reused`, and those of [`create`] for a change.
pub fn operate(
    schedule: &Schedule,
    request: &OperateSchedule,
    library: &DefinitionLibrary,
    now: DateTime<Utc>,
) -> Result<Operating, Problem> {
    check_words(&request.by, &request.reason)?;
    let fingerprint = fingerprint_of(request)?;
    if let Some(done) = schedule.act(request.operation_id) {
        return if done.fingerprint == fingerprint {
            Ok(Operating::Done(Box::new(told(schedule, done))))
        } else {
            Err(reused())
        };
    }
    if schedule.deleted {
        return Err(not_found(&schedule.name));
    }
    let mut changed = Vec::new();
    let mut next = schedule.clone();
    match &request.act {
        ScheduleAct::Change { revision, change } => {
            if let Some(seen) = revision.filter(|seen| *seen != schedule.revision) {
                return Err(Problem::conflict(
                    "schedule_changed",
                    format!(
                        "schedule {} has revision {} by now, not {seen}: read it again and decide anew",
                        schedule.name, schedule.revision
                    ),
                ));
            }
            changed = apply(&mut next.spec, change);
            check(&next.name, &next.spec, library, now)?;
            if changed.contains(&"cron") || changed.contains(&"time_zone") {
                next.settle(now);
            }
        }
        ScheduleAct::Pause if schedule.paused => return Err(illegal(schedule, request, "it is paused already")),
        ScheduleAct::Pause => {
            next.paused = true;
            next.settle(schedule.settled_until);
        }
        ScheduleAct::Resume if !schedule.paused => return Err(illegal(schedule, request, "it is not paused")),
        ScheduleAct::Resume => {
            next.paused = false;
            next.settle(now);
        }
        ScheduleAct::Run => return Ok(Operating::Start(Box::new(schedule.saga_by_hand(request.operation_id, now)))),
        ScheduleAct::Delete => {
            next.deleted = true;
            next.settle(schedule.settled_until);
        }
    }
    let changed = changed.into_iter().map(str::to_owned).collect();
    next.put_on_record(request, fingerprint, changed, None, now);
    Ok(Operating::Write(Box::new(next)))
}

/// Puts on record that an act has started its saga.
///
/// # Errors
/// `operation_id_reused`.
pub fn ran(
    schedule: &Schedule,
    request: &OperateSchedule,
    saga_id: SagaId,
    now: DateTime<Utc>,
) -> Result<Operating, Problem> {
    let fingerprint = fingerprint_of(request)?;
    match schedule.act(request.operation_id) {
        Some(done) if done.fingerprint == fingerprint => Ok(Operating::Done(Box::new(told(schedule, done)))),
        Some(_) => Err(reused()),
        None => {
            let mut next = schedule.clone();
            next.put_on_record(request, fingerprint, Vec::new(), Some(saga_id), now);
            Ok(Operating::Write(Box::new(next)))
        }
    }
}

impl Schedule {
    /// What an act did that is on record.
    pub fn told(&self, operation_id: Uuid) -> Option<ScheduleOperated> {
        self.act(operation_id).map(|done| told(self, done))
    }

    fn put_on_record(
        &mut self,
        request: &OperateSchedule,
        fingerprint: String,
        changed: Vec<String>,
        saga_id: Option<SagaId>,
        now: DateTime<Utc>,
    ) {
        let act = ScheduleActRecord {
            verb: request.act.verb(),
            by: request.by.clone(),
            reason: request.reason.clone(),
            at: now,
            operation_id: request.operation_id,
            changed,
            saga_id,
        };
        self.record(act, fingerprint);
    }
}

/// Makes the changes and names what is different.
fn apply(spec: &mut ScheduleSpec, change: &ScheduleChange) -> Vec<&'static str> {
    let mut changed = Vec::new();
    let ScheduleChange { version, input, time_member, tags, cron, time_zone, catch_up } = change;
    set(&mut spec.version, version, "version", &mut changed);
    set(&mut spec.input, input, "input", &mut changed);
    set(&mut spec.time_member, time_member, "time_member", &mut changed);
    set(&mut spec.tags, tags, "tags", &mut changed);
    set(&mut spec.cron, cron, "cron", &mut changed);
    set(&mut spec.time_zone, time_zone, "time_zone", &mut changed);
    set(&mut spec.catch_up, catch_up, "catch_up", &mut changed);
    changed
}

fn set<T: Clone + PartialEq>(place: &mut T, value: &Option<T>, name: &'static str, changed: &mut Vec<&'static str>) {
    if let Some(value) = value
        && value != place
    {
        place.clone_from(value);
        changed.push(name);
    }
}

/// What would be refused at each of its times is refused now.
fn check(name: &str, spec: &ScheduleSpec, library: &DefinitionLibrary, now: DateTime<Utc>) -> Result<(), Problem> {
    Timetable::parse(&spec.cron, &spec.time_zone)?;
    if let Some(member) = &spec.time_member {
        if member.is_empty() || member.len() > NAME_BYTES_MAX {
            return Err(invalid("/time_member", format!("a member's name has 1 to {NAME_BYTES_MAX} bytes")));
        }
        if !spec.input.is_object() {
            return Err(invalid(
                "/time_member",
                "only an input that is an object has a member for the time".to_owned(),
            ));
        }
    }
    let definition = library.find(&spec.definition, spec.version).ok_or_else(|| {
        let named = if is_plain_name(&spec.definition) { spec.definition.as_str() } else { "of this name" };
        Problem::not_found(
            "definition_not_found",
            match spec.version {
                Some(version) => format!("no saga {named} of version {version} is known here"),
                None => format!("no saga {named} is known here"),
            },
        )
    })?;
    let mut tags = spec.tags.clone();
    tags.insert(schedule_tag(name));
    accept(definition, &input_at(spec, now), &tags)
}

fn check_words(by: &str, reason: &str) -> Result<(), Problem> {
    if by.len() <= REASON_BYTES_MAX && reason.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    Err(Problem::invalid("reason_too_long", format!("`reason` and `by` have at most {REASON_BYTES_MAX} bytes each")))
}

fn fingerprint_of(request: &OperateSchedule) -> Result<String, Problem> {
    fingerprint(&(&request.by, &request.reason, &request.act))
}

fn fingerprint(content: &impl Serialize) -> Result<String, Problem> {
    let content = serde_json::to_value(content)
        .map_err(|error| Problem::internal("operation_not_encodable", error.to_string()))?;
    Ok(content_hash(&content))
}

fn told(schedule: &Schedule, done: &RecordedAct) -> ScheduleOperated {
    ScheduleOperated { name: schedule.name.clone(), act: done.act.clone() }
}

/// Nothing of this name.
pub fn not_found(name: &str) -> Problem {
    Problem::not_found("schedule_not_found", format!("there is no schedule {name}"))
}

fn exists(name: &str) -> Problem {
    Problem::conflict(
        "schedule_exists",
        format!("there is a schedule {name} already, with another content: change it, or choose another name"),
    )
}

fn reused() -> Problem {
    Problem::conflict(
        "operation_id_reused",
        "this operation id was used before for something else; choose another for another operation",
    )
}

fn illegal(schedule: &Schedule, request: &OperateSchedule, why: &str) -> Problem {
    let verb = request.act.verb().as_str();
    Problem::conflict("illegal_here", format!("`{verb}` does not apply to schedule {}: {why}", schedule.name))
}

fn invalid(pointer: &str, message: String) -> Problem {
    Problem::invalid("invalid_schedule", message.clone())
        .with_errors(vec![FieldError { pointer: pointer.to_owned(), message }])
}
