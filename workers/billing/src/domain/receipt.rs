//! Receipts: that an invoice was paid, when and how much.

use amends_schemas::ids::PaymentId;
use amends_schemas::money::Money;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::invoice::Invoice;
use crate::domain::series::Stamp;

/// A receipt, frozen; issued with the invoice it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its id, derived from the invoice's.
    pub receipt_id: Uuid,
    /// Its number, `RCT-…`.
    pub number: String,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// The day of it, where the seller is.
    pub issue_date: NaiveDate,
    /// The invoice that is paid.
    pub invoice_number: String,
    /// What was paid, tax included.
    pub amount: Money,
    /// When it was paid.
    pub paid_at: DateTime<Utc>,
    /// By which payment.
    pub payment_id: PaymentId,
}

impl Receipt {
    /// The receipt of an invoice.
    pub fn of(invoice: &Invoice, stamp: Stamp) -> Self {
        Self {
            receipt_id: Uuid::new_v5(&invoice.invoice_id.uuid(), b"receipt"),
            number: stamp.number.to_string(),
            issued_at: stamp.issued_at,
            issue_date: stamp.issue_date,
            invoice_number: invoice.number.clone(),
            amount: invoice.total_gross,
            paid_at: invoice.payment_terms.paid_at,
            payment_id: invoice.payment_id,
        }
    }
}
