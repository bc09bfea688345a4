//! Money: a decimal amount with its currency. Never a float, never a bare number.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code that we know the minor unit of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// Currencies we accept, each with its number of decimals (ISO 4217, list one).
const CURRENCIES: &[(&str, u32)] = &[
    ("AUD", 2),
    ("CAD", 2),
    ("CHF", 2),
    ("CZK", 2),
    ("DKK", 2),
    ("EUR", 2),
    ("GBP", 2),
    ("HUF", 2),
    ("JPY", 0),
    ("KWD", 3),
    ("NOK", 2),
    ("NZD", 2),
    ("PLN", 2),
    ("RON", 2),
    ("SEK", 2),
    ("TND", 3),
    ("USD", 2),
];

impl Currency {
    /// The euro.
    pub const EUR: Currency = Currency(*b"EUR");

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("currency codes are ASCII by construction")
    }

    /// Decimals of the minor unit: 2 for EUR, 0 for JPY.
    pub fn decimals(&self) -> u32 {
        CURRENCIES
            .iter()
            .find(|(code, _)| *code == self.code())
            .map(|(_, decimals)| *decimals)
            .expect("only listed currencies are constructed")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        CURRENCIES
            .iter()
            .find(|(code, _)| *code == text)
            .and_then(|(code, _)| code.as_bytes().try_into().ok().map(Currency))
            .ok_or_else(|| MoneyError::UnknownCurrency(text.chars().take(16).collect()))
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why an amount is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a currency code on our list.
    #[error("currency `{0}` is not an ISO 4217 code known here, such as EUR")]
    UnknownCurrency(String),
    /// More decimals than the currency has.
    #[error("{amount} has more than the {decimals} decimals of {currency}")]
    TooPrecise {
        /// The amount as given.
        amount: Decimal,
        /// Its currency.
        currency: Currency,
        /// What the currency allows.
        decimals: u32,
    },
    /// Two currencies in one sum.
    #[error("{left} and {right} cannot be added or compared")]
    Mixed {
        /// Currency of the left side.
        left: Currency,
        /// Currency of the right side.
        right: Currency,
    },
    /// A result outside what a decimal can hold.
    #[error("the amount is too large")]
    Overflow,
}

/// An amount in a currency; on the wire `{"amount": "120.00", "currency": "EUR"}`.
///
/// ```
/// use amends_schemas::money::Money;
/// let price: Money = serde_json::from_str(r#"{"amount": "120.00", "currency": "EUR"}"#).unwrap();
/// assert_eq!(price.to_string(), "120.00 EUR");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireMoney", into = "WireMoney")]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

/// The shape on the wire; its twin [`Money`] has been checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMoney {
    #[serde(with = "rust_decimal::serde::str")]
    amount: Decimal,
    currency: Currency,
}

impl TryFrom<WireMoney> for Money {
    type Error = MoneyError;
    fn try_from(wire: WireMoney) -> Result<Self, MoneyError> {
        Money::new(wire.amount, wire.currency)
    }
}

impl From<Money> for WireMoney {
    fn from(money: Money) -> WireMoney {
        WireMoney { amount: money.amount, currency: money.currency }
    }
}

impl Money {
    /// An exact amount, brought to the decimals of its currency.
    ///
    /// # Errors
    /// [`MoneyError::TooPrecise`] when digits would be lost.
    pub fn new(amount: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        let decimals = currency.decimals();
        let rounded = amount.round_dp(decimals);
        if rounded != amount {
            return Err(MoneyError::TooPrecise { amount, currency, decimals });
        }
        let mut amount = rounded;
        amount.rescale(decimals);
        Ok(Self { amount, currency })
    }

    /// An amount rounded half away from zero to the decimals of its currency, as invoices are.
    pub fn rounded(amount: Decimal, currency: Currency) -> Self {
        let mut amount = amount.round_dp_with_strategy(currency.decimals(), RoundingStrategy::MidpointAwayFromZero);
        amount.rescale(currency.decimals());
        Self { amount, currency }
    }

    /// Nothing, in a currency.
    pub fn zero(currency: Currency) -> Self {
        Self::rounded(Decimal::ZERO, currency)
    }

    /// The number.
    pub const fn amount(&self) -> Decimal {
        self.amount
    }

    /// The currency.
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// Neither owed nor owing.
    pub fn is_zero(&self) -> bool {
        self.amount.is_zero()
    }

    /// More than nothing.
    pub fn is_positive(&self) -> bool {
        !self.amount.is_zero() && self.amount.is_sign_positive()
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] for two currencies, [`MoneyError::Overflow`] beyond a decimal's range.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Money { amount, currency: self.currency })
    }

    /// The difference; may be negative.
    ///
    /// # Errors
    /// As [`Money::checked_add`].
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_sub(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Money { amount, currency: self.currency })
    }

    /// Refuses to mix currencies.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`].
    pub fn same_currency(self, other: Money) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::Mixed { left: self.currency, right: other.currency })
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Money, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn wire_form_is_kept_to_the_cent() {
        let money = parse(r#"{"amount":"120","currency":"EUR"}"#).expect("valid");
        assert_eq!(serde_json::to_string(&money).expect("json"), r#"{"amount":"120.00","currency":"EUR"}"#);
    }

    #[test]
    fn refuses_what_is_not_money() {
        for (text, reason) in [
            (r#"{"amount":"1.001","currency":"EUR"}"#, "more than the 2 decimals"),
            (r#"{"amount":"1.5","currency":"JPY"}"#, "more than the 0 decimals"),
            (r#"{"amount":"1","currency":"EURO"}"#, "not an ISO 4217"),
            (r#"{"amount":"one","currency":"EUR"}"#, "invalid"),
            (r#"{"amount":1.5,"currency":"EUR"}"#, "invalid type"),
            (r#"{"amount":"1","currency":"EUR","vat":"2"}"#, "unknown field"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.to_lowercase().contains(&reason.to_lowercase()), "{text}: {error}");
        }
    }

    #[test]
    fn currencies_do_not_mix() {
        let euro = Money::zero(Currency::EUR);
        let franc = Money::zero("CHF".parse().expect("listed"));
        assert!(matches!(euro.checked_add(franc), Err(MoneyError::Mixed { .. })));
    }

    #[test]
    fn rounds_half_away_from_zero() {
        let cent: Decimal = "0.125".parse().expect("decimal");
        assert_eq!(Money::rounded(cent, Currency::EUR).to_string(), "0.13 EUR");
    }
}
