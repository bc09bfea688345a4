//! What is refused at the door, with a stable code, and nothing half started.

use serde_json::{Value, json};

use crate::platform;

#[tokio::test]
async fn bad_requests_get_a_problem_with_a_code() {
    let platform = platform().await;
    let client = &platform.client;
    let event_id = client.published_event(5, None).await;
    let draft = client
        .post(
            "/v1/events",
            &json!({"title": "Draft", "starts_at": "2031-06-01T08:00:00Z", "ends_at": "2031-06-01T16:00:00Z",
                    "timezone": "Europe/Paris", "capacity": 5, "price": null}),
        )
        .await
        .text("event_id");
    let person = json!({"name": "Ada", "email": "ada@example.org"});
    let nobody = uuid::Uuid::nil();
    let cases: Vec<(&str, Value, u16)> = vec![
        ("/v1/registrations", json!({"event_id": nobody, "attendee": person}), 404),
        ("/v1/registrations", json!({"event_id": draft, "attendee": person}), 409),
        ("/v1/registrations", json!({"event_id": event_id, "attendee": {"name": "Ada", "email": "no address"}}), 422),
        ("/v1/registrations", json!({"event_id": event_id}), 422),
        ("/v1/sagas", json!({"definition": "no-such-saga", "input": {}}), 404),
        ("/v1/sagas", json!({"definition": "registration", "input": {"registration_id": 7}}), 422),
        (
            "/v1/events",
            json!({"title": "Backwards", "starts_at": "2031-06-02T08:00:00Z", "ends_at": "2031-06-01T08:00:00Z",
                              "timezone": "Europe/Paris", "capacity": 5, "price": null}),
            422,
        ),
        (
            "/v1/events",
            json!({"title": "Nowhere", "starts_at": "2031-06-01T08:00:00Z", "ends_at": "2031-06-01T09:00:00Z",
                              "timezone": "Mars/Olympus", "capacity": 5, "price": null}),
            422,
        ),
    ];
    for (path, body, status) in cases {
        let answer = client.post(path, &body).await;
        // Whether a body is unreadable (400) or breaks a rule (422) is the same to the caller: it must change.
        let expected = if status == 422 { vec![400, 422] } else { vec![status] };
        assert!(expected.contains(&answer.status), "{path} {body}: {answer:?}");
        assert!(answer.body["code"].is_string() && answer.body["detail"].is_string(), "{path} {body}: {answer:?}");
    }
    let too_large = json!({"definition": "registration", "input": {"text": "x".repeat(2_000_000)}});
    assert_eq!(client.post("/v1/sagas", &too_large).await.status, 413);
    assert_eq!(client.get(&format!("/v1/sagas/{nobody}")).await.status, 404);
    assert_eq!(client.get(&format!("/v1/registrations/{nobody}")).await.status, 404);
    assert_eq!(client.get("/v1/no-such-thing").await.status, 404);
    assert!(client.items("/v1/sagas").await.is_empty(), "nothing half started");
}

#[tokio::test]
async fn what_is_served_is_described() {
    let platform = platform().await;
    let client = &platform.client;
    let document = client.get("/openapi.json").await.body;
    for path in
        ["/v1/events", "/v1/registrations", "/v1/registrations/{registration_id}/cancel", "/v1/sagas", "/v1/invoices"]
    {
        assert!(document["paths"][path].is_object(), "{path} is not described");
    }
    let names: Vec<Value> =
        client.items("/v1/definitions").await.into_iter().map(|mut item| item["name"].take()).collect();
    assert!(names.contains(&json!("registration")) && names.contains(&json!("registration-cancellation")), "{names:?}");
    assert_eq!(client.get("/healthz").await.status, 200);
    assert_eq!(client.get("/readyz").await.status, 200);
    assert_eq!(client.get("/v1/definitions/registration/1").await.status, 200);
}
