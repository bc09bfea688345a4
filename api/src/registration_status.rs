//! How a registration reads: as its context tells it, or, before the context knows it and after it forgot it, as its saga
//! does.

use amends_schemas::command::CompensationReason;
use amends_schemas::ids::RegistrationId;
use amends_schemas::saga::{SagaStatus, SagaView, StepStatus};
use serde_json::{Map, Value, json};

/// What clients read of a registration that its context knows: its answer, with the saga that carries it. A held seat is
/// still being decided.
pub fn of_context(registration_id: RegistrationId, mut answer: Value) -> Value {
    if let Some(members) = answer.as_object_mut() {
        members.insert("registration_id".to_owned(), json!(registration_id));
        members.insert("saga_id".to_owned(), json!(registration_id.saga()));
        if members.get("status").and_then(Value::as_str) == Some("held") {
            members.insert("status".to_owned(), json!("pending"));
        }
    }
    answer
}

/// What clients read of a registration that only its saga knows.
pub fn from_saga(registration_id: RegistrationId, saga: &SagaView) -> Value {
    let status = match (saga.status, saga.reason) {
        (SagaStatus::Compensated, Some(CompensationReason::Cancelled)) => "cancelled",
        (SagaStatus::Compensated, Some(CompensationReason::Failed | CompensationReason::Deadline) | None) => "rejected",
        // An operator has given it up.
        (
            SagaStatus::Terminated,
            Some(CompensationReason::Failed | CompensationReason::Cancelled | CompensationReason::Deadline) | None,
        ) => "rejected",
        (
            SagaStatus::Running | SagaStatus::Compensating | SagaStatus::Completed | SagaStatus::Stuck,
            Some(CompensationReason::Failed | CompensationReason::Cancelled | CompensationReason::Deadline) | None,
        ) => "pending",
    };
    let mut members = Map::new();
    members.insert("registration_id".to_owned(), json!(registration_id));
    members.insert("saga_id".to_owned(), json!(saga.saga_id));
    members.insert("status".to_owned(), json!(status));
    for name in ["event_id", "attendee"] {
        if let Some(value) = saga.input.get(name) {
            members.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(reason) = saga.reason {
        members.insert("reason".to_owned(), json!(reason));
    }
    if status == "rejected"
        && let Some(error) = first_error(saga)
    {
        members.insert("error".to_owned(), error);
    }
    members.insert("created_at".to_owned(), json!(saga.created_at));
    Value::Object(members)
}

/// Whether a rejected registration does not say why.
pub fn needs_error(registration: &Value) -> bool {
    let rejected = registration.get("status").and_then(Value::as_str) == Some("rejected");
    rejected && registration.get("error").is_none_or(Value::is_null)
}

/// Why the saga turned back.
pub fn first_error(saga: &SagaView) -> Option<Value> {
    let failed = saga.steps.iter().find(|step| step.status == StepStatus::Failed);
    failed.and_then(|step| step.error.as_ref()).map(|error| json!(error))
}
