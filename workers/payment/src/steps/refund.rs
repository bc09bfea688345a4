//! `payment.refund@1`: give back once per key, never more than was captured.

use std::sync::Arc;
use std::time::Duration;

use amends_schemas::ids::{PaymentId, RegistrationId};
use amends_schemas::money::Money;
use amends_sdk::{Failure, Probe, Step, StepContext, Success};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{call_timeout, unclear};
use crate::domain::{GatewayRefund, PaymentIntent, RefundError, RefundProgress, Status};
use crate::gateway::{GatewayError, PaymentGateway, RefundAnswer, RefundRequest};
use crate::{events, repository};

/// Serves `payment.refund@1`.
#[derive(Debug)]
pub struct Refund {
    gateway: Arc<dyn PaymentGateway>,
    call_timeout: Duration,
}

/// What is to be given back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefundInput {
    /// For what it was paid.
    pub registration_id: RegistrationId,
    /// How much.
    pub amount: Money,
    /// Why, in the requester's words; not used here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was given back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefundOutput {
    /// The gateway's id.
    pub refund_id: String,
    /// The intent.
    pub payment_id: PaymentId,
    /// How much.
    pub amount: Money,
    /// When, by the gateway's clock.
    pub refunded_at: DateTime<Utc>,
}

impl Refund {
    /// With its gateway, and how long one call to it may take.
    pub fn new(gateway: Arc<dyn PaymentGateway>, call_timeout: Duration) -> Self {
        Self { gateway, call_timeout }
    }
}

impl Step for Refund {
    const CONTRACT: &'static str = "payment.refund@1";

    type Input = RefundInput;
    type Output = RefundOutput;

    fn serial_key(&self, input: &RefundInput) -> Option<String> {
        Some(input.registration_id.to_string())
    }

    async fn execute(&self, context: &mut StepContext, input: RefundInput) -> Result<Success<RefundOutput>, Failure> {
        let (intent, progress) = reserve(context, &input).await?;
        let reserved_now = match progress {
            RefundProgress::Done(done) => return Ok(success(&intent, &done)),
            RefundProgress::Reserved => true,
            RefundProgress::ReservedBefore => false,
        };
        let charge = intent.charges.first().ok_or_else(|| Failure::bug("a captured intent without a charge"))?;
        let request =
            RefundRequest { key: context.key.clone(), charge_id: charge.charge_id.clone(), amount: input.amount };
        match self.gateway.refund(&request, call_timeout(context, self.call_timeout)).await {
            Ok(RefundAnswer::Refunded(done)) => record(context, intent.payment_id, done).await,
            Ok(RefundAnswer::ExceedsCaptured) => {
                refuse(context, intent.payment_id).await?;
                Err(Failure::failed(
                    "refund_exceeds_captured",
                    "The gateway says that less than this is left to refund.",
                ))
            }
            Ok(RefundAnswer::ChargeNotFound) => {
                refuse(context, intent.payment_id).await?;
                Err(Failure::failed("payment_not_found", "The gateway does not know the charge."))
            }
            Err(GatewayError::Unreachable(_)) if reserved_now => {
                release(context, intent.payment_id).await?;
                Err(Failure::retry("gateway_unreachable", "The payment gateway cannot be reached; nothing was sent."))
            }
            Err(error) => Err(unclear(&error)),
        }
    }

    async fn probe(&self, context: &mut StepContext, input: RefundInput) -> Result<Probe<RefundOutput>, Failure> {
        let found = self.gateway.find_refund(&context.key, call_timeout(context, self.call_timeout)).await;
        match found {
            Ok(None) => Ok(Probe::NotHappened),
            Ok(Some(done)) => {
                let intents = repository::of_registration(&mut context.work, input.registration_id).await?;
                let charged = |intent: &PaymentIntent| intent.charges.iter().any(|c| c.charge_id == done.charge_id);
                let intent = intents.into_iter().find(charged);
                let intent =
                    intent.ok_or_else(|| Failure::bug("the gateway refunded a charge that is not on record"))?;
                record(context, intent.payment_id, done).await.map(Probe::Happened)
            }
            Err(error) => Err(unclear(&error)),
        }
    }
}

