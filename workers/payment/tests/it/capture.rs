//! Charging: what each token leads to, and one charge however often asked.

use futures::future::join_all;
use serde_json::json;

use crate::support::{Case, output, said, within};

const SUCCEEDED: &str = "payment.PaymentSucceeded.v1";
const FAILED: &str = "payment.PaymentFailed.v1";

#[tokio::test]
async fn a_good_card_is_charged_once_and_told_once() {
    within(async {
        let case = Case::new().await;
        let results = join_all((0..20).map(|_| case.pay("tok_ok"))).await;
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        let (output, ledger) = (output(&results[0]), case.gateway.ledger().await);
        assert_eq!(output["amount"], json!({"amount": "120.00", "currency": "EUR"}));
        assert_eq!(ledger["charges"].as_array().unwrap().len(), 1);
        assert_eq!(ledger["charges"][0]["charge_id"], output["charge_id"]);
        assert_eq!(ledger["charges"][0]["idempotency_key"], case.key());
        assert_eq!(ledger["charges"][0]["reference"], case.registration_id.to_string());

        let payments = case.payments().await;
        assert_eq!(payments.len(), 1);
        assert_eq!(payments[0]["status"], "captured");
        assert_eq!(payments[0]["payment_id"], output["payment_id"]);
        assert_eq!(payments[0]["captured"]["amount"], "120.00");
        assert_eq!(payments[0]["refunded"]["amount"], "0.00");
        assert_eq!(payments[0]["charges"][0]["charge_id"], output["charge_id"]);
        assert_eq!(payments[0]["method"]["last_four"], "4242");
        let published = case.published().await;
        assert_eq!(published.len(), 1);
        assert_eq!(published[0].0, SUCCEEDED);
        assert_eq!(published[0].1.subject, output["payment_id"].as_str().unwrap());
        assert_eq!(published[0].1.data["charge_id"], output["charge_id"]);
    })
    .await;
}

#[tokio::test]
async fn refused_cards_fail_cleanly() {
    within(async {
        for (token, code) in [
            ("tok_declined", "card_declined"),
            ("tok_insufficient_funds", "insufficient_funds"),
            ("tok_unheard_of", "invalid_token"),
        ] {
            let case = Case::new().await;
            assert_eq!(said(&case.pay(token).await), format!("failed {code}"));
            assert_eq!(said(&case.probe(token).await), format!("failed {code}"), "the inbox knows");
            assert_eq!(case.status().await, "declined");
            assert_eq!(case.payments().await[0]["decline"], code);
            assert_eq!(case.gateway.charge_count().await, 0);
            let published = case.published().await;
            assert_eq!((published.len(), published[0].0.as_str()), (1, FAILED));
            assert_eq!(published[0].1.data["code"], code);
        }
    })
    .await;
}

#[tokio::test]
async fn without_token_or_amount_the_gateway_is_not_asked() {
    within(async {
        let case = Case::new().await;
        assert_eq!(said(&case.pay_without_token().await), "failed payment_method_required");
        for amount in ["0", "-120.00"] {
            let case = Case::new().await;
            assert_eq!(said(&case.pay_amount(amount).await), "failed invalid_amount");
            assert!(case.payments().await.is_empty());
        }
        assert!(case.payments().await.is_empty() && case.published().await.is_empty());
        assert_eq!(case.gateway.charge_count().await, 0);
    })
    .await;
}

#[tokio::test]
async fn no_token_is_kept() {
    within(async {
        let case = Case::new().await;
        case.pay("tok_ok").await;
        case.pay("tok_declined").await;
        let mut rows = case.harness.database().query("SELECT * FROM payment_intent", json!({})).await.unwrap();
        let rows: Vec<serde_json::Value> = rows.take(0).unwrap();
        assert!(!rows.is_empty() && !json!(rows).to_string().contains("tok_"));
        assert!(!json!(case.harness.published().await).to_string().contains("tok_"));
    })
    .await;
}

#[tokio::test]
async fn a_void_bars_a_late_charge() {
    within(async {
        let case = Case::new().await;
        assert_eq!(said(&case.undo("tok_ok").await), "succeeded");
        assert_eq!(said(&case.undo("tok_ok").await), "succeeded");
        assert_eq!(said(&case.pay("tok_ok").await), "failed undone_before");
        // A request that was on its way all the time.
        assert_eq!(case.gateway.charge(&case.key(), "tok_ok").await["error"]["code"], "voided");
        assert_eq!(case.gateway.charge_count().await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_was_voided_at_the_gateway_fails_as_voided() {
    within(async {
        let case = Case::new().await;
        let void = format!("{}/v1/intents/by-key/{}/void", case.gateway.url(), case.key().replace('/', "%2F"));
        reqwest::Client::builder().no_proxy().build().unwrap().post(void).send().await.unwrap();
        assert_eq!(said(&case.pay("tok_ok").await), "failed voided");
        assert_eq!(case.status().await, "voided");
        assert!(case.published().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_charge_that_was_made_cannot_be_undone() {
    within(async {
        let known = Case::new().await;
        known.pay("tok_ok").await;
        assert_eq!(said(&known.undo("tok_ok").await), "failed already_captured");

        let lost = Case::new().await;
        assert_eq!(said(&lost.pay("tok_lost").await), "unknown gateway_unclear");
        assert_eq!(said(&lost.undo("tok_lost").await), "failed already_captured");
        assert_eq!(lost.status().await, "captured");
        let probed = lost.probe("tok_lost").await;
        assert_eq!(output(&probed)["charge_id"], lost.gateway.ledger().await["charges"][0]["charge_id"]);
        for case in [known, lost] {
            assert_eq!(case.published_names().await, [SUCCEEDED]);
            assert_eq!(case.gateway.charge_count().await, 1);
        }
    })
    .await;
}
