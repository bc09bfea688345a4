//! Cancelling, and what goes back.

use std::sync::Arc;

use amends_schemas::ids::{EventId, SagaId};
use serde_json::{Value, json};

use crate::scene::{Person, availability, ended, published, snapshot, start, succeeded, tell, told, within};

const EARLY: &str = "2090-05-01T09:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn refunds_follow_the_terms_frozen_when_the_seat_was_reserved() {
    within(async {
        let harness = start().await;
        let euro = |amount: &str| json!({ "amount": amount, "currency": "EUR" });
        let late = "2090-05-02T09:00:01Z";
        let cases: [(Option<&str>, Value, &str, &str, Value); 7] = [
            (Some("120"), json!({ "policy": "full" }), EARLY, "refund", euro("120.00")),
            (Some("120"), json!({ "policy": "fee", "fee": euro("20") }), EARLY, "refund", euro("100.00")),
            (Some("120"), json!({ "policy": "fee", "fee": euro("200") }), EARLY, "no_refund", Value::Null),
            (Some("120"), json!({ "policy": "deadline", "deadline_hours": 24 }), EARLY, "refund", euro("120.00")),
            (Some("120"), json!({ "policy": "deadline", "deadline_hours": 24 }), late, "no_refund", Value::Null),
            (Some("0"), json!({ "policy": "full" }), EARLY, "free", Value::Null),
            (None, json!({ "policy": "full" }), EARLY, "free", Value::Null),
        ];
        for (price, cancellation, requested_at, outcome, refund) in cases {
            let event_id = EventId::generate();
            let mut data = snapshot(event_id, 10, price);
            data["cancellation"] = cancellation.clone();
            tell(&harness, "EventPublished", 2, data).await;
            let person = Person::new(event_id, "ada@example.org");
            person.reserve(&harness).await;
            person.confirm(&harness).await;
            // Terms that change later are not the person's.
            let mut changed = snapshot(event_id, 10, Some("999"));
            changed["cancellation"] = json!({ "policy": "deadline", "deadline_hours": 1_000_000 });
            tell(&harness, "EventUpdated", 3, changed).await;

            let result = person.cancel(&harness, SagaId::generate(), requested_at).await;
            let (found, output) = succeeded(result);
            assert_eq!((found.as_str(), &output["refund"]), (outcome, &refund), "{price:?} {cancellation}");
            assert_eq!(output["attendee"]["email"], json!("ada@example.org"));
            assert_eq!(person.short(&harness).await, "cancelled");
            assert_eq!(availability(&harness, event_id).await, [10, 0, 0, 0]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_the_queue_is_given_up_without_money() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 0, Some("120")).await;
        let people = ["first", "second"].map(|name| Person::new(event_id, &format!("{name}@example.org")));
        for person in &people {
            person.reserve(&harness).await;
        }
        let (outcome, output) = succeeded(people[0].cancel(&harness, SagaId::generate(), EARLY).await);
        assert_eq!((outcome.as_str(), &output["refund"]), ("waitlisted", &Value::Null));
        assert_eq!(people[0].short(&harness).await, "cancelled");
        assert_eq!(people[1].short(&harness).await, "waitlisted at 1");
        assert_eq!(availability(&harness, event_id).await, [0, 0, 0, 1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sagas_that_cancel_at_once_free_one_seat() {
    within(async {
        let harness = Arc::new(start().await);
        let event_id = published(&harness, 10, Some("120")).await;
        let person = Person::new(event_id, "ada@example.org");
        person.reserve(&harness).await;
        person.confirm(&harness).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let saga_id = SagaId::generate();
            // Each asks twice, as after a lost answer.
            for _ in 0..2 {
                let (harness, person) = (Arc::clone(&harness), person.clone());
                tasks.spawn(async move { ended(&person.cancel(&harness, saga_id, EARLY).await) });
            }
        }
        let mut endings = tasks.join_all().await;
        endings.sort();
        assert_eq!(endings, ["failed not_cancellable", "failed not_cancellable", "refund", "refund"]);
        assert_eq!(availability(&harness, event_id).await, [10, 0, 0, 0]);
        let cancelled = "registration.RegistrationCancelled.v1";
        assert_eq!(told(&harness).await.iter().filter(|name| *name == cancelled).count(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_settled_waits_and_what_is_over_is_refused() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 10, Some("120")).await;
        let person = Person::new(event_id, "ada@example.org");
        let by = SagaId::generate();
        assert_eq!(ended(&person.cancel(&harness, SagaId::generate(), EARLY).await), "failed registration_not_found");
        person.reserve(&harness).await;
        assert_eq!(ended(&person.cancel(&harness, by, EARLY).await), "retry not_settled");
        person.confirm(&harness).await;
        assert_eq!(ended(&person.cancel(&harness, by, EARLY).await), "refund");

        let released = Person::new(event_id, "bob@example.org");
        released.reserve(&harness).await;
        released.release(&harness, amends_schemas::command::CompensationReason::Failed).await;
        assert_eq!(ended(&released.cancel(&harness, SagaId::generate(), EARLY).await), "failed not_cancellable");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_cancelled_may_register_again() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 1, None).await;
        let person = Person::new(event_id, "ada@example.org");
        person.reserve(&harness).await;
        person.confirm(&harness).await;
        person.cancel(&harness, SagaId::generate(), EARLY).await;
        let again = Person::new(event_id, "ada@example.org");
        assert_eq!(ended(&again.reserve(&harness).await), "free");
        assert_eq!(again.short(&harness).await, "pending seat 1");
    })
    .await;
}
