//! Bulk operations: what reaches the orchestrators, and how it reads.

use amends_schemas::problem::Problem;
use amends_schemas::subjects::{
    ORCHESTRATOR_BULK_CONTROL, ORCHESTRATOR_BULK_GET, ORCHESTRATOR_BULK_LIST, ORCHESTRATOR_BULK_PREVIEW,
    ORCHESTRATOR_BULK_START,
};
use serde_json::{Value, json};

use crate::stage::{Stage, within};

const ID: &str = "0193a1de-7d41-7cc1-9b5e-0242ac120003";

/// An operation as an orchestrator tells it.
fn operation(bulk_id: &Value) -> Value {
    json!({
        "bulk_id": bulk_id, "verb": "retry", "step": "pay", "filter": {"status": "stuck", "older_than": "60s"}, "by": "ann",
        "reason": "r", "per_second": 100, "status": "running", "matched": {"count": 3, "at_least": false}, "done": 1,
        "refused": 1, "refusals": [{"code": "illegal_here", "count": 1}],
        "examples": [{"saga_id": ID, "code": "illegal_here", "message": "It is elsewhere."}],
        "changes": [{"verb": "pause", "by": "bob", "reason": "", "at": "2026-11-21T00:00:00Z"}],
        "created_at": "2026-11-21T00:00:00Z", "updated_at": "2026-11-21T00:00:00Z",
    })
}

