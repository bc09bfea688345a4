//! What must hold of a body before anything is started, beyond its shape.

use amends_schemas::limits::REASON_BYTES_MAX;
use amends_schemas::problem::{FieldError, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::routes::registrations::NewRegistration;

/// Longest name of a person or company, in characters, as in the step contracts.
const NAME_CHARS_MAX: usize = 200;

/// Longest e-mail address, in bytes (RFC 5321's path less its brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// Longest token of a means of payment, in bytes.
const TOKEN_BYTES_MAX: usize = 200;

/// Longest VAT id, in characters.
const VAT_ID_CHARS_MAX: usize = 32;

/// Longest postal address, in characters.
const ADDRESS_CHARS_MAX: usize = 500;

/// Who attends.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attendee {
    /// As it is to stand on the badge.
    #[schema(min_length = 1, max_length = 200, example = "Ada Lovelace")]
    pub name: String,
    /// Where the confirmation goes.
    #[schema(pattern = r"^[^@\s]+@[^@\s]+$", max_length = 254, example = "ada@example.org")]
    pub email: String,
    /// The language to write in.
    #[schema(pattern = "^[a-z]{2}(-[A-Z]{2})?$", example = "fr-FR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// Whom to bill.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Billing {
    /// The company's name.
    #[schema(min_length = 1, max_length = 200)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Its VAT id.
    #[schema(min_length = 1, max_length = 32)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<String>,
    /// Its postal address.
    #[schema(min_length = 1, max_length = 500)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Checks what the registration saga's input schema will check, so that the caller hears of all faults at once and before
/// the event is looked up.
///
/// # Errors
/// `invalid_registration`, naming every place.
pub fn check_registration(body: &NewRegistration) -> Result<(), Problem> {
    let mut faults = Vec::new();
    let mut fault = |pointer: &str, wrong: Option<String>| {
        if let Some(message) = wrong {
            faults.push(FieldError { pointer: pointer.to_owned(), message });
        }
    };
    fault("/attendee/name", text(&body.attendee.name, NAME_CHARS_MAX));
    fault("/attendee/email", email(&body.attendee.email));
    fault("/attendee/locale", body.attendee.locale.as_deref().and_then(locale));
    fault("/payment_token", body.payment_token.as_deref().and_then(|token| text(token, TOKEN_BYTES_MAX)));
    if let Some(billing) = &body.billing {
        fault("/billing/company", billing.company.as_deref().and_then(|name| text(name, NAME_CHARS_MAX)));
        fault("/billing/vat_id", billing.vat_id.as_deref().and_then(|id| text(id, VAT_ID_CHARS_MAX)));
        fault(
            "/billing/address",
            billing.address.as_deref().and_then(|lines| text(&lines.replace('\n', " "), ADDRESS_CHARS_MAX)),
        );
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid("invalid_registration", "The registration is not sound; see errors.").with_errors(faults))
}

/// Checks a reason that a person gives.
///
/// # Errors
/// `invalid_reason`.
pub fn check_reason(pointer: &str, reason: &str) -> Result<(), Problem> {
    if reason.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    let message = format!("must have at most {REASON_BYTES_MAX} bytes");
    Err(Problem::invalid("invalid_reason", format!("The reason {message}."))
        .with_errors(vec![FieldError { pointer: pointer.to_owned(), message }]))
}

fn text(text: &str, chars_max: usize) -> Option<String> {
    let wrong = text.trim().is_empty() || text.chars().count() > chars_max || text.chars().any(char::is_control);
    wrong.then(|| format!("must have from 1 to {chars_max} characters, not only blanks, no control characters"))
}

fn email(address: &str) -> Option<String> {
    let sound = address.len() <= EMAIL_BYTES_MAX
        && !address.chars().any(|c| c.is_whitespace() || c.is_control())
        && address
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    (!sound).then(|| format!("must be an e-mail address of at most {EMAIL_BYTES_MAX} bytes"))
}

fn locale(locale: &str) -> Option<String> {
    let bytes = locale.as_bytes();
    let language = |bytes: &[u8]| bytes.len() == 2 && bytes.iter().all(u8::is_ascii_lowercase);
    let region = |bytes: &[u8]| bytes.len() == 3 && bytes[0] == b'-' && bytes[1..].iter().all(u8::is_ascii_uppercase);
    let sound = match bytes.len() {
        2 => language(bytes),
        5 => language(&bytes[..2]) && region(&bytes[2..]),
        _ => false,
    };
    (!sound).then(|| "must be a language such as fr, or with a region such as fr-FR".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_locales() {
        for good in ["a@b", "ada.l+1@example.org", "é@exämple.org"] {
            assert_eq!(email(good), None, "{good}");
        }
        for bad in ["", "@", "a@", "@b", "a b@c", "a@b@c", "a@b\n", "plain"] {
            assert!(email(bad).is_some(), "{bad:?}");
        }
        assert!(email(&format!("{}@b", "a".repeat(254))).is_some());
        for good in ["fr", "fr-FR"] {
            assert_eq!(locale(good), None, "{good}");
        }
        for bad in ["", "f", "FR", "fr-fr", "fr_FR", "fr-", "frFRx", "fr-FRA", "é-FR"] {
            assert!(locale(bad).is_some(), "{bad:?}");
        }
    }
}
