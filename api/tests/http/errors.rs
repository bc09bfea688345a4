//! What is not as it should be, as a table: request → status and code.

use std::time::Duration;

use amends_schemas::problem::{FieldError, Problem, ProblemKind};
use amends_schemas::subjects::ORCHESTRATOR_INFO;
use serde_json::{Value, json};

use crate::stage::{Stage, impatient, within};

/// Names and values.
type Headers<'a> = &'a [(&'a str, &'a str)];

const ID: &str = "0193a1de-7d41-7cc1-9b5e-0242ac120002";

fn registration() -> Value {
    json!({"event_id": ID, "attendee": {"name": "Ada", "email": "ada@example.org"}})
}

fn with(pointer: &str, value: Value) -> Value {
    let mut body = registration();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    body.pointer_mut(parent).expect("is there")[name] = value;
    body
}

#[tokio::test]
async fn bad_bodies_are_refused_where_they_are_bad() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let long = "x".repeat(300);
        let table: Vec<(&str, Value, u16, &str, &str)> = vec![
            (
                "/v1/registrations",
                with("/attendee/email", json!("nobody")),
                422,
                "invalid_registration",
                "/attendee/email",
            ),
            ("/v1/registrations", with("/attendee/name", json!(" ")), 422, "invalid_registration", "/attendee/name"),
            ("/v1/registrations", with("/attendee/name", json!(long)), 422, "invalid_registration", "/attendee/name"),
            ("/v1/registrations", with("/attendee/name", json!("a\nb")), 422, "invalid_registration", "/attendee/name"),
            (
                "/v1/registrations",
                with("/attendee/locale", json!("french")),
                422,
                "invalid_registration",
                "/attendee/locale",
            ),
            ("/v1/registrations", with("/payment_token", json!("")), 422, "invalid_registration", "/payment_token"),
            (
                "/v1/registrations",
                with("/billing", json!({"vat_id": long})),
                422,
                "invalid_registration",
                "/billing/vat_id",
            ),
            ("/v1/registrations", with("/billing", json!({"iban": "x"})), 400, "invalid_body", "/billing/iban"),
            ("/v1/registrations", with("/attendee/name", json!(7)), 400, "invalid_body", "/attendee/name"),
            ("/v1/registrations", with("/attendee/age", json!(7)), 400, "invalid_body", "/attendee/age"),
            ("/v1/registrations", with("/extra", json!(1e300)), 400, "invalid_body", "/extra"),
            ("/v1/registrations", with("/event_id", json!("one")), 400, "invalid_body", "/event_id"),
            ("/v1/registrations", json!({"event_id": ID}), 400, "invalid_body", ""),
            ("/v1/registrations", json!([]), 400, "invalid_body", ""),
            ("/v1/registrations", json!(null), 400, "invalid_body", ""),
            ("/v1/sagas", json!({"definition": "Registration", "input": {}}), 422, "invalid_saga", "/definition"),
            ("/v1/sagas", json!({"definition": "a.b", "input": {}}), 422, "invalid_saga", "/definition"),
            ("/v1/sagas", json!({"definition": "a", "input": {}, "version": 0}), 422, "invalid_saga", "/version"),
            ("/v1/sagas", json!({"definition": "a", "input": {}, "version": -1}), 400, "invalid_body", "/version"),
            (
                "/v1/sagas",
                json!({"definition": "a", "input": {}, "version": 4294967296u64}),
                400,
                "invalid_body",
                "/version",
            ),
            ("/v1/sagas", json!({"definition": "a", "input": {}, "tags": ["b", "A"]}), 422, "invalid_saga", "/tags/1"),
            ("/v1/sagas", json!({"definition": "a", "input": {}, "tags": "a"}), 400, "invalid_body", "/tags"),
            ("/v1/sagas", json!({"definition": "a"}), 400, "invalid_body", ""),
            ("/v1/sagas", json!({"definition": "a", "input": {}, "saga_id": ID}), 400, "invalid_body", "/saga_id"),
            ("/v1/events", json!({"title": "t"}), 400, "invalid_body", ""),
            ("/v1/events", json!({"event_id": ID}), 400, "invalid_body", "/event_id"),
            (
                "/v1/registrations/0193a1de-7d41-7cc1-9b5e-0242ac120002/cancel",
                json!({"reason": "r".repeat(1025)}),
                422,
                "invalid_reason",
                "/reason",
            ),
            (
                "/v1/registrations/0193a1de-7d41-7cc1-9b5e-0242ac120002/cancel",
                json!({"why": "r"}),
                400,
                "invalid_body",
                "/why",
            ),
            ("/v1/sagas/0193a1de-7d41-7cc1-9b5e-0242ac120002/cancel", json!({"by": 1}), 400, "invalid_body", "/by"),
        ];
        for (path, body, status, code, pointer) in table {
            let reply = stage.call("POST", path, Some(body.clone())).await;
            assert_eq!((reply.status, reply.code()), (status, code), "{path} {body}: {reply:?}");
            assert_eq!(reply.body["errors"][0]["pointer"], pointer, "{path} {body}: {reply:?}");
        }
        assert!(orchestrator.asked.all().is_empty(), "nothing was started: {:?}", orchestrator.asked.questions());
    })
    .await;
}

