//! The credit note: cancels an invoice, or a part of it, by citing it.

use amends_schemas::ids::{CreditNoteId, InvoiceId, RegistrationId};
use amends_schemas::money::{Currency, Money, MoneyError};
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::invoice::{DOCUMENT_SCHEMA, Invoice, Line};
use crate::domain::party::{BillingParty, Seller};
use crate::domain::series::Stamp;
use crate::domain::tax::{self, TaxTotal};

/// Why a credit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreditError {
    /// Nothing, or less than nothing.
    #[error("a credit needs an amount above zero, not {0}")]
    NotPositive(Money),
    /// Not the invoice's currency.
    #[error("the invoice is in {invoice}, the credit in {credit}")]
    Currency {
        /// The invoice's.
        invoice: Currency,
        /// The credit's.
        credit: Currency,
    },
    /// More than what is left of the invoice.
    #[error("{asked} would exceed the {left} that is left of invoice {number}")]
    Exceeds {
        /// What was asked.
        asked: Money,
        /// What earlier credits leave.
        left: Money,
        /// The invoice.
        number: String,
    },
    /// Amounts beyond a decimal's range.
    #[error("the amounts cannot be added")]
    Money(#[from] MoneyError),
}

/// The invoice a credit note corrects, as the law wants it cited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CitedInvoice {
    /// Its id.
    pub invoice_id: InvoiceId,
    /// Its number.
    pub number: String,
    /// Its date.
    pub issue_date: NaiveDate,
}

/// A credit note, frozen. Its amounts are positive: they are credited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNote {
    /// [`DOCUMENT_SCHEMA`] when it was issued.
    pub schema: u32,
    /// Its id.
    pub credit_note_id: CreditNoteId,
    /// Its number, `CN-…`.
    pub number: String,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// The day of it, where the seller is.
    pub issue_date: NaiveDate,
    /// What it corrects.
    pub invoice: CitedInvoice,
    /// Who issued it, as on the invoice.
    pub seller: Seller,
    /// Who is credited, as on the invoice.
    pub buyer: BillingParty,
    /// What is taken back, one line per rate.
    pub lines: Vec<Line>,
    /// What each rate comes to.
    pub tax_totals: Vec<TaxTotal>,
    /// Sum before tax.
    pub total_net: Money,
    /// Sum of taxes.
    pub total_tax: Money,
    /// What is credited, tax included.
    pub total_gross: Money,
    /// Of all amounts.
    pub currency: Currency,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the invoice was for.
    pub registration_id: RegistrationId,
}

/// What is left to credit of one rate.
struct Left {
    total: TaxTotal,
    gross: Money,
}

/// What earlier credits leave of each rate of an invoice.
fn left_of(invoice: &Invoice, credited: &[CreditNote]) -> Result<Vec<Left>, MoneyError> {
    invoice
        .tax_totals
        .iter()
        .map(|total| {
            let mut total = total.clone();
            for earlier in credited.iter().flat_map(|note| &note.tax_totals).filter(|t| t.rate == total.rate) {
                total.net = total.net.checked_sub(earlier.net)?;
                total.tax = total.tax.checked_sub(earlier.tax)?;
            }
            let gross = total.net.checked_add(total.tax)?;
            Ok(Left { total, gross })
        })
        .collect()
}

/// The part of `gross` that is net, such that neither net nor tax exceeds what is left: the last credit takes exactly
/// the rest, whatever was rounded before.
fn net_part(left: &Left, gross: Money) -> Result<Money, MoneyError> {
    let lowest = gross.checked_sub(left.total.tax)?;
    let rounded = tax::net_of(gross, left.total.rate).amount();
    let net = rounded.max(lowest.amount()).min(left.total.net.amount());
    Ok(Money::rounded(net, gross.currency()))
}

impl CreditNote {
    /// Whether `amount` can be credited after what was credited before; to be asked before a number is taken.
    ///
    /// # Errors
    /// [`CreditError`].
    pub fn check(invoice: &Invoice, credited: &[CreditNote], amount: Money) -> Result<(), CreditError> {
        if !amount.is_positive() {
            return Err(CreditError::NotPositive(amount));
        }
        if amount.currency() != invoice.currency {
            return Err(CreditError::Currency { invoice: invoice.currency, credit: amount.currency() });
        }
        let left = left_of(invoice, credited)?
            .into_iter()
            .try_fold(Money::zero(invoice.currency), |sum, left| sum.checked_add(left.gross))?;
        if amount.amount() > left.amount() {
            return Err(CreditError::Exceeds { asked: amount, left, number: invoice.number.clone() });
        }
        Ok(())
    }

