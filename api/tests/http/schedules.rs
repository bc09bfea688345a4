//! Schedules: what is asked of an orchestrator, and how its answers read.

use amends_schemas::problem::Problem;
use amends_schemas::schedule::{
    CatchUp, CreateSchedule, OperateSchedule, ScheduleAct, ScheduleActRecord, ScheduleChange, ScheduleOperated,
    ScheduleView,
};
use amends_schemas::subjects::{SCHEDULE_CREATE, SCHEDULE_GET, SCHEDULE_LIST, SCHEDULE_OPERATE};
use serde_json::{Value, json};

use crate::stage::{Stage, within};

/// A schedule with everything on it.
fn view(spec: Value) -> Value {
    let mut view = json!({
        "name": "nightly", "paused": false, "revision": 3, "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z", "next_at": "2026-01-02T01:30:00Z",
        "upcoming": ["2026-01-02T01:30:00Z", "2026-01-03T01:30:00Z"],
        "last_at": "2026-01-01T01:30:00Z", "last_saga_id": "0193a1de-7d41-7cc1-9b5e-0242ac120002",
        "last_error": {"scheduled_for": "2026-01-01T01:30:00Z", "at": "2026-01-01T01:30:01Z", "code": "c", "message": "m"},
        "left_out": {"from": "2026-01-01T01:30:00Z", "to": "2026-01-01T01:30:00Z", "at": "2026-01-01T01:30:01Z"},
        "acts": [
            {"verb": "change", "by": "a", "reason": "", "at": "2026-01-01T00:00:00Z",
             "operation_id": "0193a1de-7d41-7cc1-9b5e-0242ac120003", "changed": ["cron"]},
            {"verb": "run", "by": "a", "reason": "", "at": "2026-01-01T00:00:00Z",
             "operation_id": "0193a1de-7d41-7cc1-9b5e-0242ac120004", "saga_id": "0193a1de-7d41-7cc1-9b5e-0242ac120005"},
        ],
    });
    view.as_object_mut().expect("an object").extend(spec.as_object().expect("an object").clone());
    let read: ScheduleView = serde_json::from_value(view).expect("a schedule");
    json!(read)
}

#[tokio::test]
async fn a_schedule_is_made_and_read() {
    within(async {
        let stage = Stage::set().await;
        let made = stage
            .play(SCHEDULE_CREATE, |_, question| {
                let request: CreateSchedule = serde_json::from_value(question).expect("CreateSchedule");
                Some(match request.name.as_str() {
                    "taken" => Err(Problem::conflict("schedule_exists", "there is one already")),
                    "reused" => Err(Problem::conflict("operation_id_reused", "used before")),
                    _ => Ok(view(json!(request.spec))),
                })
            })
            .await;
        let body = |name: &str| {
            json!({"name": name, "definition": "report", "version": 2, "input": {"a": null}, "time_member": "at",
                "tags": ["t"], "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "catch_up": "latest", "paused": true,
                "by": "ann", "reason": "asked for"})
        };
        let key = [("idempotency-key", "k")];
        let reply = stage.call_with("POST", "/v1/schedules", &key, Some(body("nightly"))).await;
        assert_eq!((reply.status, &reply.body["catch_up"]), (201, &json!("latest")), "{reply:?}");
        assert_eq!(reply.headers["location"], "/v1/schedules/nightly");
        stage.call_with("POST", "/v1/schedules", &key, Some(body("nightly"))).await;
        let asked: Vec<CreateSchedule> =
            made.questions().into_iter().map(|question| serde_json::from_value(question).expect("a request")).collect();
        assert_eq!(asked[0], asked[1], "one key, one operation");
        assert_eq!((asked[0].by.as_str(), asked[0].paused, asked[0].spec.catch_up), ("ann", true, CatchUp::Latest));
        let least = json!({"name": "nightly", "definition": "report", "input": {}, "cron": "* * * * *"});
        stage.call("POST", "/v1/schedules", Some(least)).await;
        let last: CreateSchedule = serde_json::from_value(made.questions().remove(2)).expect("a request");
        assert_eq!((last.spec.time_zone.as_str(), last.spec.catch_up, last.paused), ("UTC", CatchUp::Skip, false));
        assert_ne!(last.operation_id, asked[0].operation_id);
        for (name, status, code) in
            [("taken", 409, "schedule_exists"), ("reused", 409, "idempotency_key_reused"), ("N", 422, "invalid_schedule")]
        {
            let reply = stage.call("POST", "/v1/schedules", Some(body(name))).await;
            assert_eq!((reply.status, reply.code()), (status, code), "{reply:?}");
        }

        stage.play(SCHEDULE_GET, |_, question| {
            let spec = json!({"definition": "report", "input": {}, "cron": "* * * * *"});
            Some(if question["name"] == "nightly" {
                Ok(view(spec))
            } else {
                Err(Problem::not_found("schedule_not_found", "there is none"))
            })
        })
        .await;
        assert_eq!(stage.call("GET", "/v1/schedules/nightly", None).await.status, 200);
        for name in ["other", "No%20Name"] {
            let reply = stage.call("GET", &format!("/v1/schedules/{name}"), None).await;
            assert_eq!((reply.status, reply.code()), (404, "schedule_not_found"), "{reply:?}");
        }
        stage.play(SCHEDULE_LIST, |_, question| {
            assert_eq!(question, json!({"limit": 2, "cursor": "c"}));
            Some(Ok(json!({"items": [{"name": "a", "definition": "b", "version": null, "cron": "* * * * *", "time_zone": "UTC",
                "catch_up": "skip", "paused": true, "next_at": null, "last_at": null, "last_saga_id": null}], "next_cursor": "d"})))
        })
        .await;
        let page = stage.call("GET", "/v1/schedules?limit=2&cursor=c", None).await;
        assert_eq!((page.status, &page.body["next_cursor"]), (200, &json!("d")), "{page:?}");
    })
    .await;
}

