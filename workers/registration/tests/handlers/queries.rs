//! Get, list, availability.

use amends_registration::queries::{Availability, Get, List};
use amends_schemas::ids::{EventId, RegistrationId};
use serde_json::json;

use crate::scene::{Person, all, published, start, within};

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_said_so() {
    within(async {
        let harness = start().await;
        let unknown = harness.ask::<Get>(json!({ "registration_id": RegistrationId::generate() })).await;
        assert_eq!(unknown.expect_err("unknown").code, "registration_not_found");
        let unknown = harness.ask::<Availability>(json!({ "event_id": EventId::generate() })).await;
        assert_eq!(unknown.expect_err("unknown").code, "event_not_found");
        let cursor = harness.ask::<List>(json!({ "cursor": "nonsense" })).await;
        assert_eq!(cursor.expect_err("no cursor").code, "invalid_cursor");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_each_registration_once_newest_first() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 5, None).await;
        let other = published(&harness, 5, None).await;
        let mut ids = Vec::new();
        for n in 0..12 {
            let person = Person::new(event_id, &format!("person-{n}@example.org"));
            person.reserve(&harness).await;
            ids.push(json!(person.registration_id));
            Person::new(other, &format!("person-{n}@example.org")).reserve(&harness).await;
        }
        ids.reverse();
        let listed = |items: Vec<serde_json::Value>| -> Vec<serde_json::Value> {
            items.into_iter().map(|item| item["registration_id"].clone()).collect()
        };
        for limit in [1, 5, 12, 200] {
            let found = all(&harness, json!({ "event_id": event_id }), limit).await;
            assert_eq!(listed(found), ids, "pages of {limit}");
        }
        let pending = all(&harness, json!({ "event_id": event_id, "status": "pending" }), 2).await;
        assert_eq!(listed(pending), ids[7..]);
        assert!(all(&harness, json!({ "status": "offered" }), 10).await.is_empty());
        assert_eq!(all(&harness, json!({}), 7).await.len(), 24);
    })
    .await;
}