    /// The credit note over `amount`, tax included, shared among the invoice's rates as they stand.
    ///
    /// # Errors
    /// [`CreditError`].
    pub fn issue(
        credit_note_id: CreditNoteId,
        invoice: &Invoice,
        credited: &[CreditNote],
        amount: Money,
        reason: Option<String>,
        stamp: Stamp,
    ) -> Result<Self, CreditError> {
        Self::check(invoice, credited, amount)?;
        let zero = Money::zero(invoice.currency);
        let left = left_of(invoice, credited)?;
        let mut left_gross = left.iter().try_fold(zero, |sum, left| sum.checked_add(left.gross))?;
        let (mut rest, mut net, mut tax) = (amount, zero, zero);
        let mut tax_totals = Vec::with_capacity(left.len());
        for group in left.iter().filter(|left| left.gross.is_positive()) {
            // Each group takes its share of what is still to be shared; the last takes all that remains.
            // Divided first: the product of two large amounts may not fit a decimal.
            let share = rest.amount() / left_gross.amount() * group.gross.amount();
            let share = Money::rounded(share, invoice.currency);
            left_gross = left_gross.checked_sub(group.gross)?;
            rest = rest.checked_sub(share)?;
            if share.is_zero() {
                continue;
            }
            let share_net = net_part(group, share)?;
            let share_tax = share.checked_sub(share_net)?;
            net = net.checked_add(share_net)?;
            tax = tax.checked_add(share_tax)?;
            tax_totals.push(TaxTotal { net: share_net, tax: share_tax, ..group.total.clone() });
        }
        let lines = tax_totals
            .iter()
            .map(|total| Line {
                description: credit_line(invoice, total),
                quantity: Decimal::ONE,
                unit_price: total.net,
                rate: total.rate,
                net: total.net,
            })
            .collect();
        Ok(Self {
            schema: DOCUMENT_SCHEMA,
            credit_note_id,
            number: stamp.number.to_string(),
            issued_at: stamp.issued_at,
            issue_date: stamp.issue_date,
            invoice: CitedInvoice {
                invoice_id: invoice.invoice_id,
                number: invoice.number.clone(),
                issue_date: invoice.issue_date,
            },
            seller: invoice.seller.clone(),
            buyer: invoice.buyer.clone(),
            lines,
            tax_totals,
            total_net: net,
            total_tax: tax,
            total_gross: amount,
            currency: invoice.currency,
            reason: reason.filter(|reason| !reason.trim().is_empty()),
            registration_id: invoice.registration_id,
        })
    }
}

/// What a line of a credit note says: the invoice's own line where the rate has but one.
fn credit_line(invoice: &Invoice, total: &TaxTotal) -> String {
    let mut of_rate = invoice.lines.iter().filter(|line| line.rate == total.rate);
    match (of_rate.next(), of_rate.next()) {
        (Some(line), None) => line.description.clone(),
        _ => format!("{} of {}", invoice.number, invoice.issue_date),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::invoice::tests::{eur, issued, stamp};
    use crate::domain::series::DocumentKind;

    fn credit(invoice: &Invoice, credited: &[CreditNote], amount: Money) -> Result<CreditNote, CreditError> {
        let id = CreditNoteId(Uuid::from_u128(9));
        CreditNote::issue(id, invoice, credited, amount, Some("cancelled".to_owned()), stamp(DocumentKind::CreditNote))
    }

    #[test]
    fn a_full_credit_mirrors_the_invoice_and_cites_it() {
        let invoice = issued(&[("100.00", "0.20")]);
        let note = credit(&invoice, &[], eur("100.00")).expect("allowed");
        assert_eq!(note.number, "CN-2026-000001");
        assert_eq!((note.invoice.number.as_str(), note.invoice.issue_date), ("INV-2026-000001", invoice.issue_date));
        assert_eq!(note.tax_totals, invoice.tax_totals);
        assert_eq!(note.lines, invoice.lines);
    }

    #[test]
    fn credits_never_exceed_the_invoice() {
        let invoice = issued(&[("100.00", "0.20")]);
        let first = credit(&invoice, &[], eur("60.00")).expect("allowed");
        for (amount, refused) in [
            (eur("40.01"), Some(eur("40.00"))),
            (eur("100.00"), Some(eur("40.00"))),
            (eur("40.00"), None),
            (eur("0.01"), None),
        ] {
            let result = credit(&invoice, std::slice::from_ref(&first), amount);
            match refused {
                Some(left) => assert_eq!(
                    result.expect_err("too much"),
                    CreditError::Exceeds { asked: amount, left, number: invoice.number.clone() }
                ),
                None => assert_eq!(result.expect("allowed").total_gross, amount),
            }
        }
    }

    #[test]
    fn wrong_amounts_are_refused() {
        let invoice = issued(&[("100.00", "0.20")]);
        let dollars = Money::new(1.into(), "USD".parse().expect("listed")).expect("exact");
        for (amount, error) in [
            (eur("0.00"), CreditError::NotPositive(eur("0.00"))),
            (eur("-1.00"), CreditError::NotPositive(eur("-1.00"))),
            (dollars, CreditError::Currency { invoice: invoice.currency, credit: dollars.currency() }),
        ] {
            assert_eq!(credit(&invoice, &[], amount), Err(error));
        }
    }

    #[test]
    fn many_small_credits_come_to_exactly_the_invoice() {
        for lines in [
            vec![("1.00", "0.20")],
            vec![("1.00", "0.055"), ("0.07", "0.20")],
            vec![("0.33", "0"), ("0.33", "0.021"), ("0.34", "0.20")],
        ] {
            let invoice = issued(&lines);
            let mut notes: Vec<CreditNote> = Vec::new();
            let mut left = invoice.total_gross;
            while left.is_positive() {
                let amount = if left.amount() < eur("0.03").amount() { left } else { eur("0.03") };
                let note = credit(&invoice, &notes, amount).expect("within the invoice");
                assert_eq!(note.total_net.checked_add(note.total_tax).expect("adds"), amount);
                for total in &note.tax_totals {
                    assert!(total.net.amount() >= Decimal::ZERO && total.tax.amount() >= Decimal::ZERO, "{total:?}");
                }
                left = left.checked_sub(amount).expect("same currency");
                notes.push(note);
            }
            for total in &invoice.tax_totals {
                let of_rate = notes.iter().flat_map(|note| &note.tax_totals).filter(|t| t.rate == total.rate);
                let (net, tax) = of_rate.fold((eur("0"), eur("0")), |(net, tax), t| {
                    (net.checked_add(t.net).expect("adds"), tax.checked_add(t.tax).expect("adds"))
                });
                assert_eq!((net, tax), (total.net, total.tax), "rate {}", total.rate);
            }
            assert!(matches!(credit(&invoice, &notes, eur("0.01")), Err(CreditError::Exceeds { .. })));
        }
    }
}