/// Reserves the refund on the intent it is to be taken from, in a commit of its own before the gateway is asked.
async fn reserve(context: &StepContext, input: &RefundInput) -> Result<(PaymentIntent, RefundProgress), Failure> {
    let mut transaction = context.work.database().begin().await?;
    let intents = repository::of_registration(&mut transaction, input.registration_id).await?;
    let mut intent = choose(intents, &context.key, input.amount)
        .ok_or_else(|| Failure::failed("payment_not_found", "There is no captured payment for this registration."))?;
    let progress = intent.reserve_refund(&context.key, input.amount, context.work.now()).map_err(refused)?;
    if progress == RefundProgress::Reserved {
        repository::save(&mut transaction, &intent).await?;
        transaction.commit().await?;
    }
    Ok((intent, progress))
}

/// The intent that has this refund already, else one that is captured and has enough left, else any captured one.
fn choose(intents: Vec<PaymentIntent>, key: &str, amount: Money) -> Option<PaymentIntent> {
    let rank = |intent: &PaymentIntent| {
        if intent.refunds.iter().any(|refund| refund.key == key) {
            return 0;
        }
        let rest = intent.refundable().checked_sub(amount);
        if rest.is_ok_and(|rest| rest.is_zero() || rest.is_positive()) { 1 } else { 2 }
    };
    intents.into_iter().filter(|intent| intent.status == Status::Captured).min_by_key(rank)
}

fn refused(error: RefundError) -> Failure {
    match error {
        RefundError::NotPositive(_) => Failure::failed("invalid_amount", error.to_string()),
        RefundError::ExceedsCaptured { .. } => Failure::failed("refund_exceeds_captured", error.to_string()),
        RefundError::KeyReused | RefundError::AmountMismatch { .. } => Failure::bug(error.to_string()),
    }
}

async fn load(context: &mut StepContext, payment_id: PaymentId) -> Result<PaymentIntent, Failure> {
    let intent = repository::load(&mut context.work, payment_id).await?;
    intent.ok_or_else(|| Failure::bug("an intent with a refund is gone"))
}

/// Takes in that the gateway refunded, in the unit of work.
async fn record(
    context: &mut StepContext,
    payment_id: PaymentId,
    done: GatewayRefund,
) -> Result<Success<RefundOutput>, Failure> {
    let mut intent = load(context, payment_id).await?;
    let news = intent.record_refund(&context.key, done.clone(), context.work.now()).map_err(refused)?;
    if news {
        repository::save(&mut context.work, &intent).await?;
        context.work.publish(events::of_refund(&intent, &done));
    }
    Ok(success(&intent, &done))
}

/// Takes in that the gateway refused, in the unit of work.
async fn refuse(context: &mut StepContext, payment_id: PaymentId) -> Result<(), Failure> {
    let mut intent = load(context, payment_id).await?;
    intent.release_refund(&context.key, context.work.now());
    Ok(repository::save(&mut context.work, &intent).await?)
}

/// Gives the reservation back, in a commit of its own: nothing was sent.
async fn release(context: &StepContext, payment_id: PaymentId) -> Result<(), Failure> {
    let mut transaction = context.work.database().begin().await?;
    if let Some(mut intent) = repository::load(&mut transaction, payment_id).await? {
        intent.release_refund(&context.key, context.work.now());
        repository::save(&mut transaction, &intent).await?;
        transaction.commit().await?;
    }
    Ok(())
}

fn success(intent: &PaymentIntent, done: &GatewayRefund) -> Success<RefundOutput> {
    Success::new(RefundOutput {
        refund_id: done.refund_id.clone(),
        payment_id: intent.payment_id,
        amount: done.amount,
        refunded_at: done.at,
    })
}
