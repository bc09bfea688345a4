//! What the gateway answers, and what it writes down first. No IO, no clock.
//!
//! Each function changes the book and returns the entry that says so; the answer counts once the entry is on disk.

use std::time::Duration;

use amends_schemas::money::Money;
use chrono::{DateTime, TimeDelta, Utc};

use crate::book::{Book, intent_view, refund_view};
use crate::model::{ChargeRequest, Entry, ErrorView, Intent, IntentView, RefundRequest, RefundView, State};
use crate::token::{Behaviour, FAULTS, behaviour};

/// How an intent is answered.
#[derive(Debug, Clone)]
pub enum IntentAnswer {
    /// Charged, pending or declined: the view says which.
    Intent(Box<IntentView>),
    /// An error on purpose.
    Fault,
    /// Refused; with the intent where there is one to show.
    Refused(ErrorView, Option<Box<IntentView>>),
    NotFound,
}

/// How a refund is answered.
#[derive(Debug, Clone)]
pub enum RefundAnswer {
    Refund(RefundView),
    Refused(ErrorView),
    NotFound(ErrorView),
}

/// How long pending intents stay so.
#[derive(Debug, Clone, Copy)]
pub struct Delays {
    pub webhook: Duration,
    pub late: Duration,
}

/// Charges once per key.
pub fn charge(
    book: &mut Book,
    key: &str,
    request: ChargeRequest,
    delays: Delays,
    now: DateTime<Utc>,
) -> (IntentAnswer, Option<Entry>) {
    if let Some(intent) = book.intent(key) {
        return (again(intent, &request), None);
    }
    if !request.amount.is_positive() {
        return (refused("invalid_amount", "The amount must be more than nothing.", None), None);
    }
    let entry = first(book, key.to_owned(), request.clone(), delays, now);
    book.apply(entry.clone());
    let answer = book.intent(key).map_or(IntentAnswer::Fault, |intent| again(intent, &request));
    (answer, Some(entry))
}

fn first(book: &Book, key: String, request: ChargeRequest, delays: Delays, now: DateTime<Utc>) -> Entry {
    match behaviour(&request.payment_token) {
        Behaviour::Flaky if book.faults(&key) < FAULTS => Entry::Faulted { key, at: now },
        Behaviour::Charge | Behaviour::Slow | Behaviour::Lost | Behaviour::Flaky => {
            Entry::Captured { key, request, at: now }
        }
        Behaviour::Decline(decline) => Entry::Declined { key, request, decline, at: now },
        Behaviour::Pending { late, declined } => {
            let delay = if late { delays.late } else { delays.webhook };
            let due_at = now + TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX);
            Entry::Pending { key, request, due_at, declined, at: now }
        }
    }
}

fn again(intent: &Intent, request: &ChargeRequest) -> IntentAnswer {
    match (&intent.request, &intent.state) {
        (Some(first), _) if first != request => {
            refused("key_reused", "This idempotency key came with another request before.", Some(intent))
        }
        (_, State::Voided) => refused("voided", "The intent was voided before it was captured.", Some(intent)),
        (_, State::Pending { .. } | State::Captured { .. } | State::Declined(_)) => {
            IntentAnswer::Intent(Box::new(intent_view(intent)))
        }
    }
}

/// Bars any later charge under `key`.
pub fn void(book: &mut Book, key: &str, now: DateTime<Utc>) -> (IntentAnswer, Option<Entry>) {
    let entry = match book.intent(key) {
        Some(intent) => match intent.state {
            State::Captured { .. } => {
                return (refused("already_captured", "The intent has been captured.", Some(intent)), None);
            }
            State::Pending { .. } => {
                return (refused("processing", "The intent is being processed.", Some(intent)), None);
            }
            State::Declined(_) | State::Voided => return (IntentAnswer::Intent(Box::new(intent_view(intent))), None),
        },
        None => Entry::Voided { key: key.to_owned(), at: now },
    };
    book.apply(entry.clone());
    (find(book, key), Some(entry))
}

/// The intent under `key`.
pub fn find(book: &Book, key: &str) -> IntentAnswer {
    book.intent(key).map_or(IntentAnswer::NotFound, |intent| IntentAnswer::Intent(Box::new(intent_view(intent))))
}

/// Refunds once per key, never more than was captured.
pub fn refund(book: &mut Book, key: &str, request: RefundRequest, now: DateTime<Utc>) -> (RefundAnswer, Option<Entry>) {
    let refuse = |code, message: &str| (RefundAnswer::Refused(ErrorView::new(code, message)), None);
    if let Some(refund) = book.refund(key) {
        return if refund.request == request {
            (RefundAnswer::Refund(refund_view(refund)), None)
        } else {
            refuse("key_reused", "This idempotency key came with another request before.")
        };
    }
    let Some((captured, refunded)) = book.charged(&request.charge_id).and_then(captured_and_refunded) else {
        return (RefundAnswer::NotFound(ErrorView::new("charge_not_found", "There is no such charge.")), None);
    };
    if !request.amount.is_positive() {
        return refuse("invalid_amount", "The amount must be more than nothing.");
    }
    match refunded.checked_add(request.amount).and_then(|sum| captured.checked_sub(sum)) {
        Ok(left) if left.is_zero() || left.is_positive() => {
            let entry = Entry::Refunded { key: key.to_owned(), request, at: now };
            book.apply(entry.clone());
            (find_refund(book, key), Some(entry))
        }
        Ok(_) => refuse("refund_exceeds_captured", "The refunds together would exceed what was captured."),
        Err(_) => refuse("currency_mismatch", "The refund is in another currency than the charge."),
    }
}

/// The refund under `key`.
pub fn find_refund(book: &Book, key: &str) -> RefundAnswer {
    book.refund(key).map_or_else(
        || RefundAnswer::NotFound(ErrorView::new("not_found", "There is no refund under this key.")),
        |refund| RefundAnswer::Refund(refund_view(refund)),
    )
}

fn captured_and_refunded(intent: &Intent) -> Option<(Money, Money)> {
    let captured = intent.request.as_ref()?.amount;
    Some((captured, intent.refunded.unwrap_or(Money::zero(captured.currency()))))
}

fn refused(code: &'static str, message: &str, intent: Option<&Intent>) -> IntentAnswer {
    IntentAnswer::Refused(ErrorView::new(code, message), intent.map(|intent| Box::new(intent_view(intent))))
}
