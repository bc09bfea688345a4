//! Tax rates: fractions that have been checked, so that 20 never stands for 20 %.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Most decimals of a tax rate: what the contracts carry, and more than any rate in force needs (5.5 % is 0.055).
const RATE_DECIMALS_MAX: u32 = 4;

/// Fewest decimals a rate is written with, so that 20 % always reads 0.20.
const RATE_DECIMALS_MIN: u32 = 2;

/// A tax rate as a fraction of the price before tax: 0.20 is 20 %. From zero to one; on the wire a string.
///
/// ```
/// use amends_schemas::tax::TaxRate;
/// let rate: TaxRate = serde_json::from_str(r#""0.2""#).unwrap();
/// assert_eq!(rate.to_string(), "0.20");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaxRate(Decimal);

/// Why a rate is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaxRateError {
    /// Not a number.
    #[error("`{0}` is not a tax rate; write a fraction such as 0.20 for 20 %")]
    Malformed(String),
    /// Above one: most likely meant as a percentage.
    #[error("{0} is more than the whole price; write 0.20 for 20 %")]
    AboveOne(Decimal),
    /// Below zero.
    #[error("{0} is negative; write 0 where no tax is due")]
    Negative(Decimal),
    /// More decimals than we carry.
    #[error("{0} has more than {RATE_DECIMALS_MAX} decimals")]
    TooPrecise(Decimal),
}

impl TaxRate {
    /// No tax.
    pub const ZERO: TaxRate = TaxRate(Decimal::from_parts(0, 0, 0, false, RATE_DECIMALS_MIN));

    /// The fraction.
    pub const fn fraction(self) -> Decimal {
        self.0
    }

    /// Whether no tax is charged.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for TaxRate {
    type Err = TaxRateError;

    fn from_str(text: &str) -> Result<Self, TaxRateError> {
        let malformed = || TaxRateError::Malformed(text.chars().take(32).collect());
        let rate = Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).map_err(|_| malformed())?;
        if rate.is_sign_negative() && !rate.is_zero() {
            return Err(TaxRateError::Negative(rate));
        }
        if rate > Decimal::ONE {
            return Err(TaxRateError::AboveOne(rate));
        }
        let mut rate = rate.abs().normalize();
        if rate.scale() > RATE_DECIMALS_MAX {
            return Err(TaxRateError::TooPrecise(rate));
        }
        rate.rescale(rate.scale().max(RATE_DECIMALS_MIN));
        Ok(Self(rate))
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
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(("0".parse(), TaxRate::ZERO.to_string().as_str()), (Ok(TaxRate::ZERO), "0.00"));
    }
}
