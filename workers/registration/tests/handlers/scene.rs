//! What the tests share: a context, events told to it, people, and a deadline for all of it.

use std::future::Future;
use std::time::Duration;

use amends_registration::queries::{Availability, Get, List};
use amends_registration::steps::{Cancel, Confirm, Reserve};
use amends_registration::{Settings, context};
use amends_schemas::command::{CompensationReason, Operation, StepResult};
use amends_schemas::ids::{EventId, RegistrationId, SagaId};
use amends_sdk::testing::{Harness, command, event};
use serde_json::{Value, json};

/// No test here takes longer, on however busy a machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs a test within the deadline.
pub async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, test).await.expect("the test takes too long")
}

/// A context with the default settings.
pub async fn start() -> Harness {
    Harness::new(context(Settings::default())).await
}

/// One person's registration and the saga that carries it.
#[derive(Debug, Clone)]
pub struct Person {
    pub registration_id: RegistrationId,
    pub saga_id: SagaId,
    pub event_id: EventId,
    pub email: String,
}

impl Person {
    pub fn new(event_id: EventId, email: &str) -> Self {
        let registration_id = RegistrationId::generate();
        Self { registration_id, saga_id: registration_id.saga(), event_id, email: email.to_owned() }
    }

    pub fn input(&self) -> Value {
        json!({
            "registration_id": self.registration_id,
            "event_id": self.event_id,
            "attendee": { "name": "Ada Lovelace", "email": self.email },
        })
    }

    pub async fn reserve(&self, harness: &Harness) -> StepResult {
        harness.execute::<Reserve>(self.saga_id, self.input()).await
    }

    pub async fn release(&self, harness: &Harness, reason: CompensationReason) -> StepResult {
        let mut undo = command::<Reserve>(Operation::Undo, self.saga_id, self.input());
        undo.reason = Some(reason);
        harness.command(undo).await
    }

    pub async fn confirm(&self, harness: &Harness) -> StepResult {
        let input = json!({ "registration_id": self.registration_id });
        harness.execute::<Confirm>(self.saga_id, input).await
    }

    pub async fn cancel(&self, harness: &Harness, by: SagaId, requested_at: &str) -> StepResult {
        let input = json!({ "registration_id": self.registration_id, "requested_at": requested_at });
        harness.execute::<Cancel>(by, input).await
    }

    pub async fn view(&self, harness: &Harness) -> Value {
        harness.ask::<Get>(json!({ "registration_id": self.registration_id })).await.expect("it is known")
    }

    /// What `GET` says of it, in short: `confirmed seat 3`, `waitlisted at 2`, `rejected`.
    pub async fn short(&self, harness: &Harness) -> String {
        let view = self.view(harness).await;
        let status = view["status"].as_str().expect("a status");
        match (view["seat"].as_u64(), view["position"].as_u64()) {
            (Some(seat), None) => format!("{status} seat {seat}"),
            (None, Some(position)) => format!("{status} at {position}"),
            (None, None) => status.to_owned(),
            (Some(_), Some(_)) => panic!("a seat and a position: {view}"),
        }
    }
}

/// A published event, as the catalog tells it.
pub fn snapshot(event_id: EventId, capacity: u32, price: Option<&str>) -> Value {
    json!({
        "event_id": event_id,
        "title": "RustFest",
        "starts_at": "2090-05-03T09:00:00Z",
        "ends_at": "2090-05-03T17:00:00Z",
        "timezone": "Europe/Paris",
        "capacity": capacity,
        "price": price.map(|amount| json!({ "amount": amount, "currency": "EUR" })),
        "tax_rate": "0.20",
        "cancellation": { "policy": "full" },
        "status": "published",
    })
}

/// Tells the context of an event.
pub async fn tell(harness: &Harness, name: &str, sequence: u64, data: Value) {
    let subject = data["event_id"].as_str().expect("an id").to_owned();
    harness.deliver(event(&format!("events.{name}.v1"), subject, sequence, data)).await.expect("it is taken in");
}

/// A published event that the context knows.
pub async fn published(harness: &Harness, capacity: u32, price: Option<&str>) -> EventId {
    let event_id = EventId::generate();
    tell(harness, "EventPublished", 2, snapshot(event_id, capacity, price)).await;
    event_id
}

/// Capacity, taken, confirmed, waiting.
pub async fn availability(harness: &Harness, event_id: EventId) -> [u64; 4] {
    let answer = harness.ask::<Availability>(json!({ "event_id": event_id })).await.expect("it is known");
    ["capacity", "taken", "confirmed", "waiting"].map(|name| answer[name].as_u64().expect("a number"))
}

/// All registrations of an event, newest first, page by page.
pub async fn all(harness: &Harness, mut question: Value, limit: usize) -> Vec<Value> {
    question["limit"] = json!(limit);
    let mut items = Vec::new();
    loop {
        let page = harness.ask::<List>(&question).await.expect("a page");
        let found = page["items"].as_array().expect("items");
        assert!(found.len() <= limit);
        items.extend(found.iter().cloned());
        if page["next_cursor"].is_null() {
            return items;
        }
        question["cursor"] = page["next_cursor"].clone();
    }
}

/// Outcome and output of a success.
pub fn succeeded(result: StepResult) -> (String, Value) {
    match result {
        StepResult::Succeeded { outcome, output } => (outcome.unwrap_or_default(), output),
        other => panic!("not a success: {other:?}"),
    }
}

/// How it ended, in short: `paid`, `failed already_registered`, `retry event_not_known`.
pub fn ended(result: &StepResult) -> String {
    match result {
        StepResult::Succeeded { outcome, .. } => outcome.clone().unwrap_or_else(|| "succeeded".to_owned()),
        StepResult::Failed { error } => format!("failed {}", error.code),
        StepResult::Retry { error, .. } => format!("retry {}", error.code),
        StepResult::Unknown { error } => format!("unknown {}", error.code),
        StepResult::NotHappened => "not happened".to_owned(),
    }
}

/// Names of the events published so far.
pub async fn told(harness: &Harness) -> Vec<String> {
    harness.published().await.into_iter().map(|event| event.event_type).collect()
}
