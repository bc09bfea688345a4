//! Giving back: once per key, never more than was captured.

use amends_schemas::ids::SagaId;
use futures::future::join_all;

use crate::support::{Case, output, said, within};

const REFUNDED: &str = "payment.PaymentRefunded.v1";

async fn paid() -> Case {
    let case = Case::new().await;
    assert_eq!(said(&case.pay("tok_ok").await), "succeeded");
    case
}

#[tokio::test]
async fn a_refund_happens_once_and_is_told_once() {
    within(async {
        let case = paid().await;
        let saga_id = SagaId::generate();
        let results = join_all((0..10).map(|_| case.refund(saga_id, "50.00"))).await;
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        assert_eq!(output(&results[0])["amount"]["amount"], "50.00");
        let ledger = case.gateway.ledger().await;
        assert_eq!(ledger["refunds"].as_array().unwrap().len(), 1);
        assert_eq!(ledger["refunds"][0]["refund_id"], output(&results[0])["refund_id"]);
        assert_eq!(ledger["charges"][0]["refunded"]["amount"], "50.00");
        let payment = &case.payments().await[0];
        assert_eq!((&payment["status"], &payment["refunded"]["amount"]), (&"captured".into(), &"50.00".into()));
        assert_eq!(payment["refunds"][0]["refund_id"], output(&results[0])["refund_id"]);
        let published = case.published().await;
        assert_eq!((published.len(), published[1].0.as_str()), (2, REFUNDED));
        assert_eq!(published[1].1.data["refunded"]["amount"], "50.00");
        assert!(published[1].1.sequence > published[0].1.sequence);
    })
    .await;
}

#[tokio::test]
async fn refunds_together_never_exceed_what_was_captured() {
    within(async {
        let case = paid().await;
        assert_eq!(said(&case.refund(SagaId::generate(), "120.01").await), "failed refund_exceeds_captured");
        let asked = (0..8).map(|_| case.refund(SagaId::generate(), "50.00"));
        let ends: Vec<String> = join_all(asked).await.iter().map(said).collect();
        assert_eq!(ends.iter().filter(|end| *end == "succeeded").count(), 2, "{ends:?}");
        assert_eq!(ends.iter().filter(|end| *end == "failed refund_exceeds_captured").count(), 6, "{ends:?}");
        assert_eq!(said(&case.refund(SagaId::generate(), "0").await), "failed invalid_amount");
        assert_eq!(said(&case.refund(SagaId::generate(), "20").await), "succeeded");
        assert_eq!(case.payments().await[0]["refunded"]["amount"], "120.00");
        assert_eq!(case.gateway.ledger().await["charges"][0]["refunded"]["amount"], "120.00");
    })
    .await;
}

#[tokio::test]
async fn what_was_not_paid_is_not_refunded() {
    within(async {
        let case = Case::new().await;
        assert_eq!(said(&case.refund(SagaId::generate(), "1").await), "failed payment_not_found");
        case.pay("tok_declined").await;
        assert_eq!(said(&case.refund(SagaId::generate(), "1").await), "failed payment_not_found");
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_down_delays_a_refund_and_reserves_nothing() {
    within(async {
        let mut case = paid().await;
        let (first, second) = (SagaId::generate(), SagaId::generate());
        case.gateway.stop().await;
        assert_eq!(said(&case.refund(first, "120").await), "retry gateway_unreachable");
        assert_eq!(said(&case.probe_refund(first, "120").await), "unknown gateway_unreachable");
        case.gateway.resume().await;
        assert_eq!(said(&case.refund(second, "120").await), "succeeded");
        assert_eq!(said(&case.refund(first, "120").await), "failed refund_exceeds_captured");
    })
    .await;
}

#[tokio::test]
async fn a_probe_finds_a_refund_that_is_on_no_record_of_ours() {
    within(async {
        let case = paid().await;
        let saga_id = SagaId::generate();
        assert_eq!(said(&case.probe_refund(saga_id, "30").await), "not_happened");
        let charge_id = case.gateway.ledger().await["charges"][0]["charge_id"].clone();
        let body = serde_json::json!({"charge_id": charge_id, "amount": {"amount": "30", "currency": "EUR"}});
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/v1/refunds", case.gateway.url()));
        let request = request.header("idempotency-key", format!("{saga_id}/refund/do"));
        assert!(request.json(&body).send().await.unwrap().status().is_success());

        let probed = case.probe_refund(saga_id, "30").await;
        assert_eq!(case.refund(saga_id, "30").await, probed);
        assert_eq!(case.payments().await[0]["refunded"]["amount"], "30.00");
        assert_eq!(case.published_names().await.last().map(String::as_str), Some(REFUNDED));
    })
    .await;
}

/// A refund whose answer was lost keeps its money reserved, and is never taken for one that did not happen.
#[tokio::test]
async fn a_refund_in_doubt_holds_its_money_until_it_is_settled() {
    within(async {
        let mut case = paid().await;
        let saga_id = SagaId::generate();
        case.gateway.stop().await;
        let hole = case.gateway.black_hole().await;
        assert_eq!(said(&case.refund(saga_id, "100").await), "unknown gateway_unclear");
        assert_eq!(said(&case.refund(SagaId::generate(), "20.01").await), "failed refund_exceeds_captured");
        hole.close().await;
        assert_eq!(said(&case.refund(saga_id, "100").await), "unknown gateway_unreachable");
        case.gateway.resume().await;
        assert_eq!(said(&case.probe_refund(saga_id, "100").await), "not_happened");
        assert_eq!(said(&case.refund(saga_id, "100").await), "succeeded");
        assert_eq!(case.gateway.ledger().await["refunds"].as_array().unwrap().len(), 1);
    })
    .await;
}
