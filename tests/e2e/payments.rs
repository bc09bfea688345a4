//! What can go wrong with money, and must not.

use amends_test_support::Platform;
use serde_json::{Value, json};

use crate::registrations::steps_with;
use crate::{SAGA_DEADLINE, platform};

/// Registers one person with a token and waits for the end; answers the saga and the registration.
async fn registered(platform: &Platform, token: &str) -> (Value, Value) {
    let client = &platform.client;
    let event_id = client.published_event(5, Some("49.90")).await;
    let accepted = client.register(&event_id, 1, Some(token)).await;
    let saga = client.saga_in(&accepted.text("saga_id"), &["completed", "compensated", "stuck"], SAGA_DEADLINE).await;
    let registration = client.get(&format!("/v1/registrations/{}", accepted.text("registration_id"))).await.body;
    (saga, registration)
}

async fn charges(platform: &Platform) -> usize {
    platform.ledger().await["charges"].as_array().expect("charges").len()
}

#[tokio::test]
async fn a_declined_card_gives_the_seat_back_and_leaves_no_invoice() {
    let platform = platform().await;
    for token in ["tok_declined", "tok_insufficient_funds", "tok_unheard_of"] {
        let (saga, registration) = registered(&platform, token).await;
        assert_eq!((&saga["status"], &saga["reason"]), (&json!("compensated"), &json!("failed")), "{token}: {saga}");
        assert_eq!(steps_with(&saga, "undone"), ["reserve"], "{token}");
        assert_eq!(registration["status"], "rejected", "{token}: {registration}");
        let registration_id = registration["registration_id"].as_str().expect("an id");
        assert!(platform.client.items(&format!("/v1/invoices?registration_id={registration_id}")).await.is_empty());
    }
    assert_eq!(charges(&platform).await, 0);
}

#[tokio::test]
async fn an_answer_lost_after_charging_is_probed_charged_once_and_confirmed() {
    let platform = platform().await;
    let (saga, registration) = registered(&platform, "tok_lost").await;
    assert_eq!(saga["status"], "completed", "{saga}");
    assert_eq!(registration["status"], "confirmed");
    assert_eq!(charges(&platform).await, 1);
}

#[tokio::test]
async fn a_gateway_slower_than_the_timeout_charges_once() {
    let platform = platform().await;
    let (saga, registration) = registered(&platform, "tok_slow").await;
    assert_eq!(saga["status"], "completed", "{saga}");
    assert_eq!(registration["status"], "confirmed");
    assert_eq!(charges(&platform).await, 1);
}

#[tokio::test]
async fn a_flaky_gateway_charges_once() {
    let platform = platform().await;
    let (saga, _) = registered(&platform, "tok_flaky").await;
    assert_eq!(saga["status"], "completed", "{saga}");
    assert_eq!(charges(&platform).await, 1);
}

#[tokio::test]
async fn a_payment_settled_by_webhook_is_confirmed_or_rejected_as_it_says() {
    let platform = platform().await;
    let (saga, _) = registered(&platform, "tok_webhook").await;
    assert_eq!(saga["status"], "completed", "{saga}");
    assert_eq!(charges(&platform).await, 1);
    let (saga, _) = registered(&platform, "tok_webhook_declined").await;
    assert_eq!(saga["status"], "compensated", "{saga}");
    assert_eq!(charges(&platform).await, 1);
}

#[tokio::test]
async fn a_forged_webhook_changes_nothing() {
    let platform = platform().await;
    let forged = json!({"id": "evt_1", "type": "charge.succeeded", "data": {}});
    let answer = platform.client.post("/v1/webhooks/test", &forged).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
}
