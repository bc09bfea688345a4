//! The event of the catalog and its transitions.

use amends_schemas::ids::EventId;
use amends_schemas::money::Currency;
use amends_schemas::problem::FieldError;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::particulars::{Changes, Particulars};

/// Where an event stands: draft → published → closed → ended, or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// Only its organiser knows it.
    Draft,
    /// Open for registration.
    Published,
    /// Takes place, but nobody registers any more.
    Closed,
    /// It is over.
    Ended,
    /// It will not take place.
    Cancelled,
}

impl EventStatus {
    /// As it stands in answers and queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            EventStatus::Draft => "draft",
            EventStatus::Published => "published",
            EventStatus::Closed => "closed",
            EventStatus::Ended => "ended",
            EventStatus::Cancelled => "cancelled",
        }
    }
}

/// Whether a call changed anything; asking again for what is so changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// A new version.
    Yes,
    /// It was so already.
    No,
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something is wrong in itself.
    #[error("the event is not sound")]
    Unsound(Vec<FieldError>),
    /// Its status does not allow it.
    #[error("a {} event cannot be {wanted}", .status.as_str())]
    IllegalTransition {
        /// Where it stands.
        status: EventStatus,
        /// What was wanted, as a participle.
        wanted: &'static str,
    },
    /// What people can register for lies in the future.
    #[error("starts_at lies in the past; a published event starts in the future")]
    StartsInPast,
    /// There would be fewer seats than have been sold.
    #[error("{sold} seats are sold; capacity cannot be {wanted}")]
    CapacityBelowSold {
        /// Confirmed registrations we know of.
        sold: u32,
        /// What was wanted.
        wanted: u32,
    },
    /// Invoices have been or may have been written in the first currency.
    #[error("the price of a published event stays in {fixed}; {wanted} was given")]
    CurrencyFixed {
        /// The currency it was published with.
        fixed: Currency,
        /// What was wanted.
        wanted: Currency,
    },
}

/// An event of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id, chosen by the caller.
    pub event_id: EventId,
    /// What its organiser says about it.
    pub particulars: Particulars,
    /// Where it stands.
    pub status: EventStatus,
    /// The currency of its price since it has been public with one.
    pub fixed_currency: Option<Currency>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts changes, from 1.
    pub version: u64,
}

impl Event {
    /// A draft.
    ///
    /// # Errors
    /// [`Refusal::Unsound`].
    pub fn draft(event_id: EventId, particulars: Particulars, now: DateTime<Utc>) -> Result<Self, Refusal> {
        sound(&particulars)?;
        Ok(Self {
            event_id,
            particulars,
            status: EventStatus::Draft,
            fixed_currency: None,
            created_at: now,
            updated_at: now,
            version: 1,
        })
    }

    /// Changes what its organiser says about it. `seats_sold` are the confirmed registrations we have heard of.
    ///
    /// # Errors
    /// Any [`Refusal`]; the event is then as it was.
    pub fn update(&mut self, changes: Changes, seats_sold: u32, now: DateTime<Utc>) -> Result<Changed, Refusal> {
        let announced = match self.status {
            EventStatus::Draft => false,
            EventStatus::Published | EventStatus::Closed => true,
            EventStatus::Ended | EventStatus::Cancelled => return Err(self.illegal("changed")),
        };
        let after = changes.applied_to(&self.particulars);
        sound(&after)?;
        if after.capacity < seats_sold {
            return Err(Refusal::CapacityBelowSold { sold: seats_sold, wanted: after.capacity });
        }
        if announced {
            if after.starts_at != self.particulars.starts_at && after.starts_at <= now {
                return Err(Refusal::StartsInPast);
            }
            self.check_currency(&after)?;
        }
        if after == self.particulars {
            return Ok(Changed::No);
        }
        self.particulars = after;
        if announced {
            self.fix_currency();
        }
        Ok(self.touch(now))
    }

