//! `payment.capture@1`: charge once, void before, probe when in doubt.

use std::sync::Arc;
use std::time::Duration;

use amends_schemas::ids::{PaymentId, RegistrationId};
use amends_schemas::money::Money;
use amends_sdk::{Failure, Probe, Step, StepContext, Success, Undo};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{call_timeout, settle, unclear};
use crate::domain::{
    Change, DeclineCode, GatewayPayment, GatewayState, IntentError, NewIntent, Payer, PaymentIntent, Status,
};
use crate::gateway::{CaptureRequest, GatewayError, Lookup, PaymentGateway, PaymentToken, VoidAnswer};
use crate::repository;

/// Serves `payment.capture@1`.
#[derive(Debug)]
pub struct Capture {
    gateway: Arc<dyn PaymentGateway>,
    call_timeout: Duration,
}

/// What is to be paid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaptureInput {
    /// What it is for.
    pub registration_id: RegistrationId,
    /// How much.
    pub amount: Money,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_token: Option<PaymentToken>,
    /// Who pays.
    pub payer: PayerInput,
    /// What the payer reads on the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The payer as the contract has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PayerInput {
    /// As given at registration.
    pub name: String,
    /// Where a receipt would go.
    pub email: String,
    /// Not used here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// What was paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptureOutput {
    /// The intent.
    pub payment_id: PaymentId,
    /// How much.
    pub amount: Money,
    /// The gateway's id of the charge.
    pub charge_id: String,
    /// When, by the gateway's clock.
    pub captured_at: DateTime<Utc>,
}

impl Capture {
    /// With its gateway, and how long one call to it may take.
    pub fn new(gateway: Arc<dyn PaymentGateway>, call_timeout: Duration) -> Self {
        Self { gateway, call_timeout }
    }
}

impl Step for Capture {
    const CONTRACT: &'static str = "payment.capture@1";

    /// The gateway is told before anything of ours commits: only the gateway can bar a late charge.
    const UNDO_WITHOUT_DO: bool = true;

    type Input = CaptureInput;
    type Output = CaptureOutput;

    async fn execute(&self, context: &mut StepContext, input: CaptureInput) -> Result<Success<CaptureOutput>, Failure> {
        let Some(token) = input.payment_token.clone() else {
            return Err(Failure::failed(
                "payment_method_required",
                "Paying needs a payment token, and none was given.",
            ));
        };
        let (begun, sent_before) = begin(context, &input).await?;
        if begun.is_final() {
            return conclude(&begun);
        }
        let request = CaptureRequest {
            key: context.key.clone(),
            amount: begun.amount,
            token,
            reference: begun.registration_id.to_string(),
            description: begun.description.clone(),
        };
        match self.gateway.capture(&request, call_timeout(context, self.call_timeout)).await {
            Ok(seen) => record(context, begun, &seen).await,
            Err(GatewayError::Unreachable(_)) if !sent_before => {
                mark_sent(context, begun.payment_id, false).await?;
                Err(Failure::retry("gateway_unreachable", "The payment gateway cannot be reached; nothing was sent."))
            }
            Err(error) => Err(unclear(&error)),
        }
    }

    async fn undo(&self, context: &mut StepContext, _undo: Undo<CaptureInput, CaptureOutput>) -> Result<(), Failure> {
        let known = peek(context).await?;
        if known.as_ref().is_some_and(|intent| intent.status == Status::Captured) {
            return Err(already_captured());
        }
        let answer =
            self.gateway.void(&lookup(context, known.as_ref()), call_timeout(context, self.call_timeout)).await;
        match answer {
            Ok(VoidAnswer::Barred(seen)) => {
                if let Some(mut intent) = reload(context).await? {
                    settle(&mut context.work, &mut intent, &seen).await?;
                }
                Ok(())
            }
            Ok(VoidAnswer::AlreadyCaptured(seen)) => {
                if let Some(mut intent) = reload(context).await? {
                    settle(&mut context.work, &mut intent, &seen).await?;
                }
                Err(already_captured())
            }
            Ok(VoidAnswer::Processing) => {
                Err(Failure::retry("payment_processing", "The gateway is still deciding on the payment."))
            }
            Err(GatewayError::Unreachable(_)) => {
                Err(Failure::retry("gateway_unreachable", "The payment gateway cannot be reached."))
            }
            Err(error) => Err(unclear(&error)),
        }
    }

    async fn probe(&self, context: &mut StepContext, input: CaptureInput) -> Result<Probe<CaptureOutput>, Failure> {
        let known = peek(context).await?;
        if let Some(intent) = known.as_ref().filter(|intent| intent.is_final()) {
            return conclude(intent).map(Probe::Happened);
        }
        let found = self.gateway.find(&lookup(context, known.as_ref()), call_timeout(context, self.call_timeout)).await;
        match found {
            Ok(None) => Ok(Probe::NotHappened),
            Ok(Some(seen)) => {
                let intent = known.map_or_else(|| new_intent(context, &input), Ok)?;
                record(context, intent, &seen).await.map(Probe::Happened)
            }
            Err(error) => Err(unclear(&error)),
        }
    }
}

