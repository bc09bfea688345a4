//! Registrations: accepted once, seen at once, cancelled once.

use amends_schemas::command::{CompensationReason, StepError};
use amends_schemas::ids::RegistrationId;
use amends_schemas::problem::{FieldError, Problem};
use amends_schemas::saga::{Priority, SagaStatus, StartSaga, StepStatus, StepView};
use serde_json::{Value, json};

use crate::stage::{Orchestrator, Stage, view_of, within};

const EVENT: &str = "0193a1de-7d41-7cc1-9b5e-0242ac120002";

fn body() -> Value {
    json!({
        "event_id": EVENT, "attendee": {"name": "Ada", "email": "ada@example.org", "locale": "fr-FR"},
        "payment_token": "tok_ok", "billing": {"company": "Analytical"},
    })
}

async fn open(stage: &Stage) {
    stage
        .context("events", "get", |question| Ok(json!({"event_id": question["event_id"], "status": "published"})))
        .await;
}

async fn nobody_registered(stage: &Stage) {
    stage.context("registration", "get", |_| Err(Problem::not_found("registration_not_found", "none"))).await;
}

fn put(orchestrator: &Orchestrator, status: SagaStatus, reason: Option<CompensationReason>) -> RegistrationId {
    let id = RegistrationId::generate();
    let start = StartSaga {
        saga_id: id.saga(),
        definition: "registration".to_owned(),
        version: None,
        input: json!({"registration_id": id, "event_id": EVENT}),
        tags: Default::default(),
        start_at: None,
        priority: Priority::default(),
        parent: None,
    };
    let mut view = view_of(&start);
    view.status = status;
    view.reason = reason;
    if reason == Some(CompensationReason::Failed) {
        view.steps.push(StepView {
            name: "pay".to_owned(),
            action: "call".to_owned(),
            call: Some("payment.capture@1".parse().expect("a name")),
            signal: None,
            children: None,
            status: StepStatus::Failed,
            operation: None,
            attempt: 1,
            outcome: None,
            error: Some(StepError::new("card_declined", "The card was declined.")),
            output: None,
            started_at: None,
            ended_at: None,
            until: None,
        });
    }
    orchestrator.put(view);
    id
}

#[tokio::test]
async fn an_accepted_registration_is_seen_at_once() {
    within(async {
        let stage = Stage::set().await;
        open(&stage).await;
        nobody_registered(&stage).await;
        let orchestrator = stage.orchestrator().await;
        let reply = stage.call("POST", "/v1/registrations", Some(body())).await;
        assert_eq!((reply.status, reply.body["status"].as_str()), (202, Some("pending")), "{reply:?}");
        let id: RegistrationId = reply.body["registration_id"].as_str().expect("id").parse().expect("uuid");
        assert_eq!(reply.body["saga_id"], json!(id.saga()));
        assert_eq!(reply.headers["location"], format!("/v1/registrations/{id}"));

        let started = orchestrator.started();
        let mut input = body();
        input["registration_id"] = json!(id);
        assert_eq!((started.len(), started[0].definition.as_str(), &started[0].input), (1, "registration", &input));
        assert!(started[0].tags.contains(&format!("event_{EVENT}")));

        let seen = stage.call("GET", &format!("/v1/registrations/{id}"), None).await;
        assert_eq!((seen.status, seen.body["status"].as_str()), (200, Some("pending")), "{seen:?}");
        assert_eq!(seen.body["saga_id"], json!(id.saga()));
    })
    .await;
}

