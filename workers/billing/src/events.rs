//! What other contexts hear: `billing.InvoiceIssued.v1` and `billing.CreditNoteIssued.v1`.
//!
//! They carry what figures and links need, and nothing about the person; their schemas lie in `schemas/events/billing`.

use amends_schemas::ids::{CreditNoteId, InvoiceId, PaymentId, RegistrationId};
use amends_schemas::money::Money;
use amends_sdk::DomainEvent;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{CreditNote, Invoice, Receipt};

/// An invoice and its receipt were issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceIssued {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Its number.
    pub number: String,
    /// Its receipt's number.
    pub receipt_number: String,
    /// What it is for.
    pub registration_id: RegistrationId,
    /// What paid for it.
    pub payment_id: PaymentId,
    /// Before tax.
    pub total_net: Money,
    /// Tax.
    pub total_tax: Money,
    /// Tax included.
    pub total_gross: Money,
    /// When.
    pub issued_at: DateTime<Utc>,
}

/// A credit note was issued against an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNoteIssued {
    /// The credit note.
    pub credit_note_id: CreditNoteId,
    /// Its number.
    pub number: String,
    /// The invoice it cites.
    pub invoice_id: InvoiceId,
    /// That invoice's number.
    pub invoice_number: String,
    /// What the invoice was for.
    pub registration_id: RegistrationId,
    /// Before tax.
    pub total_net: Money,
    /// Tax.
    pub total_tax: Money,
    /// Tax included.
    pub total_gross: Money,
    /// When.
    pub issued_at: DateTime<Utc>,
}

/// The event of a new invoice: the first version of its aggregate.
pub(crate) fn invoice_issued(invoice: &Invoice, receipt: &Receipt) -> DomainEvent {
    let facts = InvoiceIssued {
        invoice_id: invoice.invoice_id,
        number: invoice.number.clone(),
        receipt_number: receipt.number.clone(),
        registration_id: invoice.registration_id,
        payment_id: invoice.payment_id,
        total_net: invoice.total_net,
        total_tax: invoice.total_tax,
        total_gross: invoice.total_gross,
        issued_at: invoice.issued_at,
    };
    event("InvoiceIssued.v1", invoice.invoice_id, 1, &facts)
}

/// The event of a new credit note, about the invoice it corrects.
pub(crate) fn credit_note_issued(note: &CreditNote, sequence: u64) -> DomainEvent {
    let facts = CreditNoteIssued {
        credit_note_id: note.credit_note_id,
        number: note.number.clone(),
        invoice_id: note.invoice.invoice_id,
        invoice_number: note.invoice.number.clone(),
        registration_id: note.registration_id,
        total_net: note.total_net,
        total_tax: note.total_tax,
        total_gross: note.total_gross,
        issued_at: note.issued_at,
    };
    event("CreditNoteIssued.v1", note.invoice.invoice_id, sequence, &facts)
}

fn event(name: &'static str, subject: InvoiceId, sequence: u64, facts: &impl Serialize) -> DomainEvent {
    let data = serde_json::to_value(facts).expect("ids, money and times always make JSON");
    DomainEvent { name, subject: subject.to_string(), sequence, data }
}
