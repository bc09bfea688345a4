//! Terms of sale: the tax rate, and what is given back when a person cancels.

use std::fmt;
use std::str::FromStr;

use amends_schemas::money::Money;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Most decimals of a tax rate: what the contracts carry, and more than any rate in force needs (5.5 % is 0.055).
const RATE_DECIMALS_MAX: u32 = 4;

/// Fewest decimals a rate is written with, so that 20 % always reads 0.20.
const RATE_DECIMALS_MIN: u32 = 2;

/// A tax rate as a fraction of the price before tax: 0.20 is 20 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// A rate as callers write it: a string, or a plain JSON number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum GivenRate {
    /// `"0.20"`.
    Text(String),
    /// `0.2`.
    Number(serde_json::Number),
}

impl GivenRate {
    /// Reads it.
    ///
    /// # Errors
    /// [`TaxRateError`], which says what to write instead.
    pub fn read(&self) -> Result<TaxRate, TaxRateError> {
        match self {
            GivenRate::Text(text) => text.parse(),
            GivenRate::Number(number) => number.to_string().parse(),
        }
    }
}

/// What a person gets back who cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum CancellationPolicy {
    /// All of it, at any time.
    #[default]
    Full,
    /// All but a fee.
    Fee {
        /// What is kept.
        fee: Money,
    },
    /// All of it until so many hours before the start, nothing afterwards.
    Deadline {
        /// Hours before the start.
        deadline_hours: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<String, String> {
        let given: GivenRate = serde_json::from_str(json).map_err(|error| error.to_string())?;
        given.read().map(|rate| rate.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn rates_are_read_from_strings_and_numbers() {
        for (given, rate) in [
            ("\"0.20\"", "0.20"),
            ("0.2", "0.20"),
            ("0", "0.00"),
            ("1", "1.00"),
            ("\"0.055\"", "0.055"),
            ("1e-1", "0.10"),
        ] {
            assert_eq!(read(given).as_deref(), Ok(rate), "{given}");
        }
    }

    #[test]
    fn rates_are_refused_with_what_to_write_instead() {
        for (given, reason) in [
            ("20", "write 0.20 for 20 %"),
            ("\"1.2\"", "write 0.20 for 20 %"),
            ("-0.1", "negative"),
            ("\"0.12345\"", "more than 4 decimals"),
            ("\"twenty\"", "not a tax rate"),
            ("\"\"", "not a tax rate"),
        ] {
            let error = read(given).expect_err(given);
            assert!(error.contains(reason), "{given}: {error}");
        }
    }

    #[test]
    fn policies_have_one_shape_each() {
        let fee: CancellationPolicy =
            serde_json::from_str(r#"{"policy":"fee","fee":{"amount":"5","currency":"EUR"}}"#).expect("valid");
        assert!(matches!(fee, CancellationPolicy::Fee { .. }));
        for bad in [r#"{"policy":"fee"}"#, r#"{"policy":"half"}"#, r#"{"policy":"deadline","deadline_hours":-1}"#] {
            assert!(serde_json::from_str::<CancellationPolicy>(bad).is_err(), "{bad}");
        }
    }
}