#[tokio::test]
async fn twenty_repeats_at_once_are_one_and_another_body_is_refused() {
    within(async {
        let stage = Stage::set().await;
        open(&stage).await;
        let orchestrator = stage.orchestrator().await;
        let key = [("idempotency-key", "the same")];
        let repeats = (0..20).map(|_| stage.call_with("POST", "/v1/registrations", &key, Some(body())));
        let replies = futures::future::join_all(repeats).await;
        for reply in &replies {
            assert_eq!((reply.status, &reply.body), (202, &replies[0].body));
        }
        assert_eq!(orchestrator.started().len(), 1);
        let mut other = body();
        other["attendee"]["name"] = json!("Grace");
        let refused = stage.call_with("POST", "/v1/registrations", &key, Some(other)).await;
        assert_eq!((refused.status, refused.code()), (409, "idempotency_key_reused"), "{refused:?}");
        assert_eq!(orchestrator.started().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn null_is_absent() {
    within(async {
        let stage = Stage::set().await;
        open(&stage).await;
        let orchestrator = stage.orchestrator().await;
        let body = json!({
            "event_id": EVENT, "attendee": {"name": "Ada", "email": "ada@example.org", "locale": null},
            "payment_token": null, "billing": {"company": null},
        });
        let reply = stage.call("POST", "/v1/registrations", Some(body)).await;
        let mut expected =
            json!({"event_id": EVENT, "attendee": {"name": "Ada", "email": "ada@example.org"}, "billing": {}});
        expected["registration_id"] = reply.body["registration_id"].clone();
        assert_eq!((reply.status, &orchestrator.started()[0].input), (202, &expected), "{reply:?}");
    })
    .await;
}

#[tokio::test]
async fn the_door_is_the_event() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let reply = stage.call("POST", "/v1/registrations", Some(body())).await;
        assert_eq!((reply.status, reply.code()), (503, "events_unavailable"), "{reply:?}");
        stage
            .context("events", "get", |question| match question["event_id"].as_str() {
                Some(EVENT) => Ok(json!({"event_id": EVENT, "status": "closed"})),
                _ => Err(Problem::not_found("event_not_found", "There is no such event.")),
            })
            .await;
        let reply = stage.call("POST", "/v1/registrations", Some(body())).await;
        assert_eq!((reply.status, reply.code()), (409, "event_not_open"), "{reply:?}");
        let mut unknown = body();
        unknown["event_id"] = json!("0193a1de-7d41-7cc1-9b5e-000000000000");
        let reply = stage.call("POST", "/v1/registrations", Some(unknown)).await;
        assert_eq!((reply.status, reply.code()), (404, "event_not_found"), "{reply:?}");
        assert!(orchestrator.started().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_time_even_when_the_event_has_closed_since() {
    within(async {
        let stage = Stage::set().await;
        stage.orchestrator().await;
        let status = std::sync::Arc::new(std::sync::Mutex::new("published"));
        let told = std::sync::Arc::clone(&status);
        stage
            .context("events", "get", move |_| {
                Ok(json!({"event_id": EVENT, "status": *told.lock().expect("not poisoned")}))
            })
            .await;
        let key = [("idempotency-key", "k")];
        let first = stage.call_with("POST", "/v1/registrations", &key, Some(body())).await;
        *status.lock().expect("not poisoned") = "closed";
        let repeat = stage.call_with("POST", "/v1/registrations", &key, Some(body())).await;
        assert_eq!((repeat.status, &repeat.body), (202, &first.body));
        let fresh = stage.call_with("POST", "/v1/registrations", &[("idempotency-key", "l")], Some(body())).await;
        assert_eq!((fresh.status, fresh.code()), (409, "event_not_open"));
    })
    .await;
}

#[tokio::test]
async fn what_the_context_does_not_know_the_saga_tells() {
    within(async {
        let stage = Stage::set().await;
        nobody_registered(&stage).await;
        let orchestrator = stage.orchestrator().await;
        let failed = Some(CompensationReason::Failed);
        for (status, reason, expected, code) in [
            (SagaStatus::Running, None, "pending", None),
            (SagaStatus::Compensating, failed, "pending", None),
            (SagaStatus::Stuck, None, "pending", None),
            (SagaStatus::Compensated, failed, "rejected", Some("card_declined")),
            (SagaStatus::Compensated, Some(CompensationReason::Deadline), "rejected", None),
            (SagaStatus::Compensated, Some(CompensationReason::Cancelled), "cancelled", None),
        ] {
            let id = put(&orchestrator, status, reason);
            let reply = stage.call("GET", &format!("/v1/registrations/{id}"), None).await;
            assert_eq!((reply.status, reply.body["status"].as_str()), (200, Some(expected)), "{status:?}: {reply:?}");
            assert_eq!(reply.body["error"]["code"].as_str(), code, "{status:?}: {reply:?}");
        }
        let reply = stage.call("GET", &format!("/v1/registrations/{}", RegistrationId::generate()), None).await;
        assert_eq!((reply.status, reply.code()), (404, "registration_not_found"), "{reply:?}");
    })
    .await;
}

#[tokio::test]
async fn what_the_context_knows_is_passed_on() {
    within(async {
        let stage = Stage::set().await;
        let id = RegistrationId::generate();
        let known = json!({"registration_id": id, "event_id": EVENT, "status": "held", "hold_expires_at": null});
        let answer = known.clone();
        stage.context("registration", "get", move |_| Ok(answer.clone())).await;
        let list = stage
            .context("registration", "list", move |_| {
                Ok(json!({"items": [known, {"registration_id": id, "status": "waitlisted", "position": 3}]}))
            })
            .await;
        let reply = stage.call("GET", &format!("/v1/registrations/{id}"), None).await;
        assert_eq!((reply.status, reply.body["status"].as_str()), (200, Some("pending")), "{reply:?}");
        assert_eq!(reply.body["saga_id"], json!(id.saga()));
        let page = stage.call("GET", &format!("/v1/registrations?event_id={EVENT}&status=waitlisted"), None).await;
        assert_eq!(page.body["items"][1]["position"], 3, "{page:?}");
        assert_eq!(page.body["items"][0]["status"], "pending");
        assert_eq!(list.questions(), [json!({"event_id": EVENT, "status": "waitlisted", "limit": 50})]);
    })
    .await;
}

#[tokio::test]
async fn cancelling_leads_to_the_saga_to_watch_every_time() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let running = put(&orchestrator, SagaStatus::Running, None);
        let done = put(&orchestrator, SagaStatus::Completed, None);
        let paying = put(&orchestrator, SagaStatus::Stuck, None);
        for (id, saga_id, effect) in [
            (running, running.saga(), "compensating"),
            (paying, paying.saga(), "undecided"),
            (done, done.saga().forward_cancellation(), "forward"),
        ] {
            for body in [None, Some(json!({"reason": "ill"})), Some(json!({}))] {
                let reply = stage.call("POST", &format!("/v1/registrations/{id}/cancel"), body).await;
                assert_eq!((reply.status, reply.body["effect"].as_str()), (202, Some(effect)), "{reply:?}");
                assert_eq!(reply.body["saga_id"], json!(saga_id));
                assert_eq!(reply.headers["location"], format!("/v1/sagas/{saga_id}"));
            }
        }
        let reasons: Vec<Value> = orchestrator.asked.questions().iter().map(|asked| asked["reason"].clone()).collect();
        assert_eq!(reasons[..3], [json!(""), json!("ill"), json!("")]);
        let unknown = RegistrationId::generate();
        let reply = stage.call("POST", &format!("/v1/registrations/{unknown}/cancel"), None).await;
        assert_eq!((reply.status, reply.code()), (404, "registration_not_found"), "{reply:?}");
    })
    .await;
}

#[tokio::test]
async fn why_a_card_was_declined_is_told_by_the_saga_even_when_the_context_knows_the_registration() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let id = put(&orchestrator, SagaStatus::Compensated, Some(CompensationReason::Failed));
        let known = json!({"registration_id": id, "status": "rejected", "reason": "failed"});
        let told =
            json!({"registration_id": id, "status": "rejected", "error": {"code": "event_not_open", "message": "m"}});
        let answers = std::sync::Mutex::new(vec![told, known]);
        stage
            .context("registration", "get", move |_| {
                Ok(answers.lock().expect("not poisoned").pop().expect("asked twice"))
            })
            .await;
        for code in ["card_declined", "event_not_open"] {
            let reply = stage.call("GET", &format!("/v1/registrations/{id}"), None).await;
            assert_eq!(reply.body["error"]["code"], code, "{reply:?}");
        }
        assert_eq!(orchestrator.asked.all().len(), 1, "who knows already is not asked");
    })
    .await;
}

#[tokio::test]
async fn places_in_the_sagas_input_are_places_in_the_body() {
    within(async {
        let stage = Stage::set().await;
        open(&stage).await;
        stage.play("amends.orc.info", |_, _| Some(Ok(json!({"partition_count": 1, "version": "t"})))).await;
        let place = |pointer: &str| FieldError { pointer: pointer.to_owned(), message: "m".to_owned() };
        let errors = vec![place("/input/attendee/email"), place("/input")];
        let problem = Problem::invalid("invalid_input", "the input is not what it takes").with_errors(errors);
        stage.play("amends.orc.p.0.start", move |_, _| Some(Err(problem.clone()))).await;
        let reply = stage.call("POST", "/v1/registrations", Some(body())).await;
        assert_eq!((reply.status, reply.code()), (422, "invalid_input"), "{reply:?}");
        let pointers: Vec<&Value> =
            reply.body["errors"].as_array().expect("errors").iter().map(|error| &error["pointer"]).collect();
        assert_eq!(pointers, [&json!("/attendee/email"), &json!("")]);
    })
    .await;
}
