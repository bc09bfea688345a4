//! Registrations that go well: paid, free, waitlisted.

use amends_test_support::Client;
use serde_json::{Value, json};

use crate::{SAGA_DEADLINE, platform};

/// The names of a saga's steps that have this status.
pub fn steps_with(saga: &Value, status: &str) -> Vec<String> {
    let steps = saga["steps"].as_array().expect("steps");
    steps
        .iter()
        .filter(|step| step["status"] == status)
        .map(|step| step["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[tokio::test]
async fn a_paid_registration_is_confirmed_charged_once_invoiced_and_told() {
    let platform = platform().await;
    let client = &platform.client;
    let event_id = client.published_event(10, Some("120.00")).await;
    let mut body = Client::registration_body(&event_id, 1, Some("tok_ok"));
    body["billing"] = json!({"company": "Analytical Engines SARL", "vat_id": "FR12345678901"});
    let accepted = client.post("/v1/registrations", &body).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let (registration_id, saga_id) = (accepted.text("registration_id"), accepted.text("saga_id"));

    // The caller's own write is there at once.
    let now = client.get(&format!("/v1/registrations/{registration_id}")).await;
    assert_eq!(now.status, 200, "{now:?}");
    assert_eq!(client.get(&format!("/v1/sagas/{saga_id}")).await.status, 200);

    let saga = client.saga_in(&saga_id, &["completed"], SAGA_DEADLINE).await;
    assert_eq!(steps_with(&saga, "succeeded"), ["reserve", "pay", "confirm", "invoice", "notify"]);
    assert_eq!(steps_with(&saga, "skipped"), ["confirm-free"]);

    let registration = client.get(&format!("/v1/registrations/{registration_id}")).await.body;
    assert_eq!((&registration["status"], &registration["seat"]), (&json!("confirmed"), &json!(1)), "{registration}");

    let invoices = client.items(&format!("/v1/invoices?registration_id={registration_id}")).await;
    assert_eq!(invoices.len(), 1, "{invoices:?}");
    let number = invoices[0]["number"].as_str().expect("a number");
    assert!(number.starts_with("INV-") && number.ends_with("000001"), "{number}");

    let payments = client.items(&format!("/v1/payments?registration_id={registration_id}")).await;
    assert_eq!(payments.len(), 1);
    assert_eq!(payments[0]["captured"], json!({"amount": "120.00", "currency": "EUR"}), "{payments:?}");
    let ledger = platform.ledger().await;
    assert_eq!(ledger["charges"].as_array().expect("charges").len(), 1, "{ledger}");

    let notifications = client.items(&format!("/v1/notifications?registration_id={registration_id}")).await;
    assert_eq!(notifications.len(), 1);
    assert_eq!(notifications[0]["status"], "delivered", "{notifications:?}");
    let mails = std::fs::read_dir(platform.data_dir().join("mail")).expect("the mail folder").count();
    assert_eq!(mails, 1);

    let history = client.items(&format!("/v1/sagas/{saga_id}/history")).await;
    assert_eq!(history.first().expect("facts")["event"], "saga_started");
    assert_eq!(history.last().expect("facts")["event"], "saga_completed");
    let sequences: Vec<u64> = history.iter().map(|entry| entry["sequence"].as_u64().expect("a number")).collect();
    assert_eq!(sequences, (1..=history.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_free_registration_is_confirmed_without_payment_or_invoice() {
    let platform = platform().await;
    let client = &platform.client;
    let event_id = client.published_event(10, None).await;
    let accepted = client.register(&event_id, 1, None).await;
    let saga = client.saga_in(&accepted.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    assert_eq!(steps_with(&saga, "succeeded"), ["reserve", "confirm-free", "notify"]);
    let registration_id = accepted.text("registration_id");
    assert_eq!(client.get(&format!("/v1/registrations/{registration_id}")).await.body["status"], "confirmed");
    assert!(client.items(&format!("/v1/invoices?registration_id={registration_id}")).await.is_empty());
    assert!(platform.ledger().await["charges"].as_array().expect("charges").is_empty());
}

#[tokio::test]
async fn a_registration_for_a_full_event_waits_in_line_and_costs_nothing() {
    let platform = platform().await;
    let client = &platform.client;
    let event_id = client.published_event(1, Some("20.00")).await;
    let first = client.register(&event_id, 1, Some("tok_ok")).await;
    client.saga_in(&first.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    for (person, position) in [(2, 1), (3, 2)] {
        let waiting = client.register(&event_id, person, Some("tok_ok")).await;
        let saga = client.saga_in(&waiting.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
        assert_eq!(steps_with(&saga, "succeeded"), ["reserve"]);
        let registration = client.get(&format!("/v1/registrations/{}", waiting.text("registration_id"))).await.body;
        assert_eq!((&registration["status"], &registration["position"]), (&json!("waitlisted"), &json!(position)));
    }
    assert_eq!(platform.ledger().await["charges"].as_array().expect("charges").len(), 1);
}
