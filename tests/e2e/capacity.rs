//! Seats are never oversold, lines have no gaps, keys make one.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_test_support::Client;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{SAGA_DEADLINE, platform};

#[tokio::test]
async fn a_hundred_people_at_once_for_ten_seats() {
    let platform = platform().await;
    let event_id = platform.client.published_event(10, None).await;
    let mut people = JoinSet::new();
    for person in 0..100 {
        let (client, event_id) = (platform.client.clone(), event_id.clone());
        people.spawn(async move {
            let accepted = client.register(&event_id, person, None).await;
            client.saga_in(&accepted.text("saga_id"), &["completed"], Duration::from_secs(180)).await;
            client.get(&format!("/v1/registrations/{}", accepted.text("registration_id"))).await.body
        });
    }
    let (mut seats, mut positions) = (BTreeSet::new(), BTreeSet::new());
    for registration in people.join_all().await {
        match registration["status"].as_str() {
            Some("confirmed") => {
                assert!(seats.insert(registration["seat"].as_u64().expect("a seat")), "{registration}")
            }
            Some("waitlisted") => {
                assert!(positions.insert(registration["position"].as_u64().expect("a position")), "{registration}");
            }
            _ => panic!("neither confirmed nor waiting: {registration}"),
        }
    }
    assert_eq!(seats, (1..=10).collect());
    assert_eq!(positions, (1..=90).collect());
}

#[tokio::test]
async fn one_key_twenty_times_at_once_makes_one_registration_and_one_charge() {
    let platform = platform().await;
    let event_id = platform.client.published_event(5, Some("10.00")).await;
    let body = Client::registration_body(&event_id, 1, Some("tok_ok"));
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let (client, body) = (platform.client.clone(), body.clone());
        calls.spawn(async move { client.post_surely("/v1/registrations", "the-same-key", &body, SAGA_DEADLINE).await });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
    let ids: BTreeSet<(String, String)> =
        answers.iter().map(|answer| (answer.text("registration_id"), answer.text("saga_id"))).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let (_, saga_id) = ids.into_iter().next().expect("one");
    platform.client.saga_in(&saga_id, &["completed"], SAGA_DEADLINE).await;
    assert_eq!(platform.ledger().await["charges"].as_array().expect("charges").len(), 1);

    let mut other = body;
    other["attendee"]["name"] = json!("Somebody Else");
    let refused = platform.client.post_surely("/v1/registrations", "the-same-key", &other, SAGA_DEADLINE).await;
    assert_eq!(refused.status, 409, "{refused:?}");
}
