//! The document and what is served are the same thing.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::schema::Document;
use crate::stage::{Stage, within};

/// What clients rely on (the domain's list, so far as it is built), and what is served besides.
const ROUTES: &str = "
    GET /
    GET /healthz
    GET /metrics
    GET /openapi.json
    GET /readyz
    GET /v1/dead-letters
    GET /v1/dead-letters/{context}/{id}
    GET /v1/bulk-operations
    GET /v1/bulk-operations/{bulk_id}
    GET /v1/definitions
    GET /v1/definitions/{name}/{version}
    GET /v1/events
    GET /v1/events/{event_id}
    GET /v1/events/{event_id}/availability
    GET /v1/invoices
    GET /v1/invoices/{invoice_id}
    GET /v1/notifications
    GET /v1/payments
    GET /v1/queues
    GET /v1/registrations
    GET /v1/registrations/{registration_id}
    GET /v1/sagas
    GET /v1/sagas/count
    GET /v1/sagas/counts
    GET /v1/sagas/{saga_id}
    GET /v1/sagas/{saga_id}/compensation-preview
    GET /v1/sagas/{saga_id}/history
    GET /v1/sagas/{saga_id}/stream
    GET /v1/schedules
    GET /v1/schedules/{name}
    GET /v1/workers
    DELETE /v1/schedules/{name}
    PATCH /v1/events/{event_id}
    PATCH /v1/schedules/{name}
    POST /v1/dead-letters/{context}/{id}/discard
    POST /v1/dead-letters/{context}/{id}/redrive
    POST /v1/bulk-operations
    POST /v1/bulk-operations/{bulk_id}/cancel
    POST /v1/bulk-operations/{bulk_id}/pause
    POST /v1/bulk-operations/{bulk_id}/resume
    POST /v1/events
    POST /v1/events/{event_id}/cancel
    POST /v1/events/{event_id}/close
    POST /v1/events/{event_id}/publish
    POST /v1/registrations
    POST /v1/registrations/{registration_id}/cancel
    POST /v1/sagas
    POST /v1/sagas/{saga_id}/cancel
    POST /v1/sagas/{saga_id}/pause
    POST /v1/sagas/{saga_id}/resolve
    POST /v1/sagas/{saga_id}/resume
    POST /v1/sagas/{saga_id}/edit-input
    POST /v1/sagas/{saga_id}/retry
    POST /v1/sagas/{saga_id}/retry-from
    POST /v1/sagas/{saga_id}/signals/{signal}
    POST /v1/sagas/{saga_id}/skip
    POST /v1/sagas/{saga_id}/terminate
    POST /v1/schedules
    POST /v1/schedules/{name}/pause
    POST /v1/schedules/{name}/resume
    POST /v1/schedules/{name}/run
    POST /v1/webhooks/{gateway}
";

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("an item") {
            all.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    all
}

#[tokio::test]
async fn every_route_is_in_the_document_and_served() {
    within(async {
        let stage = Stage::set().await;
        let served = stage.call("GET", "/openapi.json", None).await;
        assert_eq!(served.body, Document::served().0);
        let documented: BTreeSet<String> =
            operations(&served.body).into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        let expected: BTreeSet<String> =
            ROUTES.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        assert_eq!(documented, expected);
        for (method, path, _) in operations(&served.body) {
            let path = path
                .replace("{name}/{version}", "a/1")
                .replace("{context}/{id}", "a/1")
                .replace("{gateway}", "test")
                .replace("{event_id}", "x")
                .replace("{invoice_id}", "x")
                .replace("{registration_id}", "x")
                .replace("{saga_id}", "x")
                .replace("{signal}", "x")
                .replace("{name}", "x")
                .replace("{bulk_id}", "x");
            assert!(!path.contains('{'), "{path}");
            let reply = stage.call(&method, &path, None).await;
            assert!(!matches!(reply.code(), "route_not_found" | "method_not_allowed"), "{method} {path}: {reply:?}");
        }
    })
    .await;
}

