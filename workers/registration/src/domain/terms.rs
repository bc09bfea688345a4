//! The terms a person registered under, frozen when the seat was reserved, and what they mean on cancelling.

use amends_schemas::money::Money;
use amends_schemas::tax::TaxRate;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::event::EventSnapshot;

/// What a person gets back who cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "snake_case")]
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

/// Price, tax and policy as they stood when the seat was reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What the seat costs; none, or nothing, is free.
    pub price: Option<Money>,
    /// A fraction.
    pub tax_rate: Option<TaxRate>,
    /// What is given back.
    pub cancellation: CancellationPolicy,
}

/// What must follow a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelOutcome {
    /// Money goes back.
    Refund,
    /// The money is kept, as agreed.
    NoRefund,
    /// There was no money.
    Free,
    /// There was not even a seat.
    Waitlisted,
}

impl CancelOutcome {
    /// As the contract calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            CancelOutcome::Refund => "refund",
            CancelOutcome::NoRefund => "no_refund",
            CancelOutcome::Free => "free",
            CancelOutcome::Waitlisted => "waitlisted",
        }
    }
}

impl Terms {
    /// The terms of an event as they stand.
    pub fn of(event: &EventSnapshot) -> Self {
        Self { price: event.price, tax_rate: event.tax_rate, cancellation: event.cancellation }
    }

    /// What there is to pay, if anything.
    pub fn due(&self) -> Option<Money> {
        self.price.filter(Money::is_positive)
    }

    /// What goes back on cancelling a confirmed seat. The moment that counts is when it was *requested*, however long the
    /// saga took to get here; the start is the event's present one, so that a postponed event can be left.
    pub fn refund(&self, requested_at: DateTime<Utc>, starts_at: DateTime<Utc>) -> (CancelOutcome, Option<Money>) {
        let Some(paid) = self.due() else { return (CancelOutcome::Free, None) };
        let back = match self.cancellation {
            CancellationPolicy::Full => Some(paid),
            // A fee in another currency cannot be taken off the price; the person must not suffer from it.
            CancellationPolicy::Fee { fee } => paid.checked_sub(fee).map_or(Some(paid), Some),
            CancellationPolicy::Deadline { deadline_hours } => {
                let until = starts_at.checked_sub_signed(TimeDelta::hours(i64::from(deadline_hours)));
                (until.is_some_and(|until| requested_at <= until)).then_some(paid)
            }
        };
        match back.filter(Money::is_positive) {
            Some(money) => (CancelOutcome::Refund, Some(money)),
            None => (CancelOutcome::NoRefund, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, euro};

    #[test]
    fn refunds_follow_the_policy() {
        let starts = "2030-05-03T09:00:00Z";
        let fee = |fee| CancellationPolicy::Fee { fee: euro(fee) };
        let deadline = |deadline_hours| CancellationPolicy::Deadline { deadline_hours };
        let early = "2030-05-01T00:00:00Z";
        let cases = [
            (Some("120"), CancellationPolicy::Full, early, "refund 120.00 EUR"),
            (Some("120"), CancellationPolicy::Full, "2030-05-03T10:00:00Z", "refund 120.00 EUR"),
            (Some("120"), fee("20.50"), early, "refund 99.50 EUR"),
            (Some("120"), fee("120"), early, "no_refund"),
            (Some("120"), fee("500"), early, "no_refund"),
            (Some("120"), deadline(24), "2030-05-02T09:00:00Z", "refund 120.00 EUR"),
            (Some("120"), deadline(24), "2030-05-02T09:00:01Z", "no_refund"),
            (Some("120"), deadline(0), starts, "refund 120.00 EUR"),
            (Some("120"), deadline(u32::MAX), early, "no_refund"),
            (Some("0"), CancellationPolicy::Full, early, "free"),
            (None, fee("5"), early, "free"),
        ];
        for (price, cancellation, requested_at, expected) in cases {
            let terms = Terms { price: price.map(euro), tax_rate: None, cancellation };
            let (outcome, money) = terms.refund(at(requested_at), at(starts));
            let found = match money {
                Some(money) => format!("{} {money}", outcome.as_str()),
                None => outcome.as_str().to_owned(),
            };
            assert_eq!(found, expected, "{price:?} {cancellation:?} {requested_at}");
        }
    }
}
