//! What an organiser says about an event, and what must hold of it whatever its status.

use amends_schemas::money::Money;
use amends_schemas::problem::FieldError;
use amends_schemas::tax::TaxRate;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::terms::CancellationPolicy;

/// Longest title, in characters: what the contracts carry.
pub const TITLE_CHARS_MAX: usize = 200;

/// Most seats: beyond any venue on earth, and far from what a counter holds.
pub const CAPACITY_MAX: u32 = 1_000_000;

/// Highest price, in units of its currency: contracts carry 15 digits, and sums over all seats must fit as well.
pub const PRICE_MAX: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// Who invites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organizer {
    /// As people read it.
    pub name: String,
}

/// What an organiser says about an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Particulars {
    /// What it is called.
    pub title: String,
    /// When it starts.
    pub starts_at: DateTime<Utc>,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
    /// Where its clock stands, for reminders and calendars.
    pub timezone: Tz,
    /// Seats.
    pub capacity: u32,
    /// What a seat costs, tax included; none is free.
    pub price: Option<Money>,
    /// The rate of tax within the price, where the seller's own does not apply.
    pub tax_rate: Option<TaxRate>,
    /// What is given back when a person cancels.
    pub cancellation: CancellationPolicy,
    /// Who invites.
    pub organizer: Option<Organizer>,
}

impl Particulars {
    /// What is wrong with them, each place with a sentence; empty when nothing is.
    pub fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, message: String| {
            faults.push(FieldError { pointer: pointer.to_owned(), message });
        };
        if let Some(message) = text_fault(&self.title) {
            fault("/title", message);
        }
        if self.ends_at <= self.starts_at {
            fault("/ends_at", "must lie after starts_at".to_owned());
        }
        if self.capacity == 0 || self.capacity > CAPACITY_MAX {
            fault("/capacity", format!("must be from 1 to {CAPACITY_MAX}"));
        }
        if let Some(message) = self.price.and_then(amount_fault) {
            fault("/price", message);
        }
        if let CancellationPolicy::Fee { fee } = self.cancellation {
            if let Some(message) = amount_fault(fee) {
                fault("/cancellation/fee", message);
            }
            if let Some(Err(error)) = self.price.map(|price| price.same_currency(fee)) {
                fault("/cancellation/fee", format!("must be in the currency of the price: {error}"));
            }
        }
        if let Some(message) = self.organizer.as_ref().and_then(|organizer| text_fault(&organizer.name)) {
            fault("/organizer/name", message);
        }
        faults
    }
}

fn text_fault(text: &str) -> Option<String> {
    let length = text.chars().count();
    (text.trim().is_empty() || length > TITLE_CHARS_MAX)
        .then(|| format!("must have from 1 to {TITLE_CHARS_MAX} characters, not only blanks"))
}

fn amount_fault(money: Money) -> Option<String> {
    if !money.is_zero() && !money.is_positive() {
        Some("must not be negative".to_owned())
    } else if money.amount() > PRICE_MAX {
        Some(format!("must not be above {PRICE_MAX}"))
    } else {
        None
    }
}

/// What is to be changed; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The title.
    pub title: Option<String>,
    /// The start.
    pub starts_at: Option<DateTime<Utc>>,
    /// The end.
    pub ends_at: Option<DateTime<Utc>>,
    /// The time zone.
    pub timezone: Option<Tz>,
    /// The seats.
    pub capacity: Option<u32>,
    /// The price, or that it is free.
    pub price: Option<Option<Money>>,
    /// The tax rate, or that there is none of its own.
    pub tax_rate: Option<Option<TaxRate>>,
    /// What is given back.
    pub cancellation: Option<CancellationPolicy>,
    /// Who invites, or nobody in particular.
    pub organizer: Option<Option<Organizer>>,
}

impl Changes {
    /// The particulars as they would be.
    pub fn applied_to(self, before: &Particulars) -> Particulars {
        let before = before.clone();
        Particulars {
            title: self.title.unwrap_or(before.title),
            starts_at: self.starts_at.unwrap_or(before.starts_at),
            ends_at: self.ends_at.unwrap_or(before.ends_at),
            timezone: self.timezone.unwrap_or(before.timezone),
            capacity: self.capacity.unwrap_or(before.capacity),
            price: self.price.unwrap_or(before.price),
            tax_rate: self.tax_rate.unwrap_or(before.tax_rate),
            cancellation: self.cancellation.unwrap_or(before.cancellation),
            organizer: self.organizer.unwrap_or(before.organizer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{euro, sound};

    #[test]
    fn each_fault_is_named_where_it_lies() {
        type Spoil = fn(&mut Particulars);
        let cases: [(Spoil, &[&str]); 11] = [
            (|_| {}, &[]),
            (|p| p.title = "  ".into(), &["/title"]),
            (|p| p.title = "x".repeat(201), &["/title"]),
            (|p| p.ends_at = p.starts_at, &["/ends_at"]),
            (|p| p.capacity = 0, &["/capacity"]),
            (|p| p.capacity = CAPACITY_MAX + 1, &["/capacity"]),
            (|p| p.price = Some(euro("-1")), &["/price"]),
            (|p| p.price = Some(euro("1000000001")), &["/price"]),
            (|p| p.price = None, &[]),
            (
                |p| {
                    p.cancellation = CancellationPolicy::Fee { fee: Money::zero("CHF".parse().expect("listed")) };
                },
                &["/cancellation/fee"],
            ),
            (|p| p.organizer = Some(Organizer { name: String::new() }), &["/organizer/name"]),
        ];
        for (at, (spoil, pointers)) in cases.into_iter().enumerate() {
            let mut particulars = sound();
            spoil(&mut particulars);
            let found: Vec<String> = particulars.faults().into_iter().map(|fault| fault.pointer).collect();
            assert_eq!(found, pointers, "case {at}");
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let before = sound();
        assert_eq!(Changes::default().applied_to(&before), before);
        let after = Changes { price: Some(None), capacity: Some(3), ..Changes::default() }.applied_to(&before);
        assert_eq!(after, Particulars { price: None, capacity: 3, ..before });
    }
}
