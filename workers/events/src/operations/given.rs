//! Values as callers write them, read into the domain's; each fault is named where it lies.

use amends_schemas::problem::FieldError;
use amends_schemas::tax::TaxRate;
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};

use crate::domain::GivenRate;

/// Tells `null` from absence: `Some(None)` from `None`.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Reads a time zone by its IANA name.
pub fn timezone(name: &str, faults: &mut Vec<FieldError>) -> Option<Tz> {
    let zone = name.parse().ok();
    if zone.is_none() {
        let name: String = name.chars().take(64).collect();
        faults.push(fault("/timezone", format!("`{name}` is not an IANA time zone, such as Europe/Paris")));
    }
    zone
}

/// Reads a tax rate.
pub fn tax_rate(given: &GivenRate, faults: &mut Vec<FieldError>) -> Option<TaxRate> {
    given.read().map_err(|error| faults.push(fault("/tax_rate", error.to_string()))).ok()
}

fn fault(pointer: &str, message: String) -> FieldError {
    FieldError { pointer: pointer.to_owned(), message }
}
