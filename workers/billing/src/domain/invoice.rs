//! The invoice: a frozen snapshot of a sale that has been paid.

use amends_schemas::ids::{InvoiceId, PaymentId, RegistrationId};
use amends_schemas::money::{Currency, Money, MoneyError};
use amends_schemas::tax::TaxRate;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::party::{BillingParty, Seller};
use crate::domain::series::Stamp;
use crate::domain::tax::{self, TaxCategory, TaxTotal};

/// The shape of the stored document: raised when members change meaning, so that old documents print as they were.
pub const DOCUMENT_SCHEMA: u32 = 1;

/// Most lines of one invoice: a document that a person can check.
pub const LINES_MAX: usize = 100;

/// Why an invoice is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// Nothing, or less than nothing, was paid.
    #[error("an invoice needs an amount above zero, not {0}")]
    NotPositive(Money),
    /// No line, or more than [`LINES_MAX`].
    #[error("an invoice has from 1 to {LINES_MAX} lines, not {0}")]
    LineCount(usize),
    /// Amounts that do not add up in a decimal, or in two currencies.
    #[error("the amounts cannot be added")]
    Money(#[from] MoneyError),
}

/// What was sold and paid, tax included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidLine {
    /// What.
    pub description: String,
    /// What was paid for it, tax included.
    pub gross: Money,
    /// The tax in it.
    pub rate: TaxRate,
}

/// All that is known before the number is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceDraft {
    /// Its id.
    pub invoice_id: InvoiceId,
    /// What it is for.
    pub registration_id: RegistrationId,
    /// What paid for it.
    pub payment_id: PaymentId,
    /// When it was paid; unknown means when the invoice is issued.
    pub paid_at: Option<DateTime<Utc>>,
    /// The day the service is given, where the seller is.
    pub service_date: NaiveDate,
    /// Who issues.
    pub seller: Seller,
    /// Who is billed.
    pub buyer: BillingParty,
    /// What was sold.
    pub lines: Vec<PaidLine>,
    /// The mention for lines without tax.
    pub exemption: String,
    /// Where the seller is; says on which day it was paid.
    pub timezone: Tz,
}

/// A line as it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What.
    pub description: String,
    /// How many.
    pub quantity: Decimal,
    /// Price of one, before tax.
    pub unit_price: Money,
    /// Tax rate.
    pub rate: TaxRate,
    /// Quantity times unit price, before tax.
    pub net: Money,
}

/// When and how it is paid. Sales here are paid before they are invoiced, so that no penalty clause is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentTerms {
    /// When it was paid.
    pub paid_at: DateTime<Utc>,
    /// When it was due: the day of issue.
    pub due_date: NaiveDate,
    /// As it is printed.
    pub text: String,
}

/// An invoice, frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// [`DOCUMENT_SCHEMA`] when it was issued.
    pub schema: u32,
    /// Its id.
    pub invoice_id: InvoiceId,
    /// Its number, `INV-…`.
    pub number: String,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// The day of it, where the seller is.
    pub issue_date: NaiveDate,
    /// The day the service is given.
    pub service_date: NaiveDate,
    /// Goods or services (CGI, annexe II, article 242 nonies A, I, 8°): always services.
    pub operation: OperationCategory,
    /// Who issued it.
    pub seller: Seller,
    /// Who is billed.
    pub buyer: BillingParty,
    /// What was sold.
    pub lines: Vec<Line>,
    /// What each rate comes to, lowest rate first.
    pub tax_totals: Vec<TaxTotal>,
    /// Sum before tax.
    pub total_net: Money,
    /// Sum of taxes.
    pub total_tax: Money,
    /// What was paid.
    pub total_gross: Money,
    /// Of all amounts.
    pub currency: Currency,
    /// When and how it is paid.
    pub payment_terms: PaymentTerms,
    /// The payment.
    pub payment_id: PaymentId,
    /// What it is for.
    pub registration_id: RegistrationId,
}

/// The nature of what is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationCategory {
    /// Services.
    Services,
}

/// Lines and totals of amounts that include tax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sums {
    pub lines: Vec<Line>,
    pub tax_totals: Vec<TaxTotal>,
    pub net: Money,
    pub tax: Money,
    pub gross: Money,
}

impl InvoiceDraft {
    /// Whether an invoice can come of it; to be asked before a number is taken.
    ///
    /// # Errors
    /// [`InvoiceError`].
    pub fn check(&self) -> Result<(), InvoiceError> {
        self.sums().map(|_| ())
    }

