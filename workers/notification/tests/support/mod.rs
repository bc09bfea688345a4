//! What the tests of this crate share.

use std::future::Future;
use std::time::Duration;

use amends_schemas::command::StepResult;
use amends_schemas::ids::SagaId;
use serde_json::{Value, json};
use uuid::Uuid;

/// Far more than any of these takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

pub async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, test).await.expect("the test ends within its deadline")
}

pub fn saga(n: u128) -> SagaId {
    SagaId(Uuid::from_u128(1_000 + n))
}

pub fn registration(n: u128) -> Uuid {
    Uuid::from_u128(2_000 + n)
}

pub fn input(n: u128, template: &str, locale: &str) -> Value {
    let mut input = json!({
        "registration_id": registration(n),
        "template": template,
        "recipient": {"name": "Zoé Durand", "email": "zoe@example.org", "locale": locale},
        "event": {
            "title": "Rust & Café, jour 1",
            "starts_at": "2026-05-14T07:00:00Z",
            "ends_at": "2026-05-14T15:30:00Z",
            "timezone": "Europe/Paris",
        },
    });
    let more = match template {
        "registration-confirmed" => json!({
            "seat": 7, "amount": {"amount": "120.00", "currency": "EUR"}, "invoice_number": "INV-2026-000001",
        }),
        "registration-waitlisted" => json!({"position": 3}),
        "registration-cancelled" => json!({
            "refund": {"amount": "120.00", "currency": "EUR"}, "credit_note_number": "CN-2026-000001",
        }),
        other => panic!("no facts for {other}"),
    };
    let members = input.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    input
}

pub fn output(result: StepResult) -> Value {
    match result {
        StepResult::Succeeded { output, .. } => output,
        other => panic!("expected success, got {other:?}"),
    }
}

/// How a step ended, with its code.
pub fn ending(result: StepResult) -> (&'static str, String) {
    match result {
        StepResult::Succeeded { .. } => ("succeeded", String::new()),
        StepResult::Failed { error } => ("failed", error.code),
        StepResult::Retry { error, .. } => ("retry", error.code),
        StepResult::Unknown { error } => ("unknown", error.code),
        StepResult::NotHappened => ("not happened", String::new()),
    }
}
