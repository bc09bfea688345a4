//! The view of the catalog's events: twice, in any order, and what it decides.

use amends_schemas::ids::EventId;
use amends_sdk::testing::event;
use serde_json::json;

use crate::scene::{Person, availability, ended, published, snapshot, start, tell, within};

#[test]
fn what_these_tests_tell_is_what_the_catalog_tells() {
    let schema = amends_schemas::library::event_schema("events.EventPublished.v1").expect("it ships");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for price in [Some("120"), None] {
        let told = snapshot(EventId::generate(), 10, price);
        assert!(validator.is_valid(&told), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_may_come_twice_and_in_any_order() {
    within(async {
        let harness = start().await;
        for order in [[2, 3, 4], [4, 3, 2], [3, 4, 2], [4, 2, 3]] {
            let event_id = EventId::generate();
            for sequence in order {
                let name = if sequence == 2 { "EventPublished" } else { "EventUpdated" };
                let data = snapshot(event_id, u32::try_from(sequence).expect("small") * 10, None);
                let told = event(&format!("events.{name}.v1"), event_id.to_string(), sequence, data);
                harness.deliver(told.clone()).await.expect("taken in");
                harness.deliver(told).await.expect("taken in before");
            }
            assert_eq!(availability(&harness, event_id).await, [40, 0, 0, 0], "{order:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_survive_news_of_the_event() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 2, None).await;
        for n in 0..3 {
            Person::new(event_id, &format!("person-{n}@example.org")).reserve(&harness).await;
        }
        tell(&harness, "EventUpdated", 5, snapshot(event_id, 1, None)).await;
        assert_eq!(availability(&harness, event_id).await, [1, 2, 0, 1], "nobody loses a seat");
        tell(&harness, "EventUpdated", 6, snapshot(event_id, 20, None)).await;
        let newcomer = Person::new(event_id, "newcomer@example.org");
        assert_eq!(ended(&newcomer.reserve(&harness).await), "waitlisted", "the queue goes first");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_open_event_admits() {
    within(async {
        let harness = start().await;
        for (name, status, starts_at) in [
            ("EventClosed", "closed", "2090-05-03T09:00:00Z"),
            ("EventCancelled", "cancelled", "2090-05-03T09:00:00Z"),
            ("EventUpdated", "ended", "2090-05-03T09:00:00Z"),
            ("EventUpdated", "published", "2020-05-03T09:00:00Z"),
        ] {
            let event_id = published(&harness, 10, None).await;
            let mut data = snapshot(event_id, 10, None);
            data["status"] = json!(status);
            data["starts_at"] = json!(starts_at);
            tell(&harness, name, 3, data).await;
            let person = Person::new(event_id, "ada@example.org");
            assert_eq!(ended(&person.reserve(&harness).await), "failed event_not_open", "{status} {starts_at}");
            let view = person.view(&harness).await;
            assert_eq!((&view["status"], &view["error"]["code"]), (&json!("rejected"), &json!("event_not_open")));
            assert_eq!(availability(&harness, event_id).await, [10, 0, 0, 0]);
        }
    })
    .await;
}