    fn sums(&self) -> Result<Sums, InvoiceError> {
        if self.lines.is_empty() || self.lines.len() > LINES_MAX {
            return Err(InvoiceError::LineCount(self.lines.len()));
        }
        if let Some(line) = self.lines.iter().find(|line| !line.gross.is_positive()) {
            return Err(InvoiceError::NotPositive(line.gross));
        }
        let currency = self.lines[0].gross.currency();
        let mut rates: Vec<TaxRate> = self.lines.iter().map(|line| line.rate).collect();
        rates.sort_unstable();
        rates.dedup();

        let mut tax_totals = Vec::with_capacity(rates.len());
        let mut nets = vec![Money::zero(currency); self.lines.len()];
        let (mut net, mut tax, mut gross) = (Money::zero(currency), Money::zero(currency), Money::zero(currency));
        for rate in rates {
            let places: Vec<usize> = (0..self.lines.len()).filter(|&at| self.lines[at].rate == rate).collect();
            let group_gross =
                places.iter().try_fold(Money::zero(currency), |sum, &at| sum.checked_add(self.lines[at].gross))?;
            let group_net = tax::net_of(group_gross, rate);
            let group_tax = group_gross.checked_sub(group_net)?;
            // Rounded once per group; line by line so that what the lines say so far is what the group says so far.
            let (mut paid, mut shown) = (Money::zero(currency), Money::zero(currency));
            for at in places {
                paid = paid.checked_add(self.lines[at].gross)?;
                let until_here = tax::net_of(paid, rate);
                nets[at] = until_here.checked_sub(shown)?;
                shown = until_here;
            }
            net = net.checked_add(group_net)?;
            tax = tax.checked_add(group_tax)?;
            gross = gross.checked_add(group_gross)?;
            tax_totals.push(tax_total(rate, group_net, group_tax, &self.exemption));
        }
        let lines = self
            .lines
            .iter()
            .zip(nets)
            .map(|(line, net)| Line {
                description: line.description.clone(),
                quantity: Decimal::ONE,
                unit_price: net,
                rate: line.rate,
                net,
            })
            .collect();
        Ok(Sums { lines, tax_totals, net, tax, gross })
    }

    /// The invoice, under the number and time it was given.
    ///
    /// # Errors
    /// [`InvoiceError`].
    pub fn issue(self, stamp: Stamp) -> Result<Invoice, InvoiceError> {
        let Sums { lines, tax_totals, net, tax, gross } = self.sums()?;
        let paid_at = self.paid_at.unwrap_or(stamp.issued_at);
        Ok(Invoice {
            schema: DOCUMENT_SCHEMA,
            invoice_id: self.invoice_id,
            number: stamp.number.to_string(),
            issued_at: stamp.issued_at,
            issue_date: stamp.issue_date,
            service_date: self.service_date,
            operation: OperationCategory::Services,
            payment_terms: PaymentTerms {
                paid_at,
                due_date: stamp.issue_date,
                text: paid_text(self.buyer.locale.as_deref(), paid_at.with_timezone(&self.timezone).date_naive()),
            },
            seller: self.seller,
            buyer: self.buyer,
            lines,
            tax_totals,
            total_net: net,
            total_tax: tax,
            total_gross: gross,
            currency: gross.currency(),
            payment_id: self.payment_id,
            registration_id: self.registration_id,
        })
    }
}

impl Invoice {
    /// Whether a second request is for this very invoice.
    pub fn is_for(&self, payment_id: PaymentId, gross: Money) -> bool {
        self.payment_id == payment_id && self.total_gross == gross
    }
}

/// One rate's totals, with the mention where no tax is charged.
fn tax_total(rate: TaxRate, net: Money, tax: Money, exemption: &str) -> TaxTotal {
    let category = TaxCategory::of(rate);
    let exemption = match category {
        TaxCategory::Exempt => Some(exemption.to_owned()),
        TaxCategory::Standard => None,
    };
    TaxTotal { rate, category, net, tax, exemption }
}

