//! `billing.invoice@1`: takes the next number and stores invoice and receipt, in one transaction.

use amends_schemas::ids::{InvoiceId, PaymentId, RegistrationId};
use amends_schemas::money::Money;
use amends_schemas::tax::TaxRate;
use amends_sdk::{Failure, Step, StepContext, Success};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{BillingParty, DocumentKind, Invoice, InvoiceDraft, InvoiceError, PaidLine, Receipt, SeriesKey};
use crate::events;
use crate::repository;
use crate::settings::BillingSettings;

/// Issues the invoice of a registration, with its receipt.
///
/// Idempotent beyond the inbox: a registration has one invoice, whoever asks. Nothing slow happens between taking the
/// number and the commit.
#[derive(Debug, Clone)]
pub struct IssueInvoice {
    settings: BillingSettings,
}

/// What goes in; `schemas/contracts/billing/invoice.v1.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// What is invoiced.
    pub registration_id: RegistrationId,
    /// What paid for it.
    pub payment_id: PaymentId,
    /// What was paid, tax included.
    pub amount: Money,
    /// When; unknown means when the invoice is issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<DateTime<Utc>>,
    /// The tax in it; absent means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_rate: Option<TaxRate>,
    /// Who is billed.
    pub buyer: Buyer,
    /// For which business.
    #[serde(default)]
    pub billing: Business,
    /// What was sold.
    pub description: String,
    /// When the service is given.
    pub service_date: DateTime<Utc>,
}

/// The person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Buyer {
    /// Name.
    pub name: String,
    /// E-mail.
    pub email: String,
    /// Language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// The business, as far as it was given.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Business {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// VAT number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<String>,
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The document.
    pub invoice_id: InvoiceId,
    /// Its number.
    pub number: String,
    /// What was paid, tax included.
    pub total: Money,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
}

impl From<Invoice> for Output {
    fn from(invoice: Invoice) -> Self {
        Self {
            invoice_id: invoice.invoice_id,
            number: invoice.number,
            total: invoice.total_gross,
            issued_at: invoice.issued_at,
        }
    }
}

impl IssueInvoice {
    /// For a seller.
    pub const fn new(settings: BillingSettings) -> Self {
        Self { settings }
    }

    fn draft(&self, invoice_id: InvoiceId, input: Input) -> InvoiceDraft {
        let Input { registration_id, payment_id, amount, paid_at, tax_rate, buyer, billing, description, service_date } =
            input;
        let Buyer { name, email, locale } = buyer;
        let Business { company, vat_id, address } = billing;
        InvoiceDraft {
            invoice_id,
            registration_id,
            payment_id,
            paid_at,
            service_date: service_date.with_timezone(&self.settings.timezone).date_naive(),
            seller: self.settings.seller.clone(),
            buyer: BillingParty { name, email, locale, company, vat_id, address },
            lines: vec![PaidLine { description, gross: amount, rate: tax_rate.unwrap_or(TaxRate::ZERO) }],
            exemption: self.settings.exemption.clone(),
            timezone: self.settings.timezone,
        }
    }

    fn key(&self, kind: DocumentKind, now: DateTime<Utc>) -> SeriesKey {
        SeriesKey::at(self.settings.seller.siren, kind, now, self.settings.timezone)
    }
}

impl Step for IssueInvoice {
    const CONTRACT: &'static str = "billing.invoice@1";

    type Input = Input;
    type Output = Output;

    fn serial_key(&self, _input: &Input) -> Option<String> {
        Some(super::serial_key(self.settings.seller.siren, DocumentKind::Invoice))
    }

    async fn execute(&self, context: &mut StepContext, input: Input) -> Result<Success<Output>, Failure> {
        let invoice_id = InvoiceId::derive(context.saga_id.uuid(), &context.key);
        let work = &mut context.work;
        if let Some(invoice) = repository::invoice_of_registration(work, input.registration_id).await? {
            return if invoice.is_for(input.payment_id, input.amount) {
                Ok(Success::new(invoice.into()))
            } else {
                Err(Failure::failed(
                    "invoiced_differently",
                    format!("invoice {} of this registration is for another payment or amount", invoice.number),
                ))
            };
        }
        let draft = self.draft(invoice_id, input);
        draft.check().map_err(refusal)?;

        let timezone = self.settings.timezone;
        let now = work.now();
        let (key, receipt_key) = (self.key(DocumentKind::Invoice, now), self.key(DocumentKind::Receipt, now));
        let (stamp, series) = repository::series(work, key).await?.next(key, now, timezone);
        let (receipt_stamp, receipt_series) =
            repository::series(work, receipt_key).await?.next(receipt_key, now, timezone);
        let invoice = draft.issue(stamp).map_err(refusal)?;
        let receipt = Receipt::of(&invoice, receipt_stamp);

        repository::store_series(work, key, series).await?;
        repository::store_series(work, receipt_key, receipt_series).await?;
        repository::store_invoice(work, key, stamp, &invoice).await?;
        repository::store_receipt(work, receipt_key, receipt_stamp, &invoice, &receipt).await?;
        work.publish(events::invoice_issued(&invoice, &receipt));
        Ok(Success::new(invoice.into()))
    }
}

fn refusal(error: InvoiceError) -> Failure {
    match error {
        InvoiceError::NotPositive(_) => Failure::failed("amount_not_positive", error.to_string()),
        InvoiceError::LineCount(_) | InvoiceError::Money(_) => Failure::bug(error.to_string()),
    }
}
