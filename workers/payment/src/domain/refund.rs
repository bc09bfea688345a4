//! Refunds of an intent: their sum never exceeds what was captured.

use amends_schemas::money::Money;
use chrono::{DateTime, Utc};

use super::intent::PaymentIntent;
use super::values::{GatewayRefund, Refund};

/// How far a refund under a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundProgress {
    /// Reserved just now: nothing can have been sent before.
    Reserved,
    /// Reserved before: it may have been sent.
    ReservedBefore,
    /// Done.
    Done(GatewayRefund),
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefundError {
    /// Nothing, or less.
    #[error("a refund must be more than nothing, not {0}")]
    NotPositive(Money),
    /// More than what is left, or in another currency.
    #[error("{asked} exceeds the {left} that are left to refund")]
    ExceedsCaptured {
        /// What was asked.
        asked: Money,
        /// What is left.
        left: Money,
    },
    /// The same key came with another amount.
    #[error("this refund was asked with another amount before")]
    KeyReused,
    /// The gateway refunded something else.
    #[error("the gateway refunded {refunded} where {asked} was asked")]
    AmountMismatch {
        /// What was asked.
        asked: Money,
        /// What was refunded.
        refunded: Money,
    },
}

impl PaymentIntent {
    /// Reserves a refund, so that others cannot take the same money while the gateway is asked. Idempotent by `key`.
    ///
    /// # Errors
    /// [`RefundError`]; nothing is changed then.
    pub fn reserve_refund(
        &mut self,
        key: &str,
        amount: Money,
        now: DateTime<Utc>,
    ) -> Result<RefundProgress, RefundError> {
        if let Some(refund) = self.refunds.iter().find(|refund| refund.key == key) {
            return match &refund.done {
                _ if refund.amount != amount => Err(RefundError::KeyReused),
                Some(done) => Ok(RefundProgress::Done(done.clone())),
                None => Ok(RefundProgress::ReservedBefore),
            };
        }
        if !amount.is_positive() {
            return Err(RefundError::NotPositive(amount));
        }
        let left = self.refundable();
        let exceeds = RefundError::ExceedsCaptured { asked: amount, left };
        if left.checked_sub(amount).map_or(true, |rest| rest.amount().is_sign_negative() && !rest.is_zero()) {
            return Err(exceeds);
        }
        self.refunds.push(Refund { key: key.to_owned(), amount, requested_at: now, done: None });
        self.touch(now);
        Ok(RefundProgress::Reserved)
    }

    /// Records what the gateway refunded under `key`, reserved or not. Answers whether that is news.
    ///
    /// # Errors
    /// [`RefundError::AmountMismatch`]; nothing is changed then.
    pub fn record_refund(&mut self, key: &str, done: GatewayRefund, now: DateTime<Utc>) -> Result<bool, RefundError> {
        match self.refunds.iter_mut().find(|refund| refund.key == key) {
            Some(refund) if refund.amount != done.amount => {
                return Err(RefundError::AmountMismatch { asked: refund.amount, refunded: done.amount });
            }
            Some(Refund { done: Some(_), .. }) => return Ok(false),
            Some(refund) => refund.done = Some(done),
            None => {
                let (key, amount) = (key.to_owned(), done.amount);
                self.refunds.push(Refund { key, amount, requested_at: now, done: Some(done) });
            }
        }
        self.touch(now);
        Ok(true)
    }

    /// Gives up a reservation that the gateway refused, or that was never sent. A refund that was done stays.
    pub fn release_refund(&mut self, key: &str, now: DateTime<Utc>) {
        let before = self.refunds.len();
        self.refunds.retain(|refund| refund.key != key || refund.done.is_some());
        if self.refunds.len() < before {
            self.touch(now);
        }
    }

    /// What was given back.
    pub fn refunded(&self) -> Money {
        self.sum(|refund| refund.done.is_some())
    }

    /// What may still be given back.
    pub fn refundable(&self) -> Money {
        let captured = self.captured();
        captured.checked_sub(self.sum(|_| true)).unwrap_or(Money::zero(captured.currency()))
    }

    fn sum(&self, which: impl Fn(&Refund) -> bool) -> Money {
        let zero = Money::zero(self.amount.currency());
        let amounts = self.refunds.iter().filter(|refund| which(refund)).map(|refund| refund.amount);
        // Reservations are checked against the captured amount, so that the sum neither mixes currencies nor overflows.
        amounts.fold(zero, |sum, amount| sum.checked_add(amount).unwrap_or(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::super::intent::tests::{begun, charge, euros, seen};
    use super::*;

    fn captured() -> PaymentIntent {
        let mut intent = begun();
        intent.observe(&seen(charge("ch", "120")), Utc::now()).unwrap();
        intent
    }

    fn done(amount: &str) -> GatewayRefund {
        GatewayRefund { refund_id: "re".into(), charge_id: "ch".into(), amount: euros(amount), at: Utc::now() }
    }

    #[test]
    fn refunds_and_reservations_together_never_exceed_the_capture() {
        let mut intent = captured();
        assert_eq!(intent.reserve_refund("a", euros("100"), Utc::now()), Ok(RefundProgress::Reserved));
        let too_much = intent.reserve_refund("b", euros("20.01"), Utc::now());
        assert!(matches!(too_much, Err(RefundError::ExceedsCaptured { .. })));
        assert_eq!(intent.reserve_refund("b", euros("20"), Utc::now()), Ok(RefundProgress::Reserved));
        assert_eq!(intent.refunded(), euros("0"));
        intent.release_refund("a", Utc::now());
        assert_eq!(intent.refundable(), euros("100"));
    }

    #[test]
    fn one_key_is_one_refund() {
        let mut intent = captured();
        intent.reserve_refund("a", euros("50"), Utc::now()).unwrap();
        assert_eq!(intent.reserve_refund("a", euros("50"), Utc::now()), Ok(RefundProgress::ReservedBefore));
        assert_eq!(intent.reserve_refund("a", euros("51"), Utc::now()), Err(RefundError::KeyReused));
        assert_eq!(intent.record_refund("a", done("50"), Utc::now()), Ok(true));
        assert_eq!(intent.record_refund("a", done("50"), Utc::now()), Ok(false));
        assert!(matches!(intent.reserve_refund("a", euros("50"), Utc::now()), Ok(RefundProgress::Done(_))));
        intent.release_refund("a", Utc::now());
        assert_eq!((intent.refunded(), intent.refundable()), (euros("50"), euros("70")));
    }

    #[test]
    fn nothing_and_foreign_money_are_refused() {
        let mut intent = captured();
        for amount in ["0", "-1"] {
            let refused = intent.reserve_refund("a", euros(amount), Utc::now());
            assert!(matches!(refused, Err(RefundError::NotPositive(_))));
        }
        let dollars = Money::new("1".parse().unwrap(), "USD".parse().unwrap()).unwrap();
        assert!(matches!(intent.reserve_refund("a", dollars, Utc::now()), Err(RefundError::ExceedsCaptured { .. })));
        let before = begun().reserve_refund("a", euros("1"), Utc::now());
        assert!(matches!(before, Err(RefundError::ExceedsCaptured { .. })));
    }
}
