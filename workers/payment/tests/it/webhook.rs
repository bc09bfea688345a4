//! Webhooks: genuine ones count once, in whatever order; forged ones not at all.

use amends_schemas::problem::ProblemKind;
use amends_test_gateway::signature::sign;
use chrono::Utc;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Case, SECRET, said, within};

fn body(event_id: &str, key: &str, kind: &str, amount: &str) -> String {
    let captured = kind == "intent.captured";
    let charge =
        json!({"charge_id": "ch_1", "amount": {"amount": amount, "currency": "EUR"}, "created_at": Utc::now()});
    let intent = json!({
        "intent_id": "pi_1",
        "idempotency_key": key,
        "status": if captured { "captured" } else { "declined" },
        "charge": if captured { charge } else { Value::Null },
        "decline": if captured { Value::Null } else { json!({"code": "insufficient_funds", "message": "…"}) },
    });
    json!({"id": event_id, "type": kind, "created_at": Utc::now(), "data": {"intent": intent}}).to_string()
}

fn signed(body: &str) -> String {
    sign(SECRET, Utc::now().timestamp(), body)
}

async fn pending() -> Case {
    let case = Case::new().await;
    assert_eq!(said(&case.pay("tok_webhook").await), "unknown payment_pending");
    case
}

async fn told(case: &Case, event_id: &str, kind: &str) -> String {
    let body = body(event_id, &case.key(), kind, "120.00");
    case.webhook(&signed(&body), &body).await.unwrap()["outcome"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn five_times_at_once_is_one_success() {
    within(async {
        let case = pending().await;
        let mut outcomes = join_all((0..5).map(|_| told(&case, "evt_1", "intent.captured"))).await;
        outcomes.sort();
        assert_eq!(outcomes, ["repeated", "repeated", "repeated", "repeated", "taken"]);
        assert_eq!(case.payments().await[0]["charges"].as_array().unwrap().len(), 1);
        assert_eq!(case.status().await, "captured");
        assert_eq!(case.published_names().await, ["payment.PaymentSucceeded.v1"]);
        assert_eq!(said(&case.probe("tok_webhook").await), "succeeded", "the saga learns of it by its next probe");
        assert_eq!(case.published_names().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn five_events_of_one_success_are_one_charge() {
    within(async {
        let case = pending().await;
        let ids: Vec<String> = (0..5).map(|number| format!("evt_{number}")).collect();
        let outcomes = join_all(ids.iter().map(|id| told(&case, id, "intent.captured"))).await;
        assert!(outcomes.iter().all(|outcome| outcome == "taken"), "{outcomes:?}");
        assert_eq!(case.payments().await[0]["charges"].as_array().unwrap().len(), 1);
        assert_eq!(case.published_names().await, ["payment.PaymentSucceeded.v1"]);
    })
    .await;
}

#[tokio::test]
async fn a_success_outweighs_a_failure_before_and_after() {
    within(async {
        let late_failure = pending().await;
        told(&late_failure, "evt_1", "intent.captured").await;
        told(&late_failure, "evt_2", "intent.declined").await;
        assert_eq!(late_failure.status().await, "captured");
        assert_eq!(late_failure.published_names().await, ["payment.PaymentSucceeded.v1"]);

        let late_success = pending().await;
        told(&late_success, "evt_1", "intent.declined").await;
        assert_eq!(late_success.status().await, "declined");
        assert_eq!(late_success.payments().await[0]["decline"], "insufficient_funds");
        told(&late_success, "evt_2", "intent.captured").await;
        assert_eq!(late_success.status().await, "captured");
        let names = late_success.published_names().await;
        assert_eq!(names, ["payment.PaymentFailed.v1", "payment.PaymentSucceeded.v1"]);
        assert_eq!(said(&late_success.probe("tok_webhook").await), "succeeded");
    })
    .await;
}

#[tokio::test]
async fn forged_ones_change_nothing() {
    within(async {
        let case = pending().await;
        let body = body("evt_1", &case.key(), "intent.captured", "120.00");
        let now = Utc::now().timestamp();
        let other = signed(&body.replace("120.00", "0.01"));
        for forged in ["", "t=1,v1=00", &sign("guess", now, &body), &sign(SECRET, now - 301, &body), &other] {
            let problem = case.webhook(forged, &body).await.unwrap_err();
            assert_eq!((problem.kind, problem.code.as_str()), (ProblemKind::Forbidden, "webhook_forged"));
        }
        assert_eq!(case.status().await, "pending");
        assert!(case.published().await.is_empty());
        // Nor do they use up the event's id.
        assert_eq!(told(&case, "evt_1", "intent.captured").await, "taken");
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_or_ignored() {
    within(async {
        let case = pending().await;
        let wrong = body("evt_1", &case.key(), "intent.captured", "12.00");
        let problem = case.webhook(&signed(&wrong), &wrong).await.unwrap_err();
        assert_eq!((problem.kind, problem.code.as_str()), (ProblemKind::Conflict, "payment_mismatch"));
        for malformed in ["", "{}", "[]", r#"{"id": 1}"#, &body("", &case.key(), "intent.captured", "120.00")] {
            let problem = case.webhook(&signed(malformed), malformed).await.unwrap_err();
            assert_eq!(
                (problem.kind, problem.code.as_str()),
                (ProblemKind::Invalid, "webhook_malformed"),
                "{malformed}"
            );
        }
        let request = json!({"gateway": "other", "signature": signed(&wrong), "body": wrong});
        let problem = case.harness.ask::<amends_payment::webhook::Webhook>(request).await.unwrap_err();
        assert_eq!((problem.kind, problem.code.as_str()), (ProblemKind::NotFound, "gateway_not_found"));

        let stranger = body("evt_2", "somebody/else/do", "intent.captured", "120.00");
        assert_eq!(case.webhook(&signed(&stranger), &stranger).await.unwrap()["outcome"], "ignored");
        assert_eq!(told(&case, "evt_3", "intent.of_another_kind").await, "ignored");
        assert_eq!(case.status().await, "pending");
        assert!(case.published().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn old_ids_are_forgotten_and_new_ones_kept() {
    within(async {
        let case = pending().await;
        told(&case, "evt_new", "intent.captured").await;
        let old = (Utc::now() - chrono::TimeDelta::days(8)).timestamp_millis();
        let statement = "UPSERT type::record('webhook', 'evt_old') CONTENT { taken_ms: $old }";
        case.harness.database().query(statement, json!({"old": old})).await.unwrap();
        assert!(!case.harness.tick::<amends_payment::PruneWebhooks>().await.unwrap());
        let mut rows =
            case.harness.database().query("SELECT VALUE record::id(id) FROM webhook", json!({})).await.unwrap();
        assert_eq!(rows.take::<String>(0).unwrap(), ["evt_new"]);
    })
    .await;
}