#[tokio::test]
async fn a_bulk_operation_is_begun_once_under_a_key() {
    within(async {
        let stage = Stage::set().await;
        let asked = stage.play(ORCHESTRATOR_BULK_START, |_, question| Some(Ok(operation(&question["bulk_id"])))).await;
        let start = async |body: Value| stage.call("POST", "/v1/bulk-operations", Some(body)).await;
        for (body, act) in [
            (json!({"verb": "pause"}), json!({"verb": "pause"})),
            (json!({"verb": "retry", "step": "pay"}), json!({"verb": "retry", "step": "pay"})),
            (json!({"verb": "retry_from", "step": "pay"}), json!({"verb": "retry_from", "step": "pay"})),
            (json!({"verb": "skip"}), json!({"verb": "skip"})),
            (json!({"verb": "cancel"}), json!({"verb": "cancel"})),
            (json!({"verb": "terminate", "force": true}), json!({"verb": "terminate", "force": true})),
            (
                json!({"verb": "resolve", "as": "succeeded", "output": {"id": 1}}),
                json!({"verb": "resolve", "resolution": {"as": "succeeded", "output": {"id": 1}}}),
            ),
            (
                json!({"verb": "resolve", "as": "failed", "step": "pay"}),
                json!({"verb": "resolve", "step": "pay", "resolution": {"as": "failed"}}),
            ),
        ] {
            let mut body = body;
            body["filter"] = json!({"status": ["stuck", "running"], "tag": "event_1", "older_than": "15m"});
            body["reason"] = json!("r");
            body["by"] = json!("ann");
            let reply = start(body).await;
            assert_eq!(reply.status, 202, "{reply:?}");
            let id = reply.body["bulk_id"].as_str().expect("an id");
            assert_eq!(reply.headers["location"], format!("/v1/bulk-operations/{id}"));
            let mut wanted = act;
            wanted["bulk_id"] = json!(id);
            wanted["filter"] = json!({"status": ["stuck", "running"], "tag": "event_1", "older_than": "900s"});
            (wanted["by"], wanted["reason"], wanted["per_second"]) = (json!("ann"), json!("r"), json!(100));
            assert_eq!(asked.questions().pop(), Some(wanted));
        }
        let body = || Some(json!({"verb": "pause", "filter": {"status": "stuck"}, "reason": "r", "per_second": 7}));
        let key = [("idempotency-key", "k")];
        let first = stage.call_with("POST", "/v1/bulk-operations", &key, body()).await;
        let again = stage.call_with("POST", "/v1/bulk-operations", &key, body()).await;
        assert_eq!(first.body["bulk_id"], again.body["bulk_id"]);
        assert_eq!(asked.questions().pop().expect("asked")["per_second"], 7);
        let without = stage.call("POST", "/v1/bulk-operations", body()).await;
        assert_ne!(first.body["bulk_id"], without.body["bulk_id"]);
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_begins_nothing() {
    within(async {
        let stage = Stage::set().await;
        let begun = stage.play(ORCHESTRATOR_BULK_START, |_, _| Some(Err(Problem::internal("never", "never")))).await;
        let found = json!({"count": 2, "at_least": false, "items": []});
        let asked = stage.play(ORCHESTRATOR_BULK_PREVIEW, move |_, _| Some(Ok(found.clone()))).await;
        let body = json!({"verb": "retry", "dry_run": true, "filter": {"error": "card_declined", "step": "pay"}});
        let reply = stage.call("POST", "/v1/bulk-operations", Some(body)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body, json!({"status": "previewed", "count": 2, "at_least": false, "items": []}));
        assert_eq!(asked.questions(), [json!({"error": "card_declined", "step": "pay"})]);
        assert!(begun.all().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_begun_is_refused_at_the_door_or_behind_it() {
    within(async {
        let stage = Stage::set().await;
        stage
            .play(ORCHESTRATOR_BULK_START, |_, question| {
                Some(Err(match question["reason"].as_str() {
                    Some("") => Problem::invalid("reason_required", "a reason"),
                    _ => Problem::conflict("bulk_exists", "another one"),
                }))
            })
            .await;
        let filter = json!({"status": "stuck"});
        for (body, status, code) in [
            (json!({"verb": "delete", "filter": filter}), 400, "invalid_body"),
            (json!({"verb": "retry"}), 400, "invalid_body"),
            // A criterion that is misspelt must not be one that is left out.
            (json!({"verb": "retry", "filter": {"stauts": "stuck"}}), 400, "invalid_body"),
            (json!({"verb": "retry", "filter": {"older_than": "soon"}}), 400, "invalid_body"),
            (json!({"verb": "pause", "step": "pay", "filter": filter}), 422, "invalid_act"),
            (json!({"verb": "retry", "force": true, "filter": filter}), 422, "invalid_act"),
            (json!({"verb": "retry", "as": "failed", "filter": filter}), 422, "invalid_act"),
            (json!({"verb": "retry_from", "filter": filter}), 422, "invalid_act"),
            (json!({"verb": "edit_input", "filter": filter}), 400, "invalid_body"),
            (json!({"verb": "resolve", "filter": filter}), 422, "invalid_resolution"),
            (json!({"verb": "resolve", "as": "failed", "output": {}, "filter": filter}), 422, "invalid_resolution"),
            (json!({"verb": "retry", "filter": filter, "reason": "x".repeat(2000)}), 422, "invalid_reason"),
            (json!({"verb": "retry", "filter": filter}), 422, "reason_required"),
            (json!({"verb": "retry", "filter": filter, "reason": "r"}), 409, "bulk_exists"),
        ] {
            let reply = stage.call("POST", "/v1/bulk-operations", Some(body.clone())).await;
            assert_eq!((reply.status, reply.code()), (status, code), "{body}: {reply:?}");
        }
        let body = Some(json!({"verb": "retry", "filter": filter, "reason": "r"}));
        let reply = stage.call_with("POST", "/v1/bulk-operations", &[("idempotency-key", "k")], body).await;
        assert_eq!((reply.status, reply.code()), (409, "idempotency_key_reused"));
    })
    .await;
}

#[tokio::test]
async fn bulk_operations_are_read_listed_and_steered() {
    within(async {
        let stage = Stage::set().await;
        stage
            .play(ORCHESTRATOR_BULK_GET, |_, question| {
                Some(match question["bulk_id"].as_str() {
                    Some(ID) => Ok(operation(&question["bulk_id"])),
                    _ => Err(Problem::not_found("bulk_not_found", "none")),
                })
            })
            .await;
        let reply = stage.call("GET", &format!("/v1/bulk-operations/{ID}"), None).await;
        assert_eq!((reply.status, reply.body), (200, operation(&json!(ID))));
        let reply = stage.call("GET", &format!("/v1/bulk-operations/{}", uuid::Uuid::now_v7()), None).await;
        assert_eq!((reply.status, reply.code()), (404, "bulk_not_found"));
        let asked = stage
            .play(ORCHESTRATOR_BULK_LIST, |_, _| {
                Some(Ok(json!({"items": [operation(&json!(ID))], "next_cursor": "c"})))
            })
            .await;
        let reply = stage.call("GET", "/v1/bulk-operations?limit=5&cursor=b", None).await;
        assert_eq!((reply.status, &reply.body["next_cursor"]), (200, &json!("c")), "{reply:?}");
        assert_eq!(asked.questions(), [json!({"cursor": "b", "limit": 5})]);
        let asked =
            stage.play(ORCHESTRATOR_BULK_CONTROL, |_, question| Some(Ok(operation(&question["bulk_id"])))).await;
        for verb in ["pause", "resume", "cancel"] {
            let body = Some(json!({"by": "bob", "reason": "lunch"}));
            let reply = stage.call("POST", &format!("/v1/bulk-operations/{ID}/{verb}"), body).await;
            assert_eq!((reply.status, &reply.body["bulk_id"]), (200, &json!(ID)), "{reply:?}");
            let wanted = json!({"bulk_id": ID, "verb": verb, "by": "bob", "reason": "lunch"});
            assert_eq!(asked.questions().pop(), Some(wanted));
        }
    })
    .await;
}