#[tokio::test]
async fn every_verb_is_one_act() {
    within(async {
        let stage = Stage::set().await;
        let asked = stage
            .play(SCHEDULE_OPERATE, |_, question| {
                let request: OperateSchedule = serde_json::from_value(question).expect("OperateSchedule");
                let act = ScheduleActRecord {
                    verb: request.act.verb(),
                    by: request.by,
                    reason: request.reason,
                    at: "2026-01-01T00:00:00Z".parse().expect("a time"),
                    operation_id: request.operation_id,
                    changed: Vec::new(),
                    saga_id: None,
                };
                Some(Ok(json!(ScheduleOperated { name: request.name, act })))
            })
            .await;
        let change = json!({"version": null, "input": {"a": 1}, "tags": ["t"], "revision": 3, "by": "ann"});
        for (method, path, body) in [
            ("POST", "/pause", Some(json!({"by": "ann", "reason": "holidays"}))),
            ("POST", "/resume", None),
            ("POST", "/run", None),
            ("PATCH", "", Some(change)),
            ("DELETE", "?by=ann&reason=no%20longer", None),
        ] {
            let path = format!("/v1/schedules/nightly{path}");
            let reply = stage.call(method, &path, body).await;
            assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
        }
        let requests: Vec<OperateSchedule> = asked
            .questions()
            .into_iter()
            .map(|question| serde_json::from_value(question).expect("a request"))
            .collect();
        let acts: Vec<ScheduleAct> = requests.iter().map(|request| request.act.clone()).collect();
        let change = ScheduleChange {
            version: Some(None),
            input: Some(json!({"a": 1})),
            tags: Some(["t".to_owned()].into()),
            ..ScheduleChange::default()
        };
        let changed = ScheduleAct::Change { revision: Some(3), change };
        assert_eq!(acts, [ScheduleAct::Pause, ScheduleAct::Resume, ScheduleAct::Run, changed, ScheduleAct::Delete]);
        assert_eq!((requests[4].by.as_str(), requests[4].reason.as_str()), ("ann", "no longer"));
        assert_eq!((requests[1].by.as_str(), requests[1].reason.as_str()), ("api", ""));
        // One key is one act of one verb on one schedule.
        let key = [("idempotency-key", "k")];
        for path in ["nightly/pause", "nightly/pause", "nightly/resume", "other/pause"] {
            stage.call_with("POST", &format!("/v1/schedules/{path}"), &key, None).await;
        }
        let ids: Vec<_> = asked.questions()[5..].iter().map(|question| question["operation_id"].clone()).collect();
        assert!(ids[0] == ids[1] && ids[0] != ids[2] && ids[0] != ids[3], "{ids:?}");
    })
    .await;
}
