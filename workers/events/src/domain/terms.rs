//! Terms of sale: a tax rate as callers write it, and what is given back when a person cancels.

use amends_schemas::money::Money;
use amends_schemas::tax::{TaxRate, TaxRateError};
use serde::{Deserialize, Serialize};

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