#[tokio::test]
async fn nasty_bytes_are_told_apart() {
    within(async {
        let stage = Stage::set().await;
        let deep = format!(r#"{{"definition":"a","input":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        let nested = format!(r#"{{"definition":"a","input":{}{}}}"#, "[".repeat(64), "]".repeat(64));
        let large = format!(r#"{{"definition":"a","input":"{}"}}"#, "x".repeat(512 * 1024));
        let input = format!(r#"{{"definition":"a","input":"{}"}}"#, "x".repeat(256 * 1024));
        let table: Vec<(&[u8], &str, u16, &str, &str)> = vec![
            (b"", "application/json", 400, "malformed_json", "line 1"),
            (b"{", "application/json", 400, "malformed_json", "line 1 column 1"),
            (b"{\"definition\":\"a\",\n \"input\": }", "application/json", 400, "malformed_json", "line 2 column 11"),
            (b"{\"definition\":\"\xff\"}", "application/json", 400, "malformed_json", "invalid unicode"),
            (br#"{"definition":"a","input":{"n":1e999}}"#, "application/json", 400, "malformed_json", "out of range"),
            (
                br#"{"definition":"a","definition":"b","input":{}}"#,
                "application/json",
                400,
                "malformed_json",
                "`definition` is there twice",
            ),
            (
                br#"{"definition":"a","input":{"k":1,"k":2}}"#,
                "application/json",
                400,
                "malformed_json",
                "`k` is there twice",
            ),
            (br#"{"definition":"a","input":"\u0000"}"#, "application/json", 400, "malformed_json", "U+0000"),
            (br#"{"definition":"a","input":"\ud800"}"#, "application/json", 400, "malformed_json", "hex escape"),
            (b"\xef\xbb\xbf{}", "application/json", 400, "malformed_json", "line 1"),
            (deep.as_bytes(), "application/json", 400, "malformed_json", "nested deeper"),
            (nested.as_bytes(), "application/json", 400, "malformed_json", "nested deeper"),
            (large.as_bytes(), "application/json", 413, "body_too_large", "larger"),
            (input.as_bytes(), "application/json", 413, "input_too_large", "262146 bytes"),
            (b"{}", "text/plain", 415, "unsupported_media_type", "application/json"),
            (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type", "application/json"),
            (b"{}", "application/problem+json; charset=utf-8", 400, "invalid_body", "definition"),
        ];
        for (body, content_type, status, code, part) in table {
            let reply = stage.send("POST", "/v1/sagas", &[("content-type", content_type)], body.to_vec()).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            assert_eq!((reply.status, reply.code()), (status, code), "{shown}: {reply:?}");
            assert!(reply.body["detail"].as_str().expect("text").contains(part), "{shown}: {reply:?}");
        }
        let reply = stage.send("POST", "/v1/sagas", &[], b"{}".to_vec()).await;
        assert_eq!(reply.status, 415, "no content type at all: {reply:?}");
    })
    .await;
}

#[tokio::test]
async fn bad_paths_queries_methods_and_headers_are_problems_too() {
    within(async {
        let stage = Stage::set().await;
        let long_key = "k".repeat(256);
        let with_long_key = [("idempotency-key", long_key.as_str())];
        let table: Vec<(&str, &str, Headers<'_>, u16, &str)> = vec![
            ("GET", "/nothing/here", &[], 404, "route_not_found"),
            ("GET", "/v1/events/", &[], 404, "route_not_found"),
            ("GET", "/v1/events/%00", &[], 400, "invalid_path"),
            ("GET", "/v1/events/%ff", &[], 400, "invalid_path"),
            ("GET", "/v1/events/one", &[], 400, "invalid_path"),
            ("GET", "/v1/sagas/one/stream", &[], 400, "invalid_path"),
            ("GET", "/v1/definitions/registration/first", &[], 400, "invalid_path"),
            ("DELETE", "/v1/events", &[], 405, "method_not_allowed"),
            ("PUT", "/v1/sagas/0193a1de-7d41-7cc1-9b5e-0242ac120002", &[], 405, "method_not_allowed"),
            ("GET", "/v1/sagas?limit=0", &[], 400, "invalid_query"),
            ("GET", "/v1/sagas?limit=201", &[], 400, "invalid_query"),
            ("GET", "/v1/sagas?limit=-1", &[], 400, "invalid_query"),
            ("GET", "/v1/sagas?limit=99999999999999999999999", &[], 400, "invalid_query"),
            ("GET", "/v1/sagas?status=happy", &[], 400, "invalid_query"),
            ("GET", "/v1/sagas?status=running&status=stuck", &[], 400, "invalid_query"),
            ("GET", "/v1/sagas?stuck=true&status=running", &[], 400, "invalid_query"),
            ("GET", "/v1/sagas?colour=red", &[], 400, "invalid_query"),
            ("GET", "/v1/sagas?tag=A%00", &[], 400, "invalid_query"),
            ("GET", "/v1/sagas?cursor=%C3%A9", &[], 400, "invalid_query"),
            ("GET", "/v1/events?status=happy", &[], 400, "invalid_query"),
            ("GET", "/v1/payments", &[], 400, "invalid_query"),
            ("GET", "/v1/invoices?registration_id=7", &[], 400, "invalid_query"),
            ("POST", "/v1/sagas", &[("idempotency-key", "")], 400, "invalid_idempotency_key"),
            ("POST", "/v1/sagas", &with_long_key, 400, "invalid_idempotency_key"),
            ("POST", "/v1/sagas", &[("idempotency-key", "é")], 400, "invalid_idempotency_key"),
            (
                "POST",
                "/v1/sagas",
                &[("idempotency-key", "a"), ("idempotency-key", "b")],
                400,
                "invalid_idempotency_key",
            ),
            ("POST", "/v1/webhooks/test", &[], 403, "invalid_signature"),
            ("POST", "/v1/webhooks/T%20est", &[("test-gateway-signature", "s")], 404, "gateway_not_found"),
        ];
        for (method, path, headers, status, code) in table {
            let reply = stage.call_with(method, path, headers, None).await;
            assert_eq!((reply.status, reply.code()), (status, code), "{method} {path}: {reply:?}");
            assert_eq!(reply.body["type"], format!("urn:amends:problem:{code}"));
            assert_eq!(reply.headers.contains_key("allow"), status == 405, "{method} {path}: {reply:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn problems_of_others_keep_their_code_and_places() {
    within(async {
        let stage = Stage::set().await;
        let kinds = [
            (ProblemKind::Invalid, 422),
            (ProblemKind::NotFound, 404),
            (ProblemKind::Conflict, 409),
            (ProblemKind::TooLarge, 413),
            (ProblemKind::Forbidden, 403),
            (ProblemKind::Unavailable, 503),
            (ProblemKind::Internal, 500),
        ];
        stage
            .context("events", "get", move |question| {
                let last = question["event_id"].as_str().expect("an id").chars().last().expect("not empty");
                let (kind, _) = kinds[last.to_digit(16).expect("hex") as usize];
                let place = FieldError { pointer: "/p".to_owned(), message: "m".to_owned() };
                Err(Problem::new(kind, "some_code", "Some words.").with_errors(vec![place]))
            })
            .await;
        for (index, (kind, status)) in kinds.into_iter().enumerate() {
            let reply =
                stage.call("GET", &format!("/v1/events/00000000-0000-0000-0000-00000000000{index:x}"), None).await;
            assert_eq!(reply.status, status, "{kind:?}: {reply:?}");
            if kind == ProblemKind::Unavailable {
                assert_eq!(reply.code(), "events_unavailable");
                assert!(reply.headers.contains_key("retry-after"));
            } else {
                assert_eq!((reply.code(), &reply.body["errors"][0]["pointer"]), ("some_code", &json!("/p")));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_is_silent_is_named() {
    within(async {
        let stage = Stage::set().await;
        // Nobody subscribes to anything.
        for (path, code) in [
            ("/v1/events", "events_unavailable"),
            ("/v1/registrations", "registration_unavailable"),
            ("/v1/payments?registration_id=0193a1de-7d41-7cc1-9b5e-0242ac120002", "payment_unavailable"),
            ("/v1/invoices", "billing_unavailable"),
            ("/v1/notifications", "notification_unavailable"),
            ("/v1/sagas", "orchestrator_unavailable"),
            ("/v1/sagas/0193a1de-7d41-7cc1-9b5e-0242ac120002", "orchestrator_unavailable"),
            ("/v1/sagas/0193a1de-7d41-7cc1-9b5e-0242ac120002/stream", "orchestrator_unavailable"),
            ("/v1/definitions", "orchestrator_unavailable"),
        ] {
            let reply = stage.call("GET", path, None).await;
            assert_eq!((reply.status, reply.code()), (503, code), "{path}: {reply:?}");
        }
        // Somebody subscribes and never answers.
        let asked = stage.play("amends.ctx.events.list", |_, _| None).await;
        let reply = stage.call("GET", "/v1/events", None).await;
        assert_eq!((reply.status, reply.code()), (503, "events_unavailable"), "{reply:?}");
        assert!(!asked.all().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_an_orchestrator_says_of_itself_keeps_its_code() {
    within(async {
        let mut settings = impatient();
        settings.orchestrator_patience = Duration::from_secs(2);
        let stage = Stage::with(settings).await;
        let info = json!({"partition_count": 1, "version": "t"});
        stage.play(ORCHESTRATOR_INFO, move |_, _| Some(Ok(info.clone()))).await;
        // The last digit of the saga's id says what its owner answers, and how often it is asked.
        let table = [
            ("definition_missing", "definition_missing", true),
            ("record_unread", "record_unread", true),
            ("contract_missing", "contract_missing", true),
            ("too_many_watches", "too_many_watches", false),
            ("store_unavailable", "store_unavailable", false),
            ("partition_lost", "orchestrator_unavailable", false),
        ];
        let asked = stage
            .play("amends.orc.p.0.get", move |_, question| {
                let last = question["saga_id"].as_str().and_then(|id| id.chars().last()).expect("an id");
                let (code, ..) = table[last.to_digit(10).expect("a digit") as usize];
                Some(Err(Problem::unavailable(code, "Some words.")))
            })
            .await;
        for (index, (code, told, at_once)) in table.into_iter().enumerate() {
            let before = asked.all().len();
            let saga_id = format!("00000000-0000-0000-0000-00000000000{index}");
            let reply = stage.call("GET", &format!("/v1/sagas/{saga_id}"), None).await;
            assert_eq!((reply.status, reply.code()), (503, told), "{code}: {reply:?}");
            assert!(reply.body["detail"].as_str().is_some_and(|detail| detail.contains("Some words.")), "{reply:?}");
            assert_eq!(asked.all().len() - before == 1, at_once, "{code}: how often it is asked");
        }
        let lists = stage
            .play("amends.orc.list", |_, _| Some(Err(Problem::unavailable("store_unavailable", "Some words."))))
            .await;
        let reply = stage.call("GET", "/v1/sagas", None).await;
        assert_eq!((reply.status, reply.code()), (503, "store_unavailable"), "{reply:?}");
        assert!(lists.all().len() > 1, "it may pass");
    })
    .await;
}
