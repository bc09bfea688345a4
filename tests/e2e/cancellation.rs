//! Cancelling before, between, during and after.

use serde_json::json;

use crate::registrations::steps_with;
use crate::{SAGA_DEADLINE, platform};

#[tokio::test]
async fn cancelling_a_paid_registration_credits_refunds_and_tells() {
    let platform = platform().await;
    let client = &platform.client;
    let event_id = client.published_event(1, Some("80.00")).await;
    let accepted = client.register(&event_id, 1, Some("tok_ok")).await;
    let registration_id = accepted.text("registration_id");
    client.saga_in(&accepted.text("saga_id"), &["completed"], SAGA_DEADLINE).await;

    let path = format!("/v1/registrations/{registration_id}/cancel");
    let cancelled = client.post(&path, &json!({"reason": "cannot come"})).await;
    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    let again = client.post(&path, &json!({"reason": "cannot come"})).await;
    assert_eq!(again.text("saga_id"), cancelled.text("saga_id"), "cancelling twice is one cancellation");

    let saga = client.saga_in(&cancelled.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    assert_eq!(steps_with(&saga, "succeeded"), ["cancel", "credit", "refund", "notify"]);
    assert_eq!(client.get(&format!("/v1/registrations/{registration_id}")).await.body["status"], "cancelled");
    let payments = client.items(&format!("/v1/payments?registration_id={registration_id}")).await;
    assert_eq!(payments[0]["refunded"], json!({"amount": "80.00", "currency": "EUR"}), "{payments:?}");
    let ledger = platform.ledger().await;
    assert_eq!(ledger["refunds"].as_array().expect("refunds").len(), 1, "{ledger}");
    let invoices = client.items(&format!("/v1/invoices?registration_id={registration_id}")).await;
    let credits = invoices[0]["credit_notes"].as_array().expect("credit notes");
    assert_eq!(credits.len(), 1, "{invoices:?}");

    // Nobody waits, so the seat is there for the next.
    let next = client.register(&event_id, 2, Some("tok_ok")).await;
    client.saga_in(&next.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    assert_eq!(
        client.get(&format!("/v1/registrations/{}", next.text("registration_id"))).await.body["status"],
        "confirmed"
    );
}

#[tokio::test]
async fn cancelling_while_the_money_is_in_doubt_settles_it_first() {
    let platform = platform().await;
    let client = &platform.client;
    for token in ["tok_lost", "tok_slow", "tok_flaky"] {
        let event_id = client.published_event(1, Some("15.00")).await;
        let accepted = client.register(&event_id, 1, Some(token)).await;
        let (registration_id, saga_id) = (accepted.text("registration_id"), accepted.text("saga_id"));
        amends_test_support::wait::until("the payment to be under way", SAGA_DEADLINE, async || {
            let saga = client.get(&format!("/v1/sagas/{saga_id}")).await.body;
            (saga["steps"][1]["status"] != "pending").then_some(())
        })
        .await;
        let cancelled = client.post(&format!("/v1/registrations/{registration_id}/cancel"), &json!({})).await;
        assert_eq!(cancelled.status, 202, "{cancelled:?}");
        let saga = client.saga_in(&saga_id, &["completed", "compensated"], SAGA_DEADLINE).await;
        // Either nothing was charged and the seat is free, or it was, and the forward saga gives it back.
        if saga["status"] == "completed" {
            let forward = saga["cancelled_by"].as_str().expect("a forward saga").to_owned();
            client.saga_in(&forward, &["completed"], SAGA_DEADLINE).await;
        }
        let registration = client.get(&format!("/v1/registrations/{registration_id}")).await.body;
        assert_eq!(registration["status"], "cancelled", "{token}: {registration}");
        let charged = platform.ledger().await;
        let of = |list: &str| charged[list].as_array().expect("a list").len();
        assert_eq!(of("charges"), of("refunds"), "{token}: every charge was refunded: {charged}");
    }
}

#[tokio::test]
async fn a_cancel_at_any_moment_leaves_money_and_seats_even() {
    let platform = platform().await;
    let client = &platform.client;
    let event_id = client.published_event(40, Some("5.00")).await;
    let mut sagas = Vec::new();
    // Each cancel comes a little later than the one before: it meets every step once, by the sixteenth at the latest.
    for person in 0..16_u64 {
        let accepted = client.register(&event_id, person as usize, Some("tok_ok")).await;
        let facts = person;
        let saga_id = accepted.text("saga_id");
        amends_test_support::wait::until("the saga to have come so far", SAGA_DEADLINE, async || {
            let saga = client.get(&format!("/v1/sagas/{saga_id}")).await.body;
            let far_enough = saga["event_count"].as_u64()? >= facts || saga["status"] == "completed";
            far_enough.then_some(())
        })
        .await;
        let path = format!("/v1/registrations/{}/cancel", accepted.text("registration_id"));
        let cancelled = client.post(&path, &json!({})).await;
        assert_eq!(cancelled.status, 202, "{cancelled:?}");
        sagas.push((accepted, cancelled));
    }
    for (accepted, cancelled) in &sagas {
        client.saga_in(&accepted.text("saga_id"), &["completed", "compensated"], SAGA_DEADLINE).await;
        client.saga_in(&cancelled.text("saga_id"), &["completed", "compensated"], SAGA_DEADLINE).await;
        let registration = client.get(&format!("/v1/registrations/{}", accepted.text("registration_id"))).await.body;
        assert_eq!(registration["status"], "cancelled", "{registration}");
    }
    let ledger = platform.ledger().await;
    assert_eq!(
        ledger["charges"].as_array().expect("charges").len(),
        ledger["refunds"].as_array().expect("refunds").len()
    );
    // All seats are free again.
    let after = client.register(&event_id, 99, Some("tok_ok")).await;
    client.saga_in(&after.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    assert_eq!(
        client.get(&format!("/v1/registrations/{}", after.text("registration_id"))).await.body["status"],
        "confirmed"
    );
}
