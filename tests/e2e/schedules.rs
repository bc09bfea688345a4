//! Schedules through the API and the command line: nothing twice, nothing lost, whoever dies and whoever writes at once.

use std::collections::BTreeMap;
use std::process::Command;

use amends_database::{Database, Location};
use amends_engine::schedules::ScheduleStore as _;
use amends_store::SurrealStore;
use amends_test_support::wait::{Deadline, until};
use amends_test_support::{Answer, Client, Platform};
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{BINARY, SAGA_DEADLINE};

/// A saga that waits for a worker who never comes; `more` is required besides.
fn tick(version: u32, more: &str) -> String {
    format!(
        "
saga: tick
version: {version}
title: Tick
input: {{type: object, required: [{more}], properties: {{at: {{type: string, format: date-time}}, word: {{type: string}}}}, additionalProperties: false}}
steps:
  - {{name: a, call: hand.a@1, kind: compensable, compensate: undo, timeout: 10m, on_unknown: retry}}
"
    )
}

struct Stage {
    platform: Platform,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("contracts/hand")).expect("a folder");
        std::fs::create_dir_all(folder.path().join("sagas")).expect("a folder");
        let contract = json!({
            "contract": "hand.a@1", "title": "a", "undo": true, "input": {"type": "object"}, "output": {"type": "object"},
        });
        std::fs::write(folder.path().join("contracts/hand/a.v1.json"), contract.to_string()).expect("written");
        std::fs::write(folder.path().join("sagas/tick.yaml"), tick(1, "")).expect("written");
        let platform = Platform::start_with(BINARY, &["--schemas", &folder.path().to_string_lossy()]).await;
        Self { platform, folder }
    }

    fn client(&self) -> &Client {
        &self.platform.client
    }

    async fn create(&self, name: &str, more: Value) -> Value {
        let answer = self.client().post("/v1/schedules", &body(name, more)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    async fn get(&self, name: &str) -> Value {
        let answer = self.client().get(&format!("/v1/schedules/{name}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    async fn act(&self, name: &str, verb: &str, body: Value) -> Answer {
        self.client().post(&format!("/v1/schedules/{name}/{verb}"), &body).await
    }

    async fn change(&self, name: &str, body: Value) -> Answer {
        let path = format!("/v1/schedules/{name}");
        self.client().try_send(Method::PATCH, &path, None, Some(&body)).await.expect("the API answers")
    }

    /// The sagas of a schedule by the time for which they were started, once there is one for `last` and `whole` says that none is
    /// missing: each partition brings its own into the list. Two for one time fail.
    async fn sagas_until(&self, name: &str, last: &str, whole: impl Fn(&Found) -> Result<(), String>) -> Found {
        let last: DateTime<Utc> = last.parse().expect("a time");
        let mut deadline = Deadline::after(SAGA_DEADLINE);
        loop {
            let found = self.sagas(name).await;
            let missing = match found.contains_key(&last) {
                true => whole(&found),
                false => Err(format!("{:?}", found.keys().collect::<Vec<_>>())),
            };
            let Err(missing) = missing else { return found };
            deadline.pause(&format!("all of {name} until {last}: {missing}")).await;
        }
    }

    async fn sagas(&self, name: &str) -> Found {
        let mut found = Found::new();
        for saga in self.client().items(&format!("/v1/sagas?tag=schedule_{name}&limit=200")).await {
            let saga_id = saga["saga_id"].as_str().expect("an id").to_owned();
            let input = self.client().get(&format!("/v1/sagas/{saga_id}")).await.body["input"].clone();
            let at = input["at"].as_str().expect("a time").parse().expect("a time");
            let other = found.insert(at, saga_id);
            assert!(other.is_none(), "two sagas for {at}");
        }
        found
    }

    /// Waits until a saga has been started for a time after `after`.
    async fn started_after(&self, name: &str, after: &str) -> Value {
        until(&format!("{name} to start after {after}"), SAGA_DEADLINE, async || {
            let schedule = self.get(name).await;
            (schedule["last_at"].as_str().is_some_and(|last| last > after)).then_some(schedule)
        })
        .await
    }
}

fn body(name: &str, more: Value) -> Value {
    let mut body =
        json!({"name": name, "definition": "tick", "input": {}, "time_member": "at", "cron": "0 0 1 1 *", "by": "ann"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

/// Every other second: what is caught up at most covers more than any restart takes on a busy machine.
const STEADY: &str = "*/2 * * * * *";

/// Sagas by the time for which they were started.
type Found = BTreeMap<DateTime<Utc>, String>;

/// Every time of [`STEADY`] from the first to the last is there.
fn none_is_missing<'a>(found: impl IntoIterator<Item = &'a DateTime<Utc>>) -> Result<(), String> {
    let found: Vec<_> = found.into_iter().collect();
    let (first, last) = (found.first().expect("some"), found.last().expect("some"));
    let wanted = usize::try_from((**last - **first).num_seconds() / 2).expect("in order") + 1;
    if found.len() == wanted { Ok(()) } else { Err(format!("{wanted} wanted, found {found:?}")) }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_schedule_is_made_shown_run_by_hand_and_deleted() {
    let stage = Stage::set().await;
    for (more, status, wrong) in [
        (json!({"cron": "61 * * * *"}), 422, "invalid_cron"),
        (json!({"time_zone": "Europe/Berln"}), 422, "unknown_time_zone"),
        (json!({"input": {"word": 1}}), 422, "invalid_input"),
        (json!({"name": "No Name"}), 422, "invalid_schedule"),
        (json!({"definition": "nothing"}), 404, "definition_not_found"),
        (json!({"surprise": 1}), 400, "invalid_body"),
    ] {
        let answer = stage.client().post("/v1/schedules", &body("yearly", more)).await;
        assert_eq!(code(&answer), (status, wrong), "{answer:?}");
    }
    let made = stage.create("yearly", json!({"time_zone": "Europe/Berlin"})).await;
    assert_eq!(made["upcoming"].as_array().map(Vec::len), Some(5), "{made}");
    assert!(
        made["next_at"].as_str().is_some_and(|next| next.ends_with("-12-31T23:00:00Z")),
        "midnight in Berlin: {made}"
    );
    assert_eq!(stage.create("yearly", json!({"time_zone": "Europe/Berlin"})).await["revision"], 1, "the same again");
    let other = stage.client().post("/v1/schedules", &body("yearly", json!({}))).await;
    assert_eq!(code(&other), (409, "schedule_exists"));
    let keyed = |more| body("keyed", more);
    let first = stage.client().post_surely("/v1/schedules", "k", &keyed(json!({})), SAGA_DEADLINE).await;
    stage.change("keyed", json!({"catch_up": "all"})).await;
    let again = stage.client().post_surely("/v1/schedules", "k", &keyed(json!({})), SAGA_DEADLINE).await;
    assert_eq!((first.status, again.status, &again.body["revision"]), (201, 201, &json!(2)), "{again:?}");
    let reused =
        stage.client().post_surely("/v1/schedules", "k", &keyed(json!({"cron": "1 1 1 1 1"})), SAGA_DEADLINE).await;
    assert_eq!(code(&reused), (409, "idempotency_key_reused"));

    // By hand, paused or not; the same key is one saga.
    assert_eq!(stage.act("yearly", "pause", json!({"reason": "holidays"})).await.status, 200);
    let run = "/v1/schedules/yearly/run";
    let why = json!({"by": "ann", "reason": "at once"});
    let ran = stage.client().post_surely(run, "r", &why, SAGA_DEADLINE).await;
    assert_eq!(stage.client().post_surely(run, "r", &why, SAGA_DEADLINE).await, ran);
    assert_eq!(
        stage.client().get(&format!("/v1/sagas/{}", ran.text("saga_id"))).await.body["tags"],
        json!(["schedule_yearly"])
    );
    let shown = stage.get("yearly").await;
    assert_eq!((&shown["paused"], &shown["next_at"], &shown["last_at"]), (&json!(true), &Value::Null, &Value::Null));
    let acts: Vec<_> =
        shown["acts"].as_array().expect("acts").iter().map(|act| (&act["verb"], &act["reason"])).collect();
    assert_eq!(json!(acts), json!([["create", ""], ["pause", "holidays"], ["run", "at once"]]));
    assert_eq!(shown["acts"][2]["saga_id"], ran.body["saga_id"]);

    let names = |items: Vec<Value>| items.into_iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(stage.client().items("/v1/schedules").await), ["keyed", "yearly"]);
    let delete = async |key| {
        let path = "/v1/schedules/keyed?reason=done";
        stage.client().try_send(Method::DELETE, path, Some(key), None).await.expect("an answer")
    };
    let deleted = delete("d").await;
    assert_eq!((deleted.status, &deleted.body["reason"]), (200, &json!("done")), "{deleted:?}");
    assert_eq!(delete("d").await, deleted, "told the same");
    assert_eq!(code(&delete("other").await), (404, "schedule_not_found"));
    assert_eq!(code(&stage.client().get("/v1/schedules/keyed").await), (404, "schedule_not_found"));
    assert_eq!(names(stage.client().items("/v1/schedules").await), ["yearly"]);
}

#[tokio::test]
async fn killed_in_the_middle_it_starts_nothing_twice_and_loses_nothing() {
    let mut stage = Stage::set().await;
    stage.create("steady", json!({"cron": STEADY, "catch_up": "all"})).await;
    for _ in 0..3 {
        let now = stage.get("steady").await["last_at"].as_str().unwrap_or_default().to_owned();
        let last = stage.started_after("steady", &now).await["last_at"].as_str().expect("a time").to_owned();
        stage.platform.kill_and_restart().await;
        stage.started_after("steady", &last).await;
    }
    let paused = stage.act("steady", "pause", json!({})).await;
    let paused_at: DateTime<Utc> = paused.text("at").parse().expect("a time");
    let last = stage.get("steady").await["last_at"].as_str().expect("a time").to_owned();
    let before = stage.sagas_until("steady", &last, |found| none_is_missing(found.keys())).await;

    // What passes while it is paused is never caught up, under `all` either.
    until("some seconds to pass", SAGA_DEADLINE, async || {
        let first: DateTime<Utc> = stage.get("steady").await["upcoming"][0].as_str()?.parse().ok()?;
        (first - paused_at > TimeDelta::seconds(5)).then_some(())
    })
    .await;
    let resumed = stage.act("steady", "resume", json!({})).await;
    let resumed_at: DateTime<Utc> = resumed.text("at").parse().expect("a time");
    let last = stage.started_after("steady", &resumed.text("at")).await["last_at"].as_str().expect("a time").to_owned();
    let after =
        stage.sagas_until("steady", &last, |found| none_is_missing(found.keys().filter(|at| **at > resumed_at))).await;
    let outside: Vec<_> = after.keys().filter(|at| !before.contains_key(at) && **at <= resumed_at).collect();
    assert!(outside.is_empty(), "paused at {paused_at}, resumed at {resumed_at}: {outside:?}");
}

#[tokio::test]
async fn after_a_long_downtime_each_policy_has_its_way() {
    let mut stage = Stage::set().await;
    // Ten minutes ago, and each hour before that.
    let latest =
        (Utc::now() - TimeDelta::minutes(10)).with_second(0).and_then(|time| time.with_nanosecond(0)).expect("a time");
    for policy in ["skip", "latest", "all"] {
        stage.create(policy, json!({"cron": format!("{} * * * *", latest.minute()), "catch_up": policy})).await;
    }
    assert!(stage.platform.stop().await);
    // As if nothing had run for four hours.
    {
        let place = Location::Embedded(stage.platform.data_dir().join("db/orchestrator"));
        let store = SurrealStore::open(Database::open(&place, "amends", "orchestrator").await.expect("it opens"))
            .await
            .expect("a store");
        for policy in ["skip", "latest", "all"] {
            let mut schedule = store.schedule(policy).await.expect("read").expect("there");
            schedule.settled_until = latest - TimeDelta::minutes(181);
            schedule.next_at = Some(latest - TimeDelta::minutes(180));
            assert!(store.put_schedule(&schedule).await.expect("written"));
        }
    }
    stage.platform.restart().await;
    let hours_ago = |hours: i64| latest - TimeDelta::hours(hours);
    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    for (policy, started, left_out) in [
        ("all", vec![hours_ago(3), hours_ago(2), hours_ago(1), latest], Value::Null),
        ("latest", vec![latest], json!([text(hours_ago(3)), text(hours_ago(1))])),
        ("skip", vec![], json!([text(hours_ago(3)), text(latest)])),
    ] {
        let schedule = until(&format!("{policy} to look ahead"), SAGA_DEADLINE, async || {
            let schedule = stage.get(policy).await;
            (schedule["next_at"].as_str()? > text(latest).as_str()).then_some(schedule)
        })
        .await;
        let found = match started.last() {
            Some(last) => {
                let whole = |found: &Found| match found.keys().eq(&started) {
                    true => Ok(()),
                    false => Err(format!("{started:?} wanted, found {:?}", found.keys())),
                };
                stage.sagas_until(policy, &text(*last), whole).await
            }
            None => stage.sagas(policy).await,
        };
        assert_eq!(found.into_keys().collect::<Vec<_>>(), started, "{policy}");
        let got = match &schedule["left_out"] {
            Value::Null => Value::Null,
            left_out => json!([left_out["from"], left_out["to"]]),
        };
        assert_eq!(got, left_out, "{policy}: {schedule}");
        assert_eq!(schedule["last_at"], json!(started.last().copied().map(text)), "{policy}");
    }
}

#[tokio::test]
async fn two_operators_and_the_runner_at_once() {
    let stage = Stage::set().await;
    stage.create("busy", json!({"cron": "* * * * * *"})).await;
    for _ in 0..5 {
        let (one, other) = tokio::join!(stage.act("busy", "pause", json!({})), stage.act("busy", "pause", json!({})));
        let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        assert_eq!((won.status, code(&lost)), (200, (409, "illegal_here")), "{won:?} {lost:?}");
        assert_eq!(stage.act("busy", "resume", json!({})).await.status, 200);
        // Each changes something else, while times are started: neither loses what the other did.
        let (labelled, worded) = tokio::join!(
            stage.change("busy", json!({"tags": ["a"]})),
            stage.change("busy", json!({"input": {"word": "b"}})),
        );
        assert_eq!((labelled.status, worded.status), (200, 200), "{labelled:?} {worded:?}");
        let schedule = stage.get("busy").await;
        assert_eq!((&schedule["tags"], &schedule["input"]["word"]), (&json!(["a"]), &json!("b")));
        // Each changes what it has seen: one is told to look again.
        let seen = |tag: &str| json!({"revision": schedule["revision"], "tags": [tag], "input": {"word": tag}});
        let (one, other) = tokio::join!(stage.change("busy", seen("c")), stage.change("busy", seen("d")));
        let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        assert_eq!((won.status, code(&lost)), (200, (409, "schedule_changed")), "{won:?} {lost:?}");
    }
    let nothing = json!({});
    let runs = (0..10).map(|_| stage.client().post_surely("/v1/schedules/busy/run", "once", &nothing, SAGA_DEADLINE));
    let answers = futures::future::join_all(runs).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body), "{answers:?}");
    let acts = stage.get("busy").await["acts"].clone();
    let runs = acts.as_array().expect("acts").iter().filter(|act| act["verb"] == "run").count();
    assert_eq!(runs, 1, "{acts}");
}

#[tokio::test]
async fn what_is_refused_is_shown_and_the_schedule_goes_on() {
    let mut stage = Stage::set().await;
    stage.create("worded", json!({"cron": "* * * * * *"})).await;
    stage.started_after("worded", "").await;
    // The newest version by now asks for more than the schedule gives.
    assert!(stage.platform.stop().await);
    std::fs::write(stage.folder.path().join("sagas/tick.2.yaml"), tick(2, "word")).expect("written");
    stage.platform.restart().await;
    let refused = until("a refusal", SAGA_DEADLINE, async || {
        let schedule = stage.get("worded").await;
        schedule["last_error"].is_object().then_some(schedule)
    })
    .await;
    assert_eq!(refused["last_error"]["code"], "invalid_input", "{refused}");
    let listed = stage.client().items("/v1/schedules").await;
    assert_eq!(listed[0]["last_error"]["code"], "invalid_input", "{listed:?}");
    let scheduled_for = refused["last_error"]["scheduled_for"].as_str().expect("a time").to_owned();
    until("the next refusal", SAGA_DEADLINE, async || {
        let schedule = stage.get("worded").await;
        (schedule["last_error"]["scheduled_for"].as_str()? > scheduled_for.as_str()).then_some(())
    })
    .await;
    let changed = stage.change("worded", json!({"input": {"word": "now"}})).await;
    assert_eq!((changed.status, &changed.body["changed"]), (200, &json!(["input"])), "{changed:?}");
    let schedule = stage.started_after("worded", &changed.text("at")).await;
    assert_eq!(schedule["last_error"], Value::Null, "{schedule}");
}

#[tokio::test]
async fn schedules_by_the_command_line() {
    let stage = Stage::set().await;
    let amends = |arguments: &[&str]| {
        let output = Command::new(BINARY)
            .arg("schedule")
            .args(arguments)
            .args(["--api", &stage.client().base])
            .output()
            .expect("it runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), format!("{out}{err}"))
    };
    let said = |arguments: &[&str], wanted: &str| {
        let (ok, text) = amends(arguments);
        assert!(ok && text.contains(wanted), "{arguments:?}: {text}");
    };
    let create = ["create", "nightly", "--definition", "tick", "--time-zone", "Europe/Berlin", "--time-member", "at"];
    said(&[&create[..], &["--cron", "30 2 * * *", "--catch-up", "latest", "--tag", "report"]].concat(), "next 20");
    let (ok, text) = amends(&[&create[..], &["--cron", "30 25 * * *"]].concat());
    assert!(!ok && text.contains("the hour cannot be `25`") && text.contains("(invalid_cron)"), "{text}");
    said(&["list"], "nightly");
    said(&["show", "nightly"], "30 2 * * * in Europe/Berlin, catch-up latest");
    said(&["pause", "nightly", "--reason", "holidays", "--by", "ann"], "pause at");
    said(&["list"], "paused");
    said(&["show", "nightly"], "if it were resumed: 20");
    said(&["run", "nightly", "--reason", "at once", "--key", "k"], ", saga ");
    said(&["change", "nightly", "--cron", "0 3 * * *", "--version", "1"], "(version, cron)");
    said(&["change", "nightly", "--newest", "--revision", "4"], "(version)");
    let (ok, text) = amends(&["change", "nightly", "--cron", "0 4 * * *", "--revision", "4"]);
    assert!(!ok && text.contains("schedule_changed"), "{text}");
    said(&["resume", "nightly"], "resume at");
    said(&["delete", "nightly", "--reason", "no longer"], "delete at");
    let (ok, text) =
        amends(&["create", "other", "--definition", "tick", "--cron", "* * * * *", "--input", r#"{"word": 1}"#]);
    assert!(!ok && text.contains("(invalid_input)") && text.contains("/input/word: "), "{text}");
    let (ok, text) = amends(&["show", "nightly"]);
    assert!(!ok && text.contains("schedule_not_found"), "{text}");
}
