//! What this context publishes; it listens to nothing. Schemas: `schemas/events/payment/`.

use amends_schemas::ids::{PaymentId, RegistrationId, SagaId};
use amends_schemas::money::Money;
use amends_sdk::DomainEvent;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::domain::{Change, DeclineCode, GatewayRefund, PaymentIntent};

/// The money was charged.
pub const PAYMENT_SUCCEEDED: &str = "PaymentSucceeded.v1";

/// The gateway refused the charge.
pub const PAYMENT_FAILED: &str = "PaymentFailed.v1";

/// Money was given back.
pub const PAYMENT_REFUNDED: &str = "PaymentRefunded.v1";

#[derive(Serialize)]
struct About {
    payment_id: PaymentId,
    registration_id: RegistrationId,
    saga_id: SagaId,
}

#[derive(Serialize)]
struct Succeeded<'a> {
    #[serde(flatten)]
    about: About,
    amount: Money,
    charge_id: &'a str,
    captured_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Failed {
    #[serde(flatten)]
    about: About,
    amount: Money,
    code: &'static str,
    failed_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Refunded<'a> {
    #[serde(flatten)]
    about: About,
    refund_id: &'a str,
    amount: Money,
    captured: Money,
    refunded: Money,
    refunded_at: DateTime<Utc>,
}

fn event(name: &'static str, intent: &PaymentIntent, data: impl Serialize) -> DomainEvent {
    let data: Value = serde_json::to_value(data).expect("events have string keys and finite numbers only");
    DomainEvent { name, subject: intent.payment_id.to_string(), sequence: intent.version, data }
}

fn about(intent: &PaymentIntent) -> About {
    let PaymentIntent { payment_id, registration_id, saga_id, .. } = *intent;
    About { payment_id, registration_id, saga_id }
}

/// The event of a change just made to `intent`, if it makes one.
pub fn of_change(intent: &PaymentIntent, change: Change) -> Option<DomainEvent> {
    match change {
        Change::Captured => intent.charges.first().map(|charge| {
            let (charge_id, captured_at) = (charge.charge_id.as_str(), charge.at);
            let data = Succeeded { about: about(intent), amount: charge.amount, charge_id, captured_at };
            event(PAYMENT_SUCCEEDED, intent, data)
        }),
        Change::Declined => {
            let code = intent.decline.unwrap_or(DeclineCode::CardDeclined).code();
            let data = Failed { about: about(intent), amount: intent.amount, code, failed_at: intent.updated_at };
            Some(event(PAYMENT_FAILED, intent, data))
        }
        Change::None | Change::Pending | Change::Voided => None,
    }
}

/// The event of a refund just recorded.
pub fn of_refund(intent: &PaymentIntent, done: &GatewayRefund) -> DomainEvent {
    let data = Refunded {
        about: about(intent),
        refund_id: &done.refund_id,
        amount: done.amount,
        captured: intent.captured(),
        refunded: intent.refunded(),
        refunded_at: done.at,
    };
    event(PAYMENT_REFUNDED, intent, data)
}
