//! What the API asks.

use amends_schemas::ids::{PaymentId, RegistrationId};
use amends_schemas::money::Money;
use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, UnitOfWork};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{DeclineCode, PaymentIntent, PaymentMethod, Status};
use crate::repository;

/// The payments of a registration, oldest first.
#[derive(Debug)]
pub struct List;

/// Which.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRequest {
    /// Of this registration.
    pub registration_id: RegistrationId,
}

/// A payment as it reads.
#[derive(Debug, Serialize, Deserialize)]
pub struct PaymentView {
    /// Its id.
    pub payment_id: PaymentId,
    /// What it is for.
    pub registration_id: RegistrationId,
    /// `processing`, `pending`, `captured`, `declined` or `voided`.
    pub status: Status,
    /// What was to be paid.
    pub amount: Money,
    /// What was taken.
    pub captured: Money,
    /// What was given back.
    pub refunded: Money,
    /// The card, as far as it may be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<PaymentMethod>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline: Option<DeclineCode>,
    /// What the gateway charged: nothing, or once.
    pub charges: Vec<ChargeView>,
    /// What the gateway gave back.
    pub refunds: Vec<RefundView>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Money taken.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChargeView {
    /// The gateway's id.
    pub charge_id: String,
    /// How much.
    pub amount: Money,
    /// When, by the gateway's clock.
    pub created_at: DateTime<Utc>,
}

/// Money given back.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefundView {
    /// The gateway's id.
    pub refund_id: String,
    /// How much.
    pub amount: Money,
    /// When, by the gateway's clock.
    pub created_at: DateTime<Utc>,
}

impl From<PaymentIntent> for PaymentView {
    fn from(intent: PaymentIntent) -> Self {
        let (captured, refunded) = (intent.captured(), intent.refunded());
        let charges = intent.charges.into_iter();
        let refunds = intent.refunds.into_iter().filter_map(|refund| refund.done);
        Self {
            payment_id: intent.payment_id,
            registration_id: intent.registration_id,
            status: intent.status,
            amount: intent.amount,
            captured,
            refunded,
            method: intent.method,
            decline: intent.decline,
            charges: charges
                .map(|charge| ChargeView { charge_id: charge.charge_id, amount: charge.amount, created_at: charge.at })
                .collect(),
            refunds: refunds
                .map(|done| RefundView { refund_id: done.refund_id, amount: done.amount, created_at: done.at })
                .collect(),
            created_at: intent.created_at,
            updated_at: intent.updated_at,
        }
    }
}

impl Endpoint for List {
    const NAME: &'static str = "list";

    type Request = ListRequest;
    type Response = Vec<PaymentView>;

    async fn handle(&self, work: &mut UnitOfWork, request: ListRequest) -> Result<Vec<PaymentView>, EndpointError> {
        let intents = repository::of_registration(&mut work.database(), request.registration_id).await?;
        Ok(intents.into_iter().map(PaymentView::from).collect())
    }
}
