//! What people do with schedules.

use amends_core::definition::DefinitionLibrary;
use amends_core::schedule::{Operating, Schedule, create, operate, ran};
use amends_core::validate::parse;
use amends_schemas::contract::ContractRegistry;
use amends_schemas::limits::SCHEDULE_ACTS_MAX;
use amends_schemas::problem::Problem;
use amends_schemas::schedule::{CreateSchedule, OperateSchedule, ScheduleAct, ScheduleVerb};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{all, at};

const DEFINITION: &str = "
saga: report
version: 3
title: A report
input: {type: object, required: [kind], properties: {kind: {type: string}, day: {type: string, format: date-time}}, additionalProperties: false}
steps:
  - {name: a, call: test.a@1, kind: compensable, compensate: undo, input: {}}
";

fn library() -> DefinitionLibrary {
    let mut contracts = ContractRegistry::empty();
    let contract =
        json!({"contract": "test.a@1", "title": "a", "undo": true, "input": {"type": "object"}, "output": {}});
    contracts.add("a", &contract.to_string()).expect("a contract");
    let mut library = DefinitionLibrary::default();
    library.add(parse("report.yaml", DEFINITION, &contracts).expect("valid")).expect("the first");
    library
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0193_a1de_7d41_7cc1_9b5e_0000_0000_0000 + n)
}

fn request(n: u128, change: Value) -> CreateSchedule {
    let mut spec =
        json!({"definition": "report", "input": {"kind": "short"}, "cron": "0 2 * * *", "time_zone": "Europe/Berlin"});
    spec.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
    let request = json!({"name": "nightly", "operation_id": id(n), "by": "ann", "spec": spec});
    serde_json::from_value(request).expect("a request")
}

fn made() -> Schedule {
    create(None, &request(1, json!({})), &library(), at("2026-01-01T12:00")).expect("sound").expect("new")
}

fn act(n: u128, act: Value) -> OperateSchedule {
    let act: ScheduleAct = serde_json::from_value(act).expect("an act");
    OperateSchedule { name: "nightly".into(), operation_id: id(n), by: "bob".into(), reason: "holidays".into(), act }
}

