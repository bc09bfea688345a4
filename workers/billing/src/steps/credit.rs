//! `billing.credit@1`: issues a credit note against the invoice of a registration.

use amends_schemas::ids::{CreditNoteId, RegistrationId};
use amends_schemas::money::Money;
use amends_sdk::{Failure, Step, StepContext, Success};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{CreditError, CreditNote, DocumentKind, SeriesKey};
use crate::events;
use crate::repository;
use crate::settings::BillingSettings;

/// Credits an invoice, whole or in part. While the invoice is not there it asks to be called again: a cancellation may
/// overtake the saga that invoices.
#[derive(Debug, Clone)]
pub struct IssueCreditNote {
    settings: BillingSettings,
}

/// What goes in; `schemas/contracts/billing/credit.v1.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Whose invoice.
    pub registration_id: RegistrationId,
    /// How much of it, tax included.
    pub amount: Money,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The document.
    pub credit_note_id: CreditNoteId,
    /// Its number.
    pub number: String,
    /// The invoice it cites.
    pub invoice_number: String,
    /// What is credited, tax included.
    pub total: Money,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
}

impl IssueCreditNote {
    /// For a seller.
    pub const fn new(settings: BillingSettings) -> Self {
        Self { settings }
    }
}

impl Step for IssueCreditNote {
    const CONTRACT: &'static str = "billing.credit@1";

    type Input = Input;
    type Output = Output;

    fn serial_key(&self, _input: &Input) -> Option<String> {
        Some(super::serial_key(self.settings.seller.siren, DocumentKind::CreditNote))
    }

    async fn execute(&self, context: &mut StepContext, input: Input) -> Result<Success<Output>, Failure> {
        let credit_note_id = CreditNoteId::derive(context.saga_id.uuid(), &context.key);
        let work = &mut context.work;
        let Some(invoice) = repository::invoice_of_registration(work, input.registration_id).await? else {
            return Err(Failure::retry("invoice_not_issued", "this registration has no invoice yet"));
        };
        let credited = repository::credit_notes_of(work, invoice.invoice_id).await?;
        CreditNote::check(&invoice, &credited, input.amount).map_err(refusal)?;

        let (seller, timezone, now) = (self.settings.seller.siren, self.settings.timezone, work.now());
        let key = SeriesKey::at(seller, DocumentKind::CreditNote, now, timezone);
        let (stamp, series) = repository::series(work, key).await?.next(key, now, timezone);
        let note = CreditNote::issue(credit_note_id, &invoice, &credited, input.amount, input.reason, stamp)
            .map_err(refusal)?;

        repository::store_series(work, key, series).await?;
        let credit_count = credited.len() as u64 + 1;
        repository::store_credit_note(work, key, stamp, &note, credit_count).await?;
        // The invoice itself is the aggregate's first version; each credit makes one more.
        work.publish(events::credit_note_issued(&note, credit_count + 1));
        Ok(Success::new(Output {
            credit_note_id: note.credit_note_id,
            number: note.number,
            invoice_number: note.invoice.number,
            total: note.total_gross,
            issued_at: note.issued_at,
        }))
    }
}

fn refusal(error: CreditError) -> Failure {
    match error {
        CreditError::NotPositive(_) => Failure::failed("amount_not_positive", error.to_string()),
        CreditError::Currency { .. } => Failure::failed("currency_mismatch", error.to_string()),
        CreditError::Exceeds { .. } => Failure::failed("credit_exceeds_invoice", error.to_string()),
        CreditError::Money(_) => Failure::bug(error.to_string()),
    }
}