/// The payment terms in the buyer's language, English where it is neither of ours.
fn paid_text(locale: Option<&str>, paid_on: NaiveDate) -> String {
    if locale.is_some_and(|locale| locale == "fr" || locale.starts_with("fr-")) {
        format!("Payée en totalité le {}", paid_on.format("%d/%m/%Y"))
    } else {
        format!("Paid in full on {}", paid_on.format("%Y-%m-%d"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::series::{DocumentKind, Series, SeriesKey};
    use crate::settings::BillingSettings;

    pub(crate) fn eur(text: &str) -> Money {
        Money::new(text.parse().expect("decimal"), Currency::EUR).expect("cents")
    }

    pub(crate) fn stamp(kind: DocumentKind) -> Stamp {
        let now = "2026-05-14T08:00:00Z".parse().expect("a time");
        let settings = BillingSettings::default();
        let key = SeriesKey::at(settings.seller.siren, kind, now, settings.timezone);
        Series::default().next(key, now, settings.timezone).0
    }

    pub(crate) fn draft(lines: &[(&str, &str)]) -> InvoiceDraft {
        let settings = BillingSettings::default();
        InvoiceDraft {
            invoice_id: InvoiceId(Uuid::from_u128(1)),
            registration_id: RegistrationId(Uuid::from_u128(2)),
            payment_id: PaymentId(Uuid::from_u128(3)),
            paid_at: None,
            service_date: "2026-06-01".parse().expect("a date"),
            seller: settings.seller,
            buyer: BillingParty {
                name: "Zoé".to_owned(),
                email: "zoe@example.org".to_owned(),
                locale: Some("fr-FR".to_owned()),
                company: None,
                vat_id: None,
                address: None,
            },
            lines: lines
                .iter()
                .map(|(gross, rate)| PaidLine {
                    description: "A seat".to_owned(),
                    gross: eur(gross),
                    rate: rate.parse().expect("a rate"),
                })
                .collect(),
            exemption: settings.exemption,
            timezone: settings.timezone,
        }
    }

    pub(crate) fn issued(lines: &[(&str, &str)]) -> Invoice {
        draft(lines).issue(stamp(DocumentKind::Invoice)).expect("valid")
    }

    fn assert_adds_up(invoice: &Invoice) {
        let zero = Money::zero(invoice.currency);
        let sum = |amounts: Vec<Money>| amounts.into_iter().fold(zero, |sum, m| sum.checked_add(m).expect("adds"));
        assert_eq!(sum(invoice.tax_totals.iter().map(|t| t.net).collect()), invoice.total_net);
        assert_eq!(sum(invoice.tax_totals.iter().map(|t| t.tax).collect()), invoice.total_tax);
        assert_eq!(sum(invoice.lines.iter().map(|l| l.net).collect()), invoice.total_net, "lines make the total");
        assert_eq!(invoice.total_net.checked_add(invoice.total_tax).expect("adds"), invoice.total_gross);
        for total in &invoice.tax_totals {
            let of_rate = invoice.lines.iter().filter(|line| line.rate == total.rate).map(|line| line.net).collect();
            assert_eq!(sum(of_rate), total.net, "lines make the group");
            // Within one minor unit: the tax is the rate on the net (EN 16931, BR-CO-17).
            let exact = total.net.amount() * total.rate.fraction();
            let unit = Decimal::new(1, invoice.currency.decimals());
            assert!((exact - total.tax.amount()).abs() <= unit, "{total:?}");
            assert_eq!(total.exemption.is_some(), total.rate.is_zero(), "{total:?}");
        }
    }

    #[test]
    fn a_seat_at_twenty_percent() {
        let invoice = issued(&[("120.00", "0.20")]);
        assert_eq!(invoice.number, "INV-2026-000001");
        assert_eq!((invoice.total_net, invoice.total_tax), (eur("100.00"), eur("20.00")));
        assert_eq!(invoice.lines[0].unit_price, eur("100.00"));
        assert_eq!(invoice.payment_terms.text, "Payée en totalité le 14/05/2026");
        assert_adds_up(&invoice);
    }

    #[test]
    fn without_a_rate_the_exemption_is_said() {
        let invoice = issued(&[("49.00", "0")]);
        assert_eq!(invoice.tax_totals[0].exemption.as_deref(), Some("TVA non applicable, art. 293 B du CGI"));
        assert_adds_up(&invoice);
    }

    #[test]
    fn several_rates_are_rounded_per_group() {
        // Line by line 3 × 0.83 = 2.49 net would be shown; the group of 3.00 is 2.50.
        let invoice = issued(&[("1.00", "0.20"), ("1.00", "0.20"), ("1.00", "0.20"), ("10.55", "0.055")]);
        assert_eq!(
            invoice.tax_totals.iter().map(|t| (t.rate.to_string(), t.net, t.tax)).collect::<Vec<_>>(),
            [("0.055".to_owned(), eur("10.00"), eur("0.55")), ("0.20".to_owned(), eur("2.50"), eur("0.50"))]
        );
        assert_adds_up(&invoice);
    }

    #[test]
    fn any_amounts_add_up_exactly() {
        // A fixed linear congruential generator (Knuth's MMIX constants): the same thousands of cases at every run.
        let mut state: u64 = 20_260_514;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let rates = ["0", "0.021", "0.055", "0.085", "0.10", "0.20", "0.2550", "1"];
        for _ in 0..4_000 {
            let lines: Vec<(String, &str)> = (0..=draw(5))
                .map(|_| {
                    let bound = if draw(2) == 0 { 100 } else { 10_000_000 };
                    let cents = 1 + draw(bound);
                    (format!("{}.{:02}", cents / 100, cents % 100), rates[draw(rates.len() as u64) as usize])
                })
                .collect();
            let lines: Vec<(&str, &str)> = lines.iter().map(|(gross, rate)| (gross.as_str(), *rate)).collect();
            assert_adds_up(&issued(&lines));
        }
    }

    #[test]
    fn what_cannot_be_invoiced_is_refused() {
        for (lines, error) in [
            (vec![], InvoiceError::LineCount(0)),
            (vec![("0.00", "0.20")], InvoiceError::NotPositive(eur("0.00"))),
            (vec![("5.00", "0.20"), ("-1.00", "0.20")], InvoiceError::NotPositive(eur("-1.00"))),
            (vec![("1.00", "0"); LINES_MAX + 1], InvoiceError::LineCount(LINES_MAX + 1)),
        ] {
            assert_eq!(draft(&lines).check(), Err(error));
        }
    }

    #[test]
    fn a_document_survives_being_stored() {
        let invoice = issued(&[("99.99", "0.055"), ("1.00", "0")]);
        let stored = serde_json::to_value(&invoice).expect("json");
        assert_eq!(serde_json::from_value::<Invoice>(stored).expect("reads"), invoice);
    }
}
