//! A sound event to start tests from.

use amends_schemas::money::{Currency, Money};
use chrono_tz::Tz;

use super::{CancellationPolicy, Particulars};

/// Ten seats at 120 euros, on the first of May 2030.
pub fn sound() -> Particulars {
    Particulars {
        title: "RustFest".into(),
        starts_at: "2030-05-01T09:00:00Z".parse().expect("time"),
        ends_at: "2030-05-01T17:00:00Z".parse().expect("time"),
        timezone: Tz::Europe__Paris,
        capacity: 10,
        price: Some(euro("120")),
        tax_rate: Some("0.20".parse().expect("rate")),
        cancellation: CancellationPolicy::Full,
        organizer: None,
    }
}

/// So many euros.
pub fn euro(amount: &str) -> Money {
    Money::new(amount.parse().expect("decimal"), Currency::EUR).expect("money")
}
