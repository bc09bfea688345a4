//! Sagas and definitions.

use std::sync::atomic::{AtomicUsize, Ordering};

use amends_schemas::ids::{PartitionCount, SagaId};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Priority, SagaStatus, StartSaga};
use amends_schemas::subjects::{
    ORCHESTRATOR_COUNT, ORCHESTRATOR_COUNTS, ORCHESTRATOR_DEFINITIONS, ORCHESTRATOR_INFO, ORCHESTRATOR_LIST,
    PartitionVerb, partition,
};
use serde_json::{Value, json};

use crate::stage::{Stage, view_of, within};

fn start(definition: &str) -> StartSaga {
    StartSaga {
        // Never of partition 0 where there are 256.
        saga_id: SagaId(uuid::Uuid::from_u64_pair(uuid::Uuid::now_v7().as_u64_pair().0, 7)),
        definition: definition.to_owned(),
        version: None,
        input: json!({}),
        tags: Default::default(),
        start_at: None,
        priority: Priority::default(),
        parent: None,
    }
}

#[tokio::test]
async fn a_saga_is_started_read_and_followed_in_its_history() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let body = json!({"definition": "registration", "version": 1, "input": {"n": [1, null]}, "tags": ["a", "b"]});
        let reply = stage.call("POST", "/v1/sagas", Some(body)).await;
        assert_eq!((reply.status, reply.body["status"].as_str()), (202, Some("running")), "{reply:?}");
        let id = reply.body["saga_id"].as_str().expect("id").to_owned();
        assert_eq!(reply.headers["location"], format!("/v1/sagas/{id}"));
        let started = orchestrator.started();
        assert_eq!((started[0].version, &started[0].input), (Some(1), &json!({"n": [1, null]})));
        let saga = stage.call("GET", &format!("/v1/sagas/{id}"), None).await;
        assert_eq!((saga.status, saga.body["tags"].clone()), (200, json!(["a", "b"])), "{saga:?}");
        let history = stage.call("GET", &format!("/v1/sagas/{id}/history"), None).await;
        assert_eq!(history.body["items"][0]["event"], "saga_started", "{history:?}");
        assert_eq!(
            (history.body["items"].as_array().map(Vec::len), &history.body["next_cursor"]),
            (Some(3), &json!(null))
        );
        let page = stage.call("GET", &format!("/v1/sagas/{id}/history?after=1&limit=1"), None).await;
        assert_eq!(
            (&page.body["items"][0]["sequence"], &page.body["next_cursor"]),
            (&json!(2), &json!("2")),
            "{page:?}"
        );
        let wrong = stage.call("GET", &format!("/v1/sagas/{id}/history?limit=1001"), None).await;
        assert_eq!((wrong.status, wrong.code()), (400, "invalid_query"), "{wrong:?}");
        // Whoever owns the partition was asked, and nobody else.
        let id: SagaId = id.parse().expect("uuid");
        let partition = id.partition(PartitionCount::new(4).expect("in range"));
        for (subject, _, _) in orchestrator.asked.all() {
            assert!(subject.starts_with(&format!("amends.orc.p.{partition}.")), "{subject}");
        }
        let missing = SagaId::generate();
        for path in [
            format!("/v1/sagas/{missing}"),
            format!("/v1/sagas/{missing}/history"),
            format!("/v1/sagas/{missing}/stream"),
        ] {
            let reply = stage.call("GET", &path, None).await;
            assert_eq!((reply.status, reply.code()), (404, "saga_not_found"), "{path}: {reply:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_same_key_starts_one_saga() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let key = [("idempotency-key", "k")];
        let body = || Some(json!({"definition": "a", "input": {}}));
        let first = stage.call_with("POST", "/v1/sagas", &key, body()).await;
        let second = stage.call_with("POST", "/v1/sagas", &key, body()).await;
        assert_eq!(first.body, second.body);
        let other = stage.call_with("POST", "/v1/sagas", &key, Some(json!({"definition": "b", "input": {}}))).await;
        assert_eq!((other.status, other.code()), (409, "idempotency_key_reused"));
        let without = stage.call("POST", "/v1/sagas", body()).await;
        assert_ne!(first.body, without.body);
        assert_eq!(orchestrator.started().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn cancelling_tells_which_way_it_goes() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        for (definition, status, code, effect) in [
            ("a", SagaStatus::Running, 202, "compensating"),
            ("a", SagaStatus::Compensated, 202, "compensating"),
            ("a", SagaStatus::Stuck, 202, "undecided"),
            ("a", SagaStatus::Completed, 202, "forward"),
            ("one-way", SagaStatus::Completed, 409, "past_pivot"),
        ] {
            let mut view = view_of(&start(definition));
            view.status = status;
            let id = view.saga_id;
            orchestrator.put(view);
            let body = Some(json!({"reason": "r", "by": "ops"}));
            let reply = stage.call("POST", &format!("/v1/sagas/{id}/cancel"), body).await;
            assert_eq!(reply.status, code, "{reply:?}");
            if code == 409 {
                assert_eq!(reply.code(), effect);
            } else {
                assert_eq!((reply.body["effect"].as_str(), &reply.body["saga_id"]), (Some(effect), &json!(id)));
                assert_eq!(reply.body.get("forward_saga_id").is_some(), effect == "forward", "{reply:?}");
            }
            let asked = orchestrator.asked.questions().pop().expect("asked");
            assert_eq!((&asked["by"], &asked["reason"]), (&json!("ops"), &json!("r")));
        }
    })
    .await;
}

