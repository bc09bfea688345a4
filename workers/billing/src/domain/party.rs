//! The seller, and this context's own view of the person who is billed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A French business number: nine digits of which the last is a Luhn check digit (Code de commerce, R123-221).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Siren([u8; 9]);

/// Why a text is no SIREN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SIREN: nine digits with a valid check digit, such as 732829320")]
pub struct SirenError(String);

impl Siren {
    /// The number official documentation uses as its example.
    pub const EXAMPLE: Siren = Siren(*b"732829320");

    /// The nine digits.
    pub fn digits(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a SIREN is nine ASCII digits by construction")
    }
}

impl TryFrom<String> for Siren {
    type Error = SirenError;
    fn try_from(text: String) -> Result<Self, SirenError> {
        let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let refuse = || SirenError(text.chars().take(32).collect());
        let digits: [u8; 9] = bare.as_bytes().try_into().map_err(|_| refuse())?;
        if !digits.iter().all(u8::is_ascii_digit) || !passes_luhn(&digits) {
            return Err(refuse());
        }
        Ok(Self(digits))
    }
}

impl From<Siren> for String {
    fn from(siren: Siren) -> String {
        siren.digits().to_owned()
    }
}

impl fmt::Display for Siren {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digits())
    }
}

/// ISO/IEC 7812-1, annex B.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Where the seller has its seat; the parts are those EN 16931 asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostalAddress {
    /// Number and street.
    pub street: String,
    /// Postal code.
    pub postal_code: String,
    /// Town.
    pub city: String,
    /// ISO 3166-1 alpha-2 code.
    pub country: String,
}

/// Who issues the documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seller {
    /// Registered name.
    pub name: String,
    /// Legal form, such as SAS, SARL, association.
    pub legal_form: String,
    /// Share capital as it must be printed, for companies that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_capital: Option<String>,
    /// Registry and number, such as `RCS Paris 732 829 320`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Business number; the number series are kept per SIREN.
    pub siren: Siren,
    /// Intra-community VAT number, unless exempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<String>,
    /// Seat.
    pub address: PostalAddress,
    /// Where questions go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// Who is billed, as known when the document is issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingParty {
    /// The person.
    pub name: String,
    /// Where the document goes.
    pub email: String,
    /// The language to print in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The business, when one is billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Its VAT number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<String>,
    /// Its address, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_siren_has_nine_digits_and_a_check_digit() {
        for (text, valid) in [
            ("732829320", true),
            ("732 829 320", true),
            ("732829321", false),
            ("73282932", false),
            ("7328293200", false),
            ("73282932O", false),
            ("", false),
        ] {
            assert_eq!(Siren::try_from(text.to_owned()).is_ok(), valid, "{text}");
        }
        assert_eq!(Siren::try_from("732 829 320".to_owned()).expect("valid"), Siren::EXAMPLE);
    }
}
