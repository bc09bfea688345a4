//! The handlers on a real database, called as the worker calls them.

use std::future::Future;
use std::time::{Duration, Instant};

use amends_events::operations::{Cancel, Close, Create, EndEvents, Publish, Update};
use amends_events::queries::{Get, List};
use amends_events::{Settings, context};
use amends_schemas::ids::{EventId, RegistrationId};
use amends_sdk::testing::{Harness, event};
use chrono::Utc;
use serde_json::{Value, json};

/// No test here takes longer, on however busy a machine.
const DEADLINE: Duration = Duration::from_secs(120);

async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, test).await.expect("the test takes too long")
}

async fn start() -> Harness {
    Harness::new(context(Settings::default())).await
}

fn body(event_id: EventId) -> Value {
    json!({
        "event_id": event_id,
        "title": "RustFest",
        "starts_at": "2090-05-03T11:00:00+02:00",
        "ends_at": "2090-05-03T17:00:00Z",
        "timezone": "Europe/Paris",
        "capacity": 10,
        "price": { "amount": "120", "currency": "EUR" },
        "tax_rate": 0.2,
    })
}

async fn created(harness: &Harness) -> EventId {
    let event_id = EventId::generate();
    harness.ask::<Create>(body(event_id)).await.expect("created");
    event_id
}

async fn published(harness: &Harness) -> EventId {
    let event_id = created(harness).await;
    harness.ask::<Publish>(json!({ "event_id": event_id })).await.expect("published");
    event_id
}