#[track_caller]
fn done(schedule: &Schedule, request: &OperateSchedule, now: &str) -> Schedule {
    match operate(schedule, request, &library(), at(now)).expect("allowed") {
        Operating::Write(next) => *next,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(schedule: &Schedule, request: &OperateSchedule, code: &str) -> Problem {
    let problem = operate(schedule, request, &library(), at("2026-01-02T12:00")).expect_err(code);
    assert_eq!(problem.code, code, "{problem}");
    problem
}

fn times(schedule: &Schedule, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    schedule.due(now).expect("a timetable").times
}

#[test]
fn what_could_never_start_is_not_made() {
    for (change, code, pointer) in [
        (json!({"cron": "99 * * * *"}), "invalid_cron", "/cron"),
        (json!({"time_zone": "Mars/Base"}), "unknown_time_zone", "/time_zone"),
        (json!({"definition": "nothing"}), "definition_not_found", ""),
        (json!({"version": 4}), "definition_not_found", ""),
        (json!({"input": {"kind": 1}}), "invalid_input", "/input/kind"),
        (json!({"input": {}}), "invalid_input", "/input"),
        (json!({"tags": ["Not Plain"]}), "invalid_tags", "/tags/0"),
        (json!({"tags": (0..16).map(|n| format!("t{n}")).collect::<Vec<_>>()}), "invalid_tags", ""),
        (json!({"time_member": "hour"}), "invalid_input", "/input"),
        (json!({"time_member": ""}), "invalid_schedule", "/time_member"),
        (json!({"time_member": "day", "input": "text"}), "invalid_schedule", "/time_member"),
    ] {
        let problem = create(None, &request(1, change.clone()), &library(), at("2026-01-01T12:00")).expect_err(code);
        assert_eq!(problem.code, code, "{change}: {problem}");
        let named = problem.errors.first().map_or("", |error| error.pointer.as_str());
        assert_eq!(named, pointer, "{change}: {problem:?}");
    }
    let mut nameless = request(1, json!({}));
    nameless.name = "No Name".into();
    let problem = create(None, &nameless, &library(), at("2026-01-01T12:00")).expect_err("no name");
    assert_eq!((problem.code.as_str(), problem.errors[0].pointer.as_str()), ("invalid_schedule", "/name"));
}

#[test]
fn making_it_twice_is_making_it_once() {
    let (library, now) = (library(), at("2026-01-03T12:00"));
    let schedule = made();
    assert_eq!((schedule.next_at, schedule.revision), (Some(at("2026-01-02T01:00")), 1));
    let again = |request: &CreateSchedule| create(Some(&schedule), request, &library, now);
    assert_eq!(again(&request(1, json!({}))), Ok(None), "the same request");
    assert_eq!(again(&request(2, json!({}))), Ok(None), "another that asks for the same");
    assert_eq!(again(&request(2, json!({"cron": "0 3 * * *"}))).expect_err("another").code, "schedule_exists");
    assert_eq!(again(&request(1, json!({"cron": "0 3 * * *"}))).expect_err("reused").code, "operation_id_reused");
    // Once it is changed, the request that made it is still known.
    let changed =
        done(&schedule, &act(3, json!({"verb": "change", "change": {"cron": "0 3 * * *"}})), "2026-01-02T12:00");
    assert_eq!(create(Some(&changed), &request(1, json!({})), &library, now), Ok(None));
    assert_eq!(
        create(Some(&changed), &request(2, json!({})), &library, now).expect_err("other").code,
        "schedule_exists"
    );
    // Made anew after it was deleted, it is another: its sagas have other ids. What was done to the first stays on record.
    let deleted = done(&schedule, &act(3, json!({"verb": "delete"})), "2026-01-02T12:00");
    assert_eq!(
        create(Some(&deleted), &request(1, json!({})), &library, now).expect_err("used up").code,
        "operation_id_reused"
    );
    let second = create(Some(&deleted), &request(4, json!({})), &library, now).expect("sound").expect("new");
    assert_ne!(second.saga_at(now).saga_id, schedule.saga_at(now).saga_id);
    let verbs: Vec<_> = second.acts.iter().map(|recorded| recorded.act.verb).collect();
    assert_eq!(verbs, [ScheduleVerb::Create, ScheduleVerb::Delete, ScheduleVerb::Create]);
    assert_eq!(second.writes, deleted.writes, "it is written over the deleted one");
}

#[test]
fn what_passed_while_it_was_paused_is_never_caught_up() {
    let mut schedule = made();
    schedule.spec.catch_up = amends_schemas::schedule::CatchUp::All;
    let paused = done(&schedule, &act(2, json!({"verb": "pause"})), "2026-01-01T13:00");
    assert_eq!(paused.next_at, None);
    assert_eq!(times(&paused, at("2026-01-04T12:00")), all(&[]));
    assert_eq!(paused.view(at("2026-01-04T12:00")).upcoming[..2], all(&["2026-01-05T01:00", "2026-01-06T01:00"]));
    refused(&paused, &act(3, json!({"verb": "pause"})), "illegal_here");
    let resumed = done(&paused, &act(3, json!({"verb": "resume"})), "2026-01-04T12:00");
    assert_eq!(resumed.next_at, Some(at("2026-01-05T01:00")));
    assert_eq!(times(&resumed, at("2026-01-05T01:00")), all(&["2026-01-05T01:00"]));
    refused(&resumed, &act(4, json!({"verb": "resume"})), "illegal_here");
    // Paused and resumed within one moment, it misses nothing that comes.
    let records: Vec<_> = resumed.acts.iter().map(|recorded| (recorded.act.verb, recorded.act.by.as_str())).collect();
    assert_eq!(records, [(ScheduleVerb::Create, "ann"), (ScheduleVerb::Pause, "bob"), (ScheduleVerb::Resume, "bob")]);
}

#[test]
fn a_change_counts_from_now_on_and_is_made_to_what_was_seen() {
    let schedule = made();
    let other = json!({"verb": "change", "revision": 1, "change": {"cron": "*/10 * * * *", "version": 3, "time_member": "day"}});
    let changed = done(&schedule, &act(2, other.clone()), "2026-01-05T12:05");
    assert_eq!(changed.next_at, Some(at("2026-01-05T12:10")));
    assert_eq!(times(&changed, at("2026-01-05T12:09")), all(&[]), "neither the old times nor the new ones before now");
    assert_eq!(changed.acts[1].act.changed, ["version", "time_member", "cron"]);
    assert_eq!(changed.saga_at(at("2026-01-05T12:10")).input, json!({"kind": "short", "day": "2026-01-05T12:10:00Z"}));
    refused(&changed, &act(3, other), "schedule_changed");
    refused(&changed, &act(3, json!({"verb": "change", "change": {"input": {"kind": 1}}})), "invalid_input");
    refused(&changed, &act(3, json!({"verb": "change", "change": {"cron": "x"}})), "invalid_cron");
    // What does not touch the times leaves those that are due.
    let relabelled =
        done(&schedule, &act(3, json!({"verb": "change", "change": {"tags": ["t"]}})), "2026-01-02T01:00:01");
    assert_eq!(times(&relabelled, at("2026-01-02T01:00:02")), all(&["2026-01-02T01:00"]));
    assert_eq!(relabelled.saga_at(at("2026-01-02T01:00")).tags, ["schedule_nightly".to_owned(), "t".to_owned()].into());
}

#[test]
fn a_repeat_is_told_the_same_and_another_content_is_refused() {
    let schedule = made();
    let pause = act(2, json!({"verb": "pause"}));
    let paused = done(&schedule, &pause, "2026-01-01T13:00");
    let again = operate(&paused, &pause, &library(), at("2026-01-09T12:00")).expect("known");
    assert!(matches!(again, Operating::Done(told) if told.act.at == at("2026-01-01T13:00")));
    let mut other = pause.clone();
    other.reason = "another".into();
    refused(&paused, &other, "operation_id_reused");
    refused(&paused, &act(2, json!({"verb": "resume"})), "operation_id_reused");
    let delete = act(3, json!({"verb": "delete"}));
    let deleted = done(&paused, &delete, "2026-01-01T13:00");
    assert!(matches!(operate(&deleted, &delete, &library(), at("2026-01-09T12:00")), Ok(Operating::Done(_))));
    refused(&deleted, &act(4, json!({"verb": "resume"})), "schedule_not_found");
    assert_eq!((deleted.next_at, times(&deleted, at("2026-02-01T00:00"))), (None, vec![]));
}

#[test]
fn running_by_hand_starts_one_saga_and_moves_no_time() {
    let schedule = made();
    let run = act(2, json!({"verb": "run"}));
    let now = at("2026-01-01T13:00");
    let Ok(Operating::Start(start)) = operate(&schedule, &run, &library(), now) else { panic!("no saga") };
    let Ok(Operating::Write(next)) = ran(&schedule, &run, start.saga_id, now) else { panic!("no record") };
    assert_eq!((next.next_at, next.settled_until, next.last_at), (schedule.next_at, schedule.settled_until, None));
    assert_eq!(next.acts[1].act.saga_id, Some(start.saga_id));
    let Ok(Operating::Done(told)) = operate(&next, &run, &library(), at("2026-01-02T13:00")) else { panic!("again") };
    assert_eq!(told.act.saga_id, Some(start.saga_id));
    let Ok(Operating::Start(other)) = operate(&next, &act(3, json!({"verb": "run"})), &library(), now) else {
        panic!("no saga")
    };
    assert_ne!(other.saga_id, start.saga_id);
}

#[test]
fn one_time_is_one_saga_and_its_end_is_remembered() {
    let mut schedule = made();
    let (first, second) = (at("2026-01-02T01:00"), at("2026-01-03T01:00"));
    assert_eq!(schedule.saga_at(first), made().saga_at(first));
    assert_ne!(schedule.saga_at(first).saga_id, schedule.saga_at(second).saga_id);
    schedule.refused(first, &Problem::invalid("invalid_input", "no longer"), second);
    assert_eq!((schedule.next_at, schedule.last_at), (Some(second), None));
    assert_eq!(
        schedule.last_error.as_ref().map(|error| (error.code.as_str(), error.scheduled_for)),
        Some(("invalid_input", first))
    );
    let saga_id = schedule.saga_at(second).saga_id;
    schedule.started(second, saga_id);
    assert_eq!((schedule.last_at, schedule.last_saga_id, &schedule.last_error), (Some(second), Some(saga_id), &None));
    assert_eq!(schedule.next_at, Some(at("2026-01-04T01:00")));
}

#[test]
fn the_record_is_bounded() {
    let mut schedule = made();
    for n in 0..SCHEDULE_ACTS_MAX as u128 {
        let verb = if n % 2 == 0 { "pause" } else { "resume" };
        schedule = done(&schedule, &act(10 + n, json!({"verb": verb})), "2026-01-01T13:00");
    }
    assert_eq!(schedule.acts.len(), SCHEDULE_ACTS_MAX);
    assert_eq!(schedule.acts[0].act.verb, ScheduleVerb::Pause, "the oldest is forgotten");
    assert_eq!(schedule.revision, 1 + SCHEDULE_ACTS_MAX as u64);
}
