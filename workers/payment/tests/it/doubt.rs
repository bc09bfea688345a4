//! When the gateway's answer is lost, late, an error, or none at all.

use std::time::Duration;

use crate::support::{Case, Gateway, output, said, within};

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_probe_finds_the_charge() {
    within(async {
        let case = Case::new().await;
        assert_eq!(said(&case.pay("tok_lost").await), "unknown gateway_unclear");
        assert_eq!(case.status().await, "processing");
        assert_eq!(said(&case.pay("tok_lost").await), "unknown gateway_unclear");
        let probed = case.probe("tok_lost").await;
        assert_eq!(output(&probed)["charge_id"], case.gateway.ledger().await["charges"][0]["charge_id"]);
        assert_eq!(case.status().await, "captured");
        assert_eq!(case.pay("tok_lost").await, probed, "the inbox took it for the do");
        assert_eq!(case.gateway.charge_count().await, 1);
        assert_eq!(case.published_names().await, ["payment.PaymentSucceeded.v1"]);
    })
    .await;
}

#[tokio::test]
async fn a_slow_answer_is_unknown_and_the_probe_finds_the_charge() {
    within(async {
        let case = Case::new().await;
        assert_eq!(said(&case.pay("tok_slow").await), "unknown gateway_unclear");
        assert_eq!(said(&case.probe("tok_slow").await), "succeeded");
        assert_eq!(case.gateway.charge_count().await, 1);
    })
    .await;
}

#[tokio::test]
async fn errors_are_unknown_until_the_gateway_works() {
    within(async {
        let case = Case::new().await;
        for _ in 0..2 {
            assert_eq!(said(&case.pay("tok_flaky").await), "unknown gateway_unclear");
            assert_eq!(said(&case.probe("tok_flaky").await), "not_happened");
        }
        assert_eq!(said(&case.pay("tok_flaky").await), "succeeded");
        assert_eq!(case.gateway.charge_count().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_down_is_tried_again_as_long_as_nothing_was_sent() {
    within(async {
        let mut case = Case::new().await;
        case.gateway.stop().await;
        for _ in 0..2 {
            assert_eq!(said(&case.pay("tok_ok").await), "retry gateway_unreachable");
        }
        assert_eq!(said(&case.probe("tok_ok").await), "unknown gateway_unreachable");
        assert_eq!(said(&case.undo("tok_ok").await), "retry gateway_unreachable");
        case.gateway.resume().await;
        assert_eq!(said(&case.pay("tok_ok").await), "succeeded");
        assert_eq!(case.gateway.charge_count().await, 1);
    })
    .await;
}

/// Saying "it did not happen" here would release the seat of somebody who has paid.
#[tokio::test]
async fn a_gateway_that_went_down_after_a_call_was_sent_leaves_it_unknown() {
    within(async {
        let mut case = Case::new().await;
        assert_eq!(said(&case.pay("tok_lost").await), "unknown gateway_unclear");
        case.gateway.stop().await;
        assert_eq!(said(&case.pay("tok_lost").await), "unknown gateway_unreachable");
        case.gateway.resume().await;
        assert_eq!(said(&case.probe("tok_lost").await), "succeeded");
        assert_eq!(case.gateway.charge_count().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_pending_payment_is_unknown_until_the_gateway_has_decided() {
    within(async {
        for (token, end) in [("tok_webhook", "succeeded"), ("tok_webhook_declined", "failed card_declined")] {
            let case = Case::with(Gateway::start_with(Duration::from_secs(4)).await).await;
            assert_eq!(said(&case.pay(token).await), "unknown payment_pending");
            assert_eq!(case.status().await, "pending");
            assert_eq!(said(&case.undo(token).await), "retry payment_processing");
            let mut probed = case.probe(token).await;
            while said(&probed) == "unknown payment_pending" {
                tokio::time::sleep(Duration::from_millis(20)).await;
                probed = case.probe(token).await;
            }
            assert_eq!(said(&probed), end);
            assert_eq!(case.gateway.charge_count().await, usize::from(end == "succeeded"));
        }
    })
    .await;
}

/// The worker dies after the gateway has charged and before its own commit: what is left is what the gateway and the first,
/// small commit know.
#[tokio::test]
async fn a_probe_finds_a_charge_that_is_on_no_record_of_ours() {
    within(async {
        let case = Case::new().await;
        assert_eq!(said(&case.probe("tok_ok").await), "not_happened");
        case.gateway.charge(&case.key(), "tok_ok").await;
        assert_eq!(said(&case.probe("tok_ok").await), "succeeded");
        assert_eq!(case.status().await, "captured");
    })
    .await;
}
