//! Tax on documents, and how an amount that includes tax is taken apart.

use amends_schemas::money::Money;
use amends_schemas::tax::TaxRate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The net part of an amount that includes this tax, rounded half away from zero to the currency's minor unit. The tax is
/// what remains, so that both together are exactly `gross`.
pub fn net_of(gross: Money, rate: TaxRate) -> Money {
    Money::rounded(gross.amount() / (Decimal::ONE + rate.fraction()), gross.currency())
}

/// Category codes of EN 16931 (UNTDID 5305).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaxCategory {
    /// Taxed at a rate.
    #[serde(rename = "S")]
    Standard,
    /// Exempt; the document says why.
    #[serde(rename = "E")]
    Exempt,
}

impl TaxCategory {
    /// The category of a rate.
    pub fn of(rate: TaxRate) -> Self {
        if rate.is_zero() { TaxCategory::Exempt } else { TaxCategory::Standard }
    }
}

/// What one rate comes to on one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxTotal {
    /// The rate.
    pub rate: TaxRate,
    /// Its category.
    pub category: TaxCategory,
    /// What is taxed.
    pub net: Money,
    /// The tax on it.
    pub tax: Money,
    /// Why there is none, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemption: Option<String>,
}

#[cfg(test)]
mod tests {
    use amends_schemas::money::Currency;

    use super::*;

    #[test]
    fn net_and_tax_of_a_gross_amount() {
        for (gross, currency, rate, net, tax) in [
            ("120.00", "EUR", "0.20", "100.00", "20.00"),
            ("100.00", "EUR", "0.20", "83.33", "16.67"),
            ("99.99", "EUR", "0.055", "94.78", "5.21"),
            ("0.01", "EUR", "0.20", "0.01", "0.00"),
            ("0.03", "EUR", "0.20", "0.03", "0.00"),
            ("10.50", "EUR", "0.021", "10.28", "0.22"),
            ("49.00", "EUR", "0", "49.00", "0.00"),
            ("1100", "JPY", "0.10", "1000", "100"),
            ("1000", "JPY", "0.10", "909", "91"),
            ("1.234", "TND", "0.19", "1.037", "0.197"),
            ("3.00", "EUR", "1", "1.50", "1.50"),
        ] {
            let currency: Currency = currency.parse().expect("listed");
            let gross = Money::new(gross.parse().expect("decimal"), currency).expect("exact");
            let found = net_of(gross, rate.parse().expect("a rate"));
            assert_eq!(found.amount().to_string(), net, "net of {gross} at {rate}");
            assert_eq!(gross.checked_sub(found).expect("same").amount().to_string(), tax, "tax in {gross} at {rate}");
        }
    }
}