    /// Opens it for registration.
    ///
    /// # Errors
    /// [`Refusal::StartsInPast`], [`Refusal::IllegalTransition`].
    pub fn publish(&mut self, now: DateTime<Utc>) -> Result<Changed, Refusal> {
        match self.status {
            EventStatus::Draft if self.particulars.starts_at <= now => Err(Refusal::StartsInPast),
            EventStatus::Draft => {
                self.status = EventStatus::Published;
                self.fix_currency();
                Ok(self.touch(now))
            }
            EventStatus::Published => Ok(Changed::No),
            EventStatus::Closed | EventStatus::Ended | EventStatus::Cancelled => Err(self.illegal("published")),
        }
    }

    /// Takes no more registrations.
    ///
    /// # Errors
    /// [`Refusal::IllegalTransition`].
    pub fn close(&mut self, now: DateTime<Utc>) -> Result<Changed, Refusal> {
        match self.status {
            EventStatus::Published => {
                self.status = EventStatus::Closed;
                Ok(self.touch(now))
            }
            EventStatus::Closed => Ok(Changed::No),
            EventStatus::Draft | EventStatus::Ended | EventStatus::Cancelled => Err(self.illegal("closed")),
        }
    }

    /// Calls it off. What becomes of its registrations is a saga's work.
    ///
    /// # Errors
    /// [`Refusal::IllegalTransition`].
    pub fn cancel(&mut self, now: DateTime<Utc>) -> Result<Changed, Refusal> {
        match self.status {
            EventStatus::Draft | EventStatus::Published | EventStatus::Closed => {
                self.status = EventStatus::Cancelled;
                Ok(self.touch(now))
            }
            EventStatus::Cancelled => Ok(Changed::No),
            EventStatus::Ended => Err(self.illegal("cancelled")),
        }
    }

    /// Marks it over once its end has passed.
    pub fn end(&mut self, now: DateTime<Utc>) -> Changed {
        match self.status {
            EventStatus::Published | EventStatus::Closed if self.particulars.ends_at <= now => {
                self.status = EventStatus::Ended;
                self.touch(now)
            }
            EventStatus::Draft
            | EventStatus::Published
            | EventStatus::Closed
            | EventStatus::Ended
            | EventStatus::Cancelled => Changed::No,
        }
    }

    fn illegal(&self, wanted: &'static str) -> Refusal {
        Refusal::IllegalTransition { status: self.status, wanted }
    }

    fn check_currency(&self, after: &Particulars) -> Result<(), Refusal> {
        match (self.fixed_currency, after.price.map(|price| price.currency())) {
            (Some(fixed), Some(wanted)) if fixed != wanted => Err(Refusal::CurrencyFixed { fixed, wanted }),
            _ => Ok(()),
        }
    }

    fn fix_currency(&mut self) {
        self.fixed_currency = self.fixed_currency.or(self.particulars.price.map(|price| price.currency()));
    }

    fn touch(&mut self, now: DateTime<Utc>) -> Changed {
        self.version += 1;
        self.updated_at = now;
        Changed::Yes
    }
}

fn sound(particulars: &Particulars) -> Result<(), Refusal> {
    let faults = particulars.faults();
    if faults.is_empty() { Ok(()) } else { Err(Refusal::Unsound(faults)) }
}

#[cfg(test)]
mod tests {
    use amends_schemas::money::Money;

    use super::*;
    use crate::domain::testing::sound as particulars;