async fn told(harness: &Harness) -> Vec<(String, u64)> {
    harness.published().await.into_iter().map(|event| (event.event_type, event.sequence)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_again_is_creating_once_and_another_body_is_a_conflict() {
    within(async {
        let harness = start().await;
        let event_id = EventId::generate();
        let first = harness.ask::<Create>(body(event_id)).await.expect("created");
        assert_eq!(first["status"], json!("draft"));
        assert_eq!(first["starts_at"], json!("2090-05-03T09:00:00Z"));
        assert_eq!((&first["price"]["amount"], &first["tax_rate"]), (&json!("120.00"), &json!("0.20")));
        assert_eq!(first["cancellation"], json!({ "policy": "full" }));
        assert_eq!(harness.ask::<Create>(body(event_id)).await.as_ref(), Ok(&first));

        harness.ask::<Publish>(json!({ "event_id": event_id })).await.expect("published");
        let again = harness.ask::<Create>(body(event_id)).await.expect("the same event");
        assert_eq!(again["status"], json!("published"), "answered as it stands");

        let mut other = body(event_id);
        other["capacity"] = json!(11);
        assert_eq!(harness.ask::<Create>(other).await.expect_err("another body").code, "idempotency_conflict");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sound_is_refused_with_every_place_named() {
    within(async {
        let harness = start().await;
        let event_id = EventId::generate();
        let mut bad = body(event_id);
        bad["tax_rate"] = json!("20");
        bad["timezone"] = json!("Europe/Lutetia");
        bad["ends_at"] = json!("2090-05-03T08:00:00Z");
        bad["capacity"] = json!(0);
        let problem = harness.ask::<Create>(bad).await.expect_err("not sound");
        assert_eq!(problem.code, "invalid_event");
        let text = serde_json::to_string(&problem.errors).expect("json");
        for expected in ["/tax_rate", "write 0.20 for 20 %", "/timezone", "Europe/Lutetia", "/ends_at", "/capacity"] {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
        let unknown = harness.ask::<Get>(json!({ "event_id": event_id })).await;
        assert_eq!(unknown.expect_err("nothing was created").code, "event_not_found");
        for (member, value) in [("price", json!(120)), ("capacity", json!(-1)), ("seats", json!(3))] {
            let mut bad = body(event_id);
            bad[member] = value;
            assert_eq!(harness.ask::<Create>(bad).await.expect_err(member).code, "malformed_request", "{member}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transitions_may_be_asked_again_and_are_told_once() {
    within(async {
        let harness = start().await;
        let event_id = created(&harness).await;
        let which = json!({ "event_id": event_id });
        let rename = |title: &str| json!({ "event_id": event_id, "title": title });
        harness.ask::<Update>(rename("A draft is its organiser's own")).await.expect("updated");
        assert!(told(&harness).await.is_empty());
        for _ in 0..2 {
            assert_eq!(harness.ask::<Publish>(&which).await.expect("published")["status"], json!("published"));
        }
        for _ in 0..2 {
            harness.ask::<Update>(rename("RustFest 2090")).await.expect("updated");
        }
        for _ in 0..2 {
            assert_eq!(harness.ask::<Close>(&which).await.expect("closed")["status"], json!("closed"));
        }
        assert_eq!(harness.ask::<Publish>(&which).await.expect_err("closed").code, "illegal_transition");
        for _ in 0..2 {
            assert_eq!(harness.ask::<Cancel>(&which).await.expect("cancelled")["status"], json!("cancelled"));
        }
        let expected = [("EventPublished", 3), ("EventUpdated", 4), ("EventClosed", 5), ("EventCancelled", 6)]
            .map(|(name, sequence)| (format!("events.{name}.v1"), sequence));
        assert_eq!(told(&harness).await, expected);
        for event in harness.published().await {
            let schema = amends_schemas::library::event_schema(&event.event_type).expect("it ships");
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            assert!(validator.is_valid(&event.data), "{}", event.event_type);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_never_falls_below_seats_sold() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness).await;
        let people: Vec<RegistrationId> = (0..4).map(|_| RegistrationId::generate()).collect();
        let hear = async |name: &str, who: RegistrationId, sequence: u64| {
            let data = json!({ "registration_id": who, "event_id": event_id });
            let told = event(&format!("registration.{name}.v1"), who.to_string(), sequence, data);
            harness.deliver(told.clone()).await.expect("heard");
            harness.deliver(told).await.expect("heard before");
        };
        // Three confirmed; a fourth whose cancellation is heard of before its confirmation.
        for who in &people[..3] {
            hear("RegistrationConfirmed", *who, 2).await;
        }
        hear("RegistrationCancelled", people[3], 3).await;
        hear("RegistrationConfirmed", people[3], 2).await;
        let capacity = |capacity: u32| json!({ "event_id": event_id, "capacity": capacity });
        let refused = harness.ask::<Update>(capacity(2)).await.expect_err("three are sold");
        assert_eq!(refused.code, "capacity_below_sold");
        assert_eq!(harness.ask::<Update>(capacity(3)).await.expect("just enough")["seats_sold"], json!(3));
        hear("RegistrationCancelled", people[0], 3).await;
        assert_eq!(harness.ask::<Update>(capacity(2)).await.expect("one is back")["capacity"], json!(2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_takes_away_and_an_absence_leaves() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness).await;
        let update = async |changes: Value| {
            let mut request = changes;
            request["event_id"] = json!(event_id);
            harness.ask::<Update>(request).await
        };
        let kept = update(json!({ "title": "Another" })).await.expect("updated");
        assert_eq!(kept["price"]["amount"], json!("120.00"));
        let franc = json!({ "price": { "amount": "100", "currency": "CHF" } });
        assert_eq!(update(franc).await.expect_err("sold in euros").code, "currency_fixed");
        let freed = update(json!({ "price": null, "tax_rate": null })).await.expect("updated");
        assert_eq!((&freed["price"], &freed["tax_rate"]), (&Value::Null, &Value::Null));
        let past = json!({ "starts_at": "2020-01-01T00:00:00Z" });
        assert_eq!(update(past).await.expect_err("in the past").code, "starts_in_past");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_each_event_once_newest_first() {
    within(async {
        let harness = start().await;
        let mut ids = Vec::new();
        for n in 0..7 {
            let event_id = if n % 2 == 0 { published(&harness).await } else { created(&harness).await };
            ids.push(json!(event_id));
        }
        ids.reverse();
        for limit in [1, 3, 7, 50] {
            let mut found = Vec::new();
            let mut question = json!({ "limit": limit });
            loop {
                let page = harness.ask::<List>(&question).await.expect("a page");
                found.extend(page["items"].as_array().expect("items").iter().map(|item| item["event_id"].clone()));
                if page["next_cursor"].is_null() {
                    break;
                }
                question["cursor"] = page["next_cursor"].clone();
            }
            assert_eq!(found, ids, "pages of {limit}");
        }
        let drafts = harness.ask::<List>(json!({ "status": "draft" })).await.expect("a page");
        assert_eq!(drafts["items"].as_array().map(Vec::len), Some(3));
        let cursor = harness.ask::<List>(json!({ "cursor": "nonsense" })).await;
        assert_eq!(cursor.expect_err("no cursor").code, "invalid_cursor");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_ended() {
    within(async {
        let harness = start().await;
        let open = published(&harness).await;
        // Far enough ahead to be published in time on a slow machine, near enough to be waited for.
        let event_id = EventId::generate();
        let mut short = body(event_id);
        short["starts_at"] = json!(Utc::now() + Duration::from_millis(3000));
        short["ends_at"] = json!(Utc::now() + Duration::from_millis(3010));
        harness.ask::<Create>(short).await.expect("created");
        harness.ask::<Publish>(json!({ "event_id": event_id })).await.expect("published");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert_eq!(harness.tick::<EndEvents>().await.ok(), Some(false));
            let event = harness.ask::<Get>(json!({ "event_id": event_id })).await.expect("known");
            if event["status"] == json!("ended") {
                break;
            }
            assert!(Instant::now() < deadline, "not ended: {event}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(told(&harness).await.last(), Some(&("events.EventUpdated.v1".to_owned(), 3)));
        let still = harness.ask::<Get>(json!({ "event_id": open })).await.expect("known");
        assert_eq!(still["status"], json!("published"));
        let refused = harness.ask::<Cancel>(json!({ "event_id": event_id })).await.expect_err("over");
        assert_eq!(refused.code, "illegal_transition");
    })
    .await;
}