#[tokio::test]
async fn lists_carry_their_filters() {
    within(async {
        let stage = Stage::set().await;
        let asked = stage.play(ORCHESTRATOR_LIST, |_, _| Some(Ok(json!({"items": [], "next_cursor": null})))).await;
        for (query, question) in [
            ("", json!({"limit": 50})),
            ("?status=stuck&limit=200", json!({"status": "stuck", "limit": 200})),
            ("?stuck=true", json!({"status": "stuck", "limit": 50})),
            ("?stuck=false&status=running", json!({"status": "running", "limit": 50})),
            ("?status=stuck,running", json!({"status": ["stuck", "running"], "limit": 50})),
            ("?sort=-updated", json!({"sort": "-updated", "limit": 50})),
            ("?sort=-created", json!({"limit": 50})),
            (
                "?definition=a&version=2&step=pay&error=card_declined&text=card%20declined&paused=false",
                json!({"definition": "a", "version": 2, "step": "pay", "error": "card_declined",
                    "text": "card declined", "paused": false, "limit": 50}),
            ),
            ("?tag=a,b&tag_prefix=event_", json!({"tag": ["a", "b"], "tag_prefix": "event_", "limit": 50})),
            (
                "?created_from=2026-11-01T00:00:00Z&created_to=2026-11-02T01:00:00%2B01:00&older_than=15m",
                json!({"created_from": "2026-11-01T00:00:00Z", "created_to": "2026-11-02T00:00:00Z",
                    "older_than": "900s", "limit": 50}),
            ),
            ("?updated_from=2026-11-01T00:00:00Z", json!({"updated_from": "2026-11-01T00:00:00Z", "limit": 50})),
            (
                "?definition=registration&tag=event_1&cursor=x",
                json!({"definition": "registration", "tag": "event_1", "cursor": "x", "limit": 50}),
            ),
        ] {
            let reply = stage.call("GET", &format!("/v1/sagas{query}"), None).await;
            assert_eq!(reply.status, 200, "{query}: {reply:?}");
            assert_eq!(asked.questions().pop(), Some(question), "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn counts_carry_their_filters_and_what_cannot_be_asked_is_named() {
    within(async {
        let stage = Stage::set().await;
        let asked = stage.play(ORCHESTRATOR_COUNT, |_, _| Some(Ok(json!({"count": 7, "at_least": true})))).await;
        let reply = stage.call("GET", "/v1/sagas/count?stuck=true&older_than=1h", None).await;
        assert_eq!((reply.status, reply.body), (200, json!({"count": 7, "at_least": true})));
        assert_eq!(asked.questions(), [json!({"status": "stuck", "older_than": "3600s"})]);
        let of_status = json!({"status": "stuck", "count": 2, "paused": 1});
        let counts = json!({"total": 2, "statuses": [of_status], "complete": true,
            "definitions": [{"definition": "a", "total": 2, "statuses": [of_status]}]});
        let answer = counts.clone();
        stage.play(ORCHESTRATOR_COUNTS, move |_, _| Some(Ok(answer.clone()))).await;
        let reply = stage.call("GET", "/v1/sagas/counts", None).await;
        assert_eq!((reply.status, reply.body), (200, counts));
        for query in [
            "status=lost",
            "status=stuck,",
            "stuck=true&status=running",
            "definition=No",
            "version=1",
            "sort=name",
            "step=",
            "text=%2C",
            "tag=a,B",
            "tag_prefix=_",
            "older_than=1w",
            "created_from=yesterday",
            "no=1",
            "created_from=2026-11-02T00:00:00Z&created_to=2026-11-01T00:00:00Z",
            "limit=0",
        ] {
            let reply = stage.call("GET", &format!("/v1/sagas?{query}"), None).await;
            assert_eq!((reply.status, reply.code()), (400, "invalid_query"), "{query}: {reply:?}");
        }
        for query in ["limit=5", "sort=created", "cursor=x"] {
            let reply = stage.call("GET", &format!("/v1/sagas/count?{query}"), None).await;
            assert_eq!((reply.status, reply.code()), (400, "invalid_query"), "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn definitions_are_listed_and_read() {
    within(async {
        let stage = Stage::set().await;
        let definition = |name: &str, version: u32| -> Value {
            json!({"name": name, "version": version, "hash": "h", "title": "t", "input": {}, "source": "saga: x"})
        };
        let all = json!([definition("b", 1), definition("a", 10), definition("a", 9)]);
        stage.play(ORCHESTRATOR_DEFINITIONS, move |_, _| Some(Ok(all.clone()))).await;
        let list = stage.call("GET", "/v1/definitions", None).await;
        let order: Vec<(&str, u64)> = list.body["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| (item["name"].as_str().expect("name"), item["version"].as_u64().expect("version")))
            .collect();
        assert_eq!(order, [("a", 9), ("a", 10), ("b", 1)]);
        let one = stage.call("GET", "/v1/definitions/a/9", None).await;
        assert_eq!((one.status, one.body["source"].as_str()), (200, Some("saga: x")), "{one:?}");
        let none = stage.call("GET", "/v1/definitions/a/8", None).await;
        assert_eq!((none.status, none.code()), (404, "definition_not_found"));
    })
    .await;
}

#[tokio::test]
async fn an_owner_that_comes_back_within_patience_is_waited_for() {
    within(async {
        let mut settings = crate::stage::impatient();
        settings.orchestrator_patience = crate::stage::DEADLINE;
        let stage = Stage::with(settings).await;
        let view = view_of(&start("a"));
        let (id, answer) = (view.saga_id, json!(view));
        let stopping = || Problem::unavailable("stopping", "stopping");
        let infos = AtomicUsize::new(0);
        // Who is asked first is just shutting down, and so is the owner; then the deployment has another number of
        // partitions than before, which is asked anew.
        let infos = stage
            .play(ORCHESTRATOR_INFO, move |_, _| {
                let count = match infos.fetch_add(1, Ordering::Relaxed) {
                    0 => return Some(Err(stopping())),
                    1 => 1,
                    _ => 256,
                };
                Some(Ok(json!({"partition_count": count, "version": "t"})))
            })
            .await;
        let gone = stage.play("amends.orc.p.0.get", move |_, _| Some(Err(stopping()))).await;
        let owner = id.partition(PartitionCount::new(256).expect("in range"));
        let found = stage.play(&partition(owner, PartitionVerb::Get), move |_, _| Some(Ok(answer.clone()))).await;
        let reply = stage.call("GET", &format!("/v1/sagas/{id}"), None).await;
        assert_eq!((reply.status, &reply.body["saga_id"]), (200, &json!(id)), "{reply:?}");
        assert_eq!((infos.all().len(), gone.all().len(), found.all().len()), (3, 1, 1));
        stage.call("GET", &format!("/v1/sagas/{id}"), None).await;
        assert_eq!(infos.all().len(), 3, "the number of partitions is remembered");
    })
    .await;
}

#[tokio::test]
async fn signals_reach_the_owner_and_its_answers_come_back() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let view = view_of(&start("a"));
        let id = view.saga_id;
        orchestrator.put(view);
        let given = json!({"outcome": "yes", "data": {"by_whom": "ann"}, "by": "ops"});
        let path = format!("/v1/sagas/{id}/signals/approved");
        let reply = stage.call("POST", &path, Some(given.clone())).await;
        assert_eq!((reply.status, reply.body["effect"].as_str()), (202, Some("kept")), "{reply:?}");
        let (_, question, _) = orchestrator.asked.all().pop().expect("asked");
        assert_eq!(
            (&question["signal"], &question["outcome"], &question["data"], &question["by"]),
            (&json!("approved"), &given["outcome"], &given["data"], &given["by"]),
        );
        for (signal, body, status, code) in [
            ("approved", json!({}), 422, "invalid_signal"),
            ("approved", json!({"extra": 1}), 400, "invalid_body"),
            ("late", given.clone(), 409, "signal_too_late"),
            ("reused", given.clone(), 409, "idempotency_key_reused"),
            ("nobodys", given.clone(), 404, "unknown_signal"),
            ("No.Name", given.clone(), 404, "unknown_signal"),
        ] {
            let reply = stage.call("POST", &format!("/v1/sagas/{id}/signals/{signal}"), Some(body)).await;
            assert_eq!((reply.status, reply.code()), (status, code), "{signal}: {reply:?}");
        }
        let missing = SagaId::generate();
        let reply = stage.call("POST", &format!("/v1/sagas/{missing}/signals/approved"), Some(given)).await;
        assert_eq!((reply.status, reply.code()), (404, "saga_not_found"), "{reply:?}");
    })
    .await;
}

#[tokio::test]
async fn operators_verbs_reach_the_owner_once_under_a_key() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let view = view_of(&start("a"));
        let id = view.saga_id;
        orchestrator.put(view);
        for (verb, body, act) in [
            ("pause", json!({"reason": "r", "by": "ops"}), json!({"verb": "pause"})),
            ("resume", json!({"reason": "r", "by": "ops"}), json!({"verb": "resume"})),
            ("retry", json!({"step": "pay", "reason": "r", "by": "ops"}), json!({"verb": "retry", "step": "pay"})),
            (
                "retry-from",
                json!({"step": "pay", "reason": "r", "by": "ops"}),
                json!({"verb": "retry_from", "step": "pay"}),
            ),
            (
                "edit-input",
                json!({"step": "pay", "input": {"x": [1]}, "reason": "r", "by": "ops"}),
                json!({"verb": "edit_input", "step": "pay", "input": {"x": [1]}}),
            ),
            ("skip", json!({"reason": "r", "by": "ops"}), json!({"verb": "skip"})),
            (
                "resolve",
                json!({"as": "succeeded", "outcome": "o", "output": {"x": 1}, "reason": "r", "by": "ops"}),
                json!({"verb": "resolve", "resolution": {"as": "succeeded", "outcome": "o", "output": {"x": 1}}}),
            ),
            (
                "resolve",
                json!({"as": "failed", "error": {"code": "c", "message": "m"}, "reason": "r", "by": "ops"}),
                json!({"verb": "resolve", "resolution": {"as": "failed", "error": {"code": "c", "message": "m"}}}),
            ),
            (
                "terminate",
                json!({"force": true, "reason": "r", "by": "ops"}),
                json!({"verb": "terminate", "force": true}),
            ),
        ] {
            let path = format!("/v1/sagas/{id}/{verb}");
            let reply = stage.call("POST", &path, Some(body.clone())).await;
            assert_eq!((reply.status, &reply.body["verb"]), (200, &act["verb"]), "{reply:?}");
            let asked = orchestrator.asked.questions().pop().expect("asked");
            assert_eq!((&asked["act"], &asked["by"], &asked["reason"]), (&act, &json!("ops"), &json!("r")));
            assert_eq!(asked["operation_id"], reply.body["operation_id"]);
            let key = [("idempotency-key", act["resolution"]["as"].as_str().unwrap_or(verb))];
            let first = stage.call_with("POST", &path, &key, Some(body.clone())).await;
            let again = stage.call_with("POST", &path, &key, Some(body.clone())).await;
            assert_eq!(first.body, again.body);
            assert_ne!(first.body["operation_id"], reply.body["operation_id"]);
            let mut other = body;
            other["by"] = json!("somebody else");
            let other = stage.call_with("POST", &path, &key, Some(other)).await;
            assert_eq!((other.status, other.code()), (409, "idempotency_key_reused"), "{verb}");
        }
        let preview = stage.call("GET", &format!("/v1/sagas/{id}/compensation-preview"), None).await;
        assert_eq!((preview.status, &preview.body["cancel"]["effect"]), (200, &json!("settle_doubt")), "{preview:?}");
    })
    .await;
}

#[tokio::test]
async fn operators_bodies_are_read_strictly_and_refusals_come_through() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let mut view = view_of(&start("a"));
        view.status = SagaStatus::Completed;
        let id = view.saga_id;
        orchestrator.put(view);
        for (verb, body, status, code) in [
            ("pause", json!({}), 409, "illegal_here"),
            ("pause", json!({"why": "x"}), 400, "invalid_body"),
            ("pause", json!({"reason": "x".repeat(1025)}), 422, "invalid_reason"),
            ("resolve", json!({}), 400, "invalid_body"),
            ("resolve", json!({"as": "maybe"}), 400, "invalid_body"),
            ("resolve", json!({"as": "failed", "output": {}}), 422, "invalid_resolution"),
            ("resolve", json!({"as": "succeeded", "error": {"code": "c", "message": "m"}}), 422, "invalid_resolution"),
            ("terminate", json!({"force": "yes"}), 400, "invalid_body"),
        ] {
            let reply = stage.call("POST", &format!("/v1/sagas/{id}/{verb}"), Some(body)).await;
            assert_eq!((reply.status, reply.code()), (status, code), "{verb}: {reply:?}");
        }
        let missing = SagaId::generate();
        for verb in ["pause", "resume", "retry", "skip", "terminate"] {
            let reply = stage.call("POST", &format!("/v1/sagas/{missing}/{verb}"), None).await;
            assert_eq!((reply.status, reply.code()), (404, "saga_not_found"), "{verb}");
        }
        let reply = stage.call("GET", &format!("/v1/sagas/{missing}/compensation-preview"), None).await;
        assert_eq!((reply.status, reply.code()), (404, "saga_not_found"));
    })
    .await;
}