/// The same intent for the same key, for ever.
fn payment_id(context: &StepContext) -> PaymentId {
    PaymentId::derive(context.saga_id.uuid(), &context.key)
}

fn new_intent(context: &StepContext, input: &CaptureInput) -> Result<PaymentIntent, Failure> {
    let new = NewIntent {
        payment_id: payment_id(context),
        registration_id: input.registration_id,
        saga_id: context.saga_id,
        key: context.key.clone(),
        amount: input.amount,
        payer: Payer { name: input.payer.name.clone(), email: input.payer.email.clone() },
        description: input.description.clone(),
    };
    PaymentIntent::begin(new, context.work.now()).map_err(|error| match error {
        IntentError::NotPositive(_) => Failure::failed("invalid_amount", error.to_string()),
        IntentError::AmountMismatch { .. } | IntentError::SecondCharge { .. } => Failure::bug(error.to_string()),
    })
}

/// Records, in a commit of its own, that the gateway is about to be asked. Answers the intent, and whether it may have been
/// asked before without our knowing the answer.
async fn begin(context: &StepContext, input: &CaptureInput) -> Result<(PaymentIntent, bool), Failure> {
    let mut transaction = context.work.database().begin().await?;
    let mut intent = match repository::load(&mut transaction, payment_id(context)).await? {
        Some(intent) => intent,
        None => new_intent(context, input)?,
    };
    let sent_before = intent.sent;
    if !sent_before && !intent.is_final() {
        intent.sent = true;
        repository::save(&mut transaction, &intent).await?;
        transaction.commit().await?;
    }
    Ok((intent, sent_before))
}

/// Corrects, in a commit of its own, whether the gateway may have been asked.
async fn mark_sent(context: &StepContext, payment_id: PaymentId, sent: bool) -> Result<(), Failure> {
    let mut transaction = context.work.database().begin().await?;
    if let Some(mut intent) = repository::load(&mut transaction, payment_id).await? {
        intent.sent = sent;
        repository::save(&mut transaction, &intent).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// The intent as it is, outside the unit of work: that must not begin before the gateway has answered, or it would not see what
/// has changed meanwhile.
async fn peek(context: &StepContext) -> Result<Option<PaymentIntent>, Failure> {
    Ok(repository::load(&mut context.work.database(), payment_id(context)).await?)
}

/// The intent as it is, within the unit of work.
async fn reload(context: &mut StepContext) -> Result<Option<PaymentIntent>, Failure> {
    let payment_id = payment_id(context);
    Ok(repository::load(&mut context.work, payment_id).await?)
}

/// Takes in the gateway's answer and says what it means for the step. `otherwise` is the intent if none is on record.
async fn record(
    context: &mut StepContext,
    otherwise: PaymentIntent,
    seen: &GatewayPayment,
) -> Result<Success<CaptureOutput>, Failure> {
    if seen.state == GatewayState::Pending {
        // The step will be unknown, and then the unit of work does not commit.
        let mut transaction = context.work.database().begin().await?;
        let mut intent = repository::load(&mut transaction, otherwise.payment_id).await?.unwrap_or(otherwise);
        let change = intent.observe(seen, context.work.now()).map_err(|error| Failure::bug(error.to_string()))?;
        if change != Change::None {
            repository::save(&mut transaction, &intent).await?;
            transaction.commit().await?;
        }
        return conclude(&intent);
    }
    let mut intent = reload(context).await?.unwrap_or(otherwise);
    settle(&mut context.work, &mut intent, seen).await?;
    conclude(&intent)
}

fn lookup(context: &StepContext, known: Option<&PaymentIntent>) -> Lookup {
    Lookup { key: context.key.clone(), gateway_id: known.and_then(|intent| intent.gateway_id.clone()) }
}

/// What the intent's state means for the step. Follows from the intent and not from one report, because a success outweighs
/// whatever is reported late.
fn conclude(intent: &PaymentIntent) -> Result<Success<CaptureOutput>, Failure> {
    match (intent.status, intent.charges.first()) {
        (Status::Captured, Some(charge)) => Ok(Success::new(CaptureOutput {
            payment_id: intent.payment_id,
            amount: charge.amount,
            charge_id: charge.charge_id.clone(),
            captured_at: charge.at,
        })),
        (Status::Captured, None) => Err(Failure::bug("a captured intent without a charge")),
        (Status::Declined, _) => {
            let decline = intent.decline.unwrap_or(DeclineCode::CardDeclined);
            Err(Failure::failed(decline.code(), decline.message()))
        }
        (Status::Voided, _) => Err(Failure::failed("voided", "The intent was voided before it was captured.")),
        (Status::Pending, _) => {
            Err(Failure::unknown("payment_pending", "The gateway is still deciding on the payment."))
        }
        (Status::Processing, _) => Err(Failure::bug("the gateway answered, and the intent is still processing")),
    }
}

fn already_captured() -> Failure {
    Failure::failed("already_captured", "The payment has been captured.")
}