    const STATUSES: [EventStatus; 5] =
        [EventStatus::Draft, EventStatus::Published, EventStatus::Closed, EventStatus::Ended, EventStatus::Cancelled];

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("time")
    }

    fn now() -> DateTime<Utc> {
        at("2030-01-01T00:00:00Z")
    }

    fn event(status: EventStatus) -> Event {
        let mut event = Event::draft(EventId::generate(), particulars(), now()).expect("sound");
        if status != EventStatus::Draft {
            event.publish(now()).expect("a draft");
        }
        event.status = status;
        event
    }

    #[test]
    fn transitions_are_those_of_the_document() {
        type Transition = fn(&mut Event) -> Result<Changed, Refusal>;
        // For draft, published, closed, ended, cancelled: `y` changes, `n` is so already, `x` is refused.
        let table: [(&str, Transition, &str); 4] = [
            ("publish", |event| event.publish(now()), "ynxxx"),
            ("close", |event| event.close(now()), "xynxx"),
            ("cancel", |event| event.cancel(now()), "yyyxn"),
            ("end", |event| Ok(event.end(at("2031-01-01T00:00:00Z"))), "nyynn"),
        ];
        for (name, transition, expected) in table {
            for (status, expected) in STATUSES.into_iter().zip(expected.chars()) {
                let before = event(status);
                let mut after = before.clone();
                let outcome = match transition(&mut after) {
                    Ok(Changed::Yes) => 'y',
                    Ok(Changed::No) => 'n',
                    Err(_) => 'x',
                };
                assert_eq!(outcome, expected, "{name} when {status:?}");
                assert_eq!(after.version, before.version + u64::from(outcome == 'y'), "{name} when {status:?}");
            }
        }
    }

    #[test]
    fn what_has_begun_is_not_published_and_what_goes_on_is_not_ended() {
        let mut late = event(EventStatus::Draft);
        assert_eq!(late.publish(late.particulars.starts_at), Err(Refusal::StartsInPast));
        let mut open = event(EventStatus::Published);
        assert_eq!(open.end(now()), Changed::No);
    }

    #[test]
    fn an_update_keeps_what_has_been_promised() {
        let franc = || Money::zero("CHF".parse().expect("listed"));
        let capacity = |capacity| Changes { capacity: Some(capacity), ..Changes::default() };
        let price = |price| Changes { price: Some(price), ..Changes::default() };
        let start = |text| Changes { starts_at: Some(at(text)), ..Changes::default() };
        let cases = [
            (EventStatus::Published, capacity(4), 4, "y"),
            (EventStatus::Published, capacity(3), 4, "3"),
            (EventStatus::Published, capacity(10), 4, "n"),
            (EventStatus::Draft, price(Some(franc())), 0, "y"),
            (EventStatus::Published, price(Some(franc())), 0, "CHF"),
            (EventStatus::Published, price(None), 0, "y"),
            (EventStatus::Draft, start("2029-01-01T00:00:00Z"), 0, "y"),
            (EventStatus::Published, start("2029-01-01T00:00:00Z"), 0, "past"),
            (EventStatus::Published, start("2030-06-01T00:00:00Z"), 0, "not sound"),
            (EventStatus::Ended, capacity(4), 0, "cannot be changed"),
            (EventStatus::Cancelled, capacity(4), 0, "cannot be changed"),
        ];
        for (row, (status, changes, sold, expected)) in cases.into_iter().enumerate() {
            let before = event(status);
            let mut after = before.clone();
            match after.update(changes, sold, now()) {
                Ok(Changed::Yes) => assert_eq!((expected, after.version), ("y", before.version + 1), "row {row}"),
                Ok(Changed::No) => assert_eq!((expected, &after), ("n", &before), "row {row}"),
                Err(refusal) => {
                    assert!(refusal.to_string().contains(expected), "row {row}: {refusal}");
                    assert_eq!(after, before, "row {row}: refused means untouched");
                }
            }
        }
    }

    #[test]
    fn the_currency_stays_fixed_over_a_free_spell() {
        let mut event = event(EventStatus::Published);
        event.update(Changes { price: Some(None), ..Changes::default() }, 0, now()).expect("may become free");
        let franc = Some(Some(Money::zero("CHF".parse().expect("listed"))));
        let refusal = event.update(Changes { price: franc, ..Changes::default() }, 0, now());
        assert!(matches!(refusal, Err(Refusal::CurrencyFixed { .. })), "{refusal:?}");
    }
}
