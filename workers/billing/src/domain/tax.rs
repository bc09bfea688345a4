//! Tax rates, and how an amount that includes tax is taken apart.

use std::fmt;
use std::str::FromStr;

use amends_schemas::money::Money;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A share of the net amount: `0.20` is 20 %. From zero to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaxRate(Decimal);

/// Why a rate is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a tax rate: a fraction from 0 to 1 with at most four decimals, 0.20 for 20 %")]
pub struct TaxRateError(String);

impl TaxRate {
    /// No tax.
    pub const ZERO: TaxRate = TaxRate(Decimal::ZERO);

    /// The fraction.
    pub const fn fraction(self) -> Decimal {
        self.0
    }

    /// Whether no tax is charged.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// Its category in EN 16931 (UNTDID 5305).
    pub fn category(self) -> TaxCategory {
        if self.is_zero() { TaxCategory::Exempt } else { TaxCategory::Standard }
    }

    /// The net part of an amount that includes this tax, rounded half away from zero to the currency's minor unit. The tax
    /// is what remains, so that both together are exactly `gross`.
    pub fn net_of(self, gross: Money) -> Money {
        Money::rounded(gross.amount() / (Decimal::ONE + self.0), gross.currency())
    }
}

impl FromStr for TaxRate {
    type Err = TaxRateError;
    fn from_str(text: &str) -> Result<Self, TaxRateError> {
        let refuse = || TaxRateError(text.chars().take(32).collect());
        let fraction: Decimal = text.parse().map_err(|_| refuse())?;
        if fraction < Decimal::ZERO || fraction > Decimal::ONE || fraction.normalize().scale() > 4 {
            return Err(refuse());
        }
        Ok(Self(fraction.normalize()))
    }
}

impl TryFrom<String> for TaxRate {
    type Error = TaxRateError;
    fn try_from(text: String) -> Result<Self, TaxRateError> {
        text.parse()
    }
}

impl From<TaxRate> for String {
    fn from(rate: TaxRate) -> String {
        rate.to_string()
    }
}

impl fmt::Display for TaxRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fraction = self.0;
        fraction.rescale(fraction.scale().max(2));
        fraction.fmt(f)
    }
}

/// Category codes of EN 16931.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaxCategory {
    /// Taxed at a rate.
    #[serde(rename = "S")]
    Standard,
    /// Exempt; the document says why.
    #[serde(rename = "E")]
    Exempt,
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
    fn rates_are_fractions() {
        for (text, reads) in [
            ("0.20", Some("0.20")),
            ("0.2", Some("0.20")),
            ("0.055", Some("0.055")),
            ("0.2000", Some("0.20")),
            ("0", Some("0.00")),
            ("1", Some("1.00")),
            ("20", None),
            ("-0.1", None),
            ("0.12345", None),
            ("twenty", None),
        ] {
            assert_eq!(text.parse::<TaxRate>().ok().map(|rate| rate.to_string()).as_deref(), reads, "{text}");
        }
        assert_eq!("0.2".parse::<TaxRate>(), "0.200".parse::<TaxRate>(), "one group, however written");
    }

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
            let found = rate.parse::<TaxRate>().expect("a rate").net_of(gross);
            assert_eq!(found.amount().to_string(), net, "net of {gross} at {rate}");
            assert_eq!(gross.checked_sub(found).expect("same").amount().to_string(), tax, "tax in {gross} at {rate}");
        }
    }
}