#[test]
fn the_document_is_openapi_3_1_in_shape() {
    let document = Document::served().0;
    assert!(document["openapi"].as_str().expect("version").starts_with("3.1."), "{}", document["openapi"]);
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let tags: BTreeSet<&str> =
        document["tags"].as_array().expect("tags").iter().map(|tag| tag["name"].as_str().expect("a name")).collect();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{what}: id is not unique");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{what}: no summary");
        for tag in operation["tags"].as_array().expect("tags") {
            assert!(tags.contains(tag.as_str().expect("text")), "{what}: {tag}");
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let named: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().expect("a name"))
            .collect();
        let in_path: BTreeSet<&str> = path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')))
            .collect();
        assert_eq!(named, in_path, "{what}");
        for parameter in &parameters {
            assert!(parameter["schema"].is_object(), "{what}: {parameter}");
            assert!(parameter["in"] != "path" || parameter["required"] == true, "{what}: {parameter}");
        }
        let operates = [
            "pause",
            "resume",
            "retry",
            "retry-from",
            "edit-input",
            "signals/{signal}",
            "skip",
            "resolve",
            "terminate",
        ]
        .iter()
        .any(|verb| path == format!("/v1/sagas/{{saga_id}}/{verb}"))
            || path.starts_with("/v1/dead-letters/");
        let schedules = path.starts_with("/v1/schedules/{name}") && method != "GET";
        let creates = schedules || (method == "POST" && (!path.contains('{') || operates));
        let has_key = parameters.iter().any(|parameter| {
            parameter["in"] == "header" && parameter["name"] == "Idempotency-Key" && parameter["required"] != true
        });
        assert_eq!(has_key, creates, "{what}: Idempotency-Key");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{what}: no success");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{what} {status}");
            let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
            let is_readiness = path == "/readyz" && status == "503";
            if !status.starts_with('2') && !is_readiness {
                assert_eq!(problem, "#/components/schemas/Problem", "{what} {status}");
            }
        }
        assert!(responses.contains_key("default"), "{what}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_one() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    found.insert(reference);
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = Document::served();
    let mut found = BTreeSet::new();
    references(&document.0, &mut found);
    assert!(found.len() > 10);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("all references are local");
        assert!(document.0.pointer(pointer).is_some(), "{reference}");
    }
    for name in document.0["components"]["schemas"].as_object().expect("schemas").keys() {
        document.component(name);
    }
}

/// Twins of wire types in the document take every wire value.
#[test]
fn wire_types_are_as_documented() {
    use amends_schemas::saga::{HistoryEntry, SagaStatus, SagaSummary, SagaView};
    let document = Document::served();
    let saga = document.component("Saga");
    let statuses = [
        "pending",
        "skipped",
        "queued",
        "running",
        "waiting",
        "backing_off",
        "unknown",
        "succeeded",
        "failed",
        "undoing",
        "undone",
        "stuck",
    ];
    for status in SagaStatus::ALL {
        let view = serde_json::json!({
            "saga_id": "0193a1de-7d41-7cc1-9b5e-0242ac120002", "definition": "a", "version": 1, "hash": "h",
            "status": status, "reason": "cancelled", "paused": true, "waiting_for": "w",
            "steps": statuses.map(|status| serde_json::json!({
                "name": "s", "action": "for_each", "call": "a.b@1", "signal": "go", "status": status,
                "children": {"total": 3, "waiting": 1, "running": 1, "completed": 0, "failed": 1, "undone": 0,
                    "at_work": [{"child": 0, "saga_id": "0193a1de-7d41-7cc1-9b5e-0242ac120004"}],
                    "failures": [{"child": 1, "saga_id": "0193a1de-7d41-7cc1-9b5e-0242ac120005",
                        "error": {"code": "c", "message": "m"}}]}, "operation": "undo", "attempt": 1, "outcome": "o",
                "error": {"code": "c", "message": "m"}, "output": [1], "started_at": "2026-01-01T00:00:00Z",
                "ended_at": null, "until": "2026-01-01T00:00:00Z",
            })),
            "input": {}, "output": null, "tags": ["t"], "cancelled_by": "0193a1de-7d41-7cc1-9b5e-0242ac120003",
            "parent": {"saga_id": "0193a1de-7d41-7cc1-9b5e-0242ac120006", "step": "s", "child": 2, "operation": "undo"},
            "start_at": "2026-01-01T00:00:00Z", "priority": 9,
            "deadline_at": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z", "event_count": 3,
        });
        let read: SagaView = serde_json::from_value(view).expect("a view");
        let written = serde_json::to_value(&read).expect("json");
        let errors: Vec<String> = saga.iter_errors(&written).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let summary = SagaSummary {
            saga_id: read.saga_id,
            definition: read.definition,
            version: 1,
            status,
            paused: false,
            waiting_for: None,
            tags: read.tags,
            created_at: read.created_at,
            updated_at: read.updated_at,
        };
        assert!(document.component("SagaSummary").is_valid(&serde_json::to_value(summary).expect("json")));
    }
    let entry = HistoryEntry {
        sequence: 1,
        at: "2026-01-01T00:00:00Z".parse().expect("time"),
        event: "saga_started".to_owned(),
        step: None,
        data: Value::Null,
    };
    assert!(document.component("HistoryEntry").is_valid(&serde_json::to_value(entry).expect("json")));
    assert!(!saga.is_valid(&serde_json::json!({"saga_id": "x"})), "the check can fail");
}
