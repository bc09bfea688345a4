//! The payment intent: one amount to be charged once.

use amends_schemas::ids::{PaymentId, RegistrationId, SagaId};
use amends_schemas::money::Money;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::values::{Charge, DeclineCode, GatewayPayment, GatewayState, Payer, PaymentMethod, Refund};

/// How an intent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Begun; the gateway has not said anything that counts.
    Processing,
    /// The gateway has it and is still deciding.
    Pending,
    /// Charged. Nothing leads out of this.
    Captured,
    /// Refused. Only a success outweighs it.
    Declined,
    /// Given up before it was charged. Only a success outweighs it.
    Voided,
}

/// What is to be charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIntent {
    /// Derived from the key, so that the same step always means the same intent.
    pub payment_id: PaymentId,
    /// What it is for.
    pub registration_id: RegistrationId,
    /// Who asks.
    pub saga_id: SagaId,
    /// The idempotency key of the step, also towards the gateway.
    pub key: String,
    /// How much.
    pub amount: Money,
    /// Who pays.
    pub payer: Payer,
    /// What the payer reads on the statement.
    pub description: Option<String>,
}

/// One amount to be charged once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentIntent {
    /// Its id.
    pub payment_id: PaymentId,
    /// What it is for.
    pub registration_id: RegistrationId,
    /// The saga that asks.
    pub saga_id: SagaId,
    /// Towards the gateway.
    pub key: String,
    /// How much is to be charged.
    pub amount: Money,
    /// Who pays.
    pub payer: Payer,
    /// What the payer reads on the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it stands.
    pub status: Status,
    /// Whether a call to the gateway may be under way, or have been lost: until its answer is known, a gateway that cannot be
    /// reached is no proof that nothing happened.
    pub sent: bool,
    /// The gateway's id of it, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<String>,
    /// What may be known of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<PaymentMethod>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline: Option<DeclineCode>,
    /// Money taken: none or one.
    #[serde(default)]
    pub charges: Vec<Charge>,
    /// Money given back, or about to be.
    #[serde(default)]
    pub refunds: Vec<Refund>,
    /// Counts changes of state, from one.
    pub version: u64,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When its state last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a report of the gateway changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing: known before, or outweighed.
    None,
    /// The gateway took it up.
    Pending,
    /// It was charged.
    Captured,
    /// It was refused.
    Declined,
    /// It was given up.
    Voided,
}

/// What cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// Nothing, or less, is to be charged.
    #[error("the amount must be more than nothing, not {0}")]
    NotPositive(Money),
    /// The gateway charged something else.
    #[error("the gateway charged {charged} where {asked} was asked")]
    AmountMismatch {
        /// What was asked.
        asked: Money,
        /// What was charged.
        charged: Money,
    },
    /// The gateway charged twice.
    #[error("a second charge {second} was reported after {first}")]
    SecondCharge {
        /// The one on record.
        first: String,
        /// The other.
        second: String,
    },
}

impl PaymentIntent {
    /// Begins an intent: processing, nothing sent.
    ///
    /// # Errors
    /// [`IntentError::NotPositive`].
    pub fn begin(new: NewIntent, now: DateTime<Utc>) -> Result<Self, IntentError> {
        if !new.amount.is_positive() {
            return Err(IntentError::NotPositive(new.amount));
        }
        Ok(Self {
            payment_id: new.payment_id,
            registration_id: new.registration_id,
            saga_id: new.saga_id,
            key: new.key,
            amount: new.amount,
            payer: new.payer,
            description: new.description,
            status: Status::Processing,
            sent: false,
            gateway_id: None,
            method: None,
            decline: None,
            charges: Vec::new(),
            refunds: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    /// Takes in what the gateway says. Monotone: reports may come twice and in any order, a success outweighs all others, and
    /// the first of two refusals stays.
    ///
    /// # Errors
    /// [`IntentError::AmountMismatch`] and [`IntentError::SecondCharge`]; nothing is changed then.
    pub fn observe(&mut self, seen: &GatewayPayment, now: DateTime<Utc>) -> Result<Change, IntentError> {
        let change = match (self.status, &seen.state) {
            (_, GatewayState::Captured(charge)) => self.capture(charge)?,
            (Status::Processing, GatewayState::Pending) => Change::Pending,
            (Status::Processing | Status::Pending, GatewayState::Declined(code)) => {
                self.decline = Some(*code);
                Change::Declined
            }
            (Status::Processing | Status::Pending, GatewayState::Voided) => Change::Voided,
            (Status::Pending | Status::Captured | Status::Declined | Status::Voided, GatewayState::Pending)
            | (
                Status::Captured | Status::Declined | Status::Voided,
                GatewayState::Declined(_) | GatewayState::Voided,
            ) => Change::None,
        };
        match change {
            Change::None => return Ok(change),
            Change::Pending => self.status = Status::Pending,
            Change::Captured => self.status = Status::Captured,
            Change::Declined => self.status = Status::Declined,
            Change::Voided => self.status = Status::Voided,
        }
        self.gateway_id = Some(seen.gateway_id.clone());
        if let Some(method) = &seen.method {
            self.method = Some(method.clone());
        }
        self.touch(now);
        Ok(change)
    }

    fn capture(&mut self, charge: &Charge) -> Result<Change, IntentError> {
        if charge.amount != self.amount {
            return Err(IntentError::AmountMismatch { asked: self.amount, charged: charge.amount });
        }
        match self.charges.first() {
            None => {
                self.charges.push(charge.clone());
                self.decline = None;
                Ok(Change::Captured)
            }
            Some(first) if first.charge_id == charge.charge_id => Ok(Change::None),
            Some(first) => {
                Err(IntentError::SecondCharge { first: first.charge_id.clone(), second: charge.charge_id.clone() })
            }
        }
    }

    /// Whether nothing more is expected of the gateway.
    pub const fn is_final(&self) -> bool {
        match self.status {
            Status::Processing | Status::Pending => false,
            Status::Captured | Status::Declined | Status::Voided => true,
        }
    }

    /// What was taken.
    pub fn captured(&self) -> Money {
        self.charges.first().map_or(Money::zero(self.amount.currency()), |charge| charge.amount)
    }

    pub(super) fn touch(&mut self, now: DateTime<Utc>) {
        self.version += 1;
        self.updated_at = now;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn euros(amount: &str) -> Money {
        Money::new(amount.parse().unwrap(), "EUR".parse().unwrap()).unwrap()
    }

    pub fn begun() -> PaymentIntent {
        PaymentIntent::begin(new("120.00"), Utc::now()).unwrap()
    }

    fn new(amount: &str) -> NewIntent {
        NewIntent {
            payment_id: PaymentId::generate(),
            registration_id: RegistrationId::generate(),
            saga_id: SagaId::generate(),
            key: "s/pay/do".into(),
            amount: euros(amount),
            payer: Payer { name: "Ada".into(), email: "ada@example.org".into() },
            description: None,
        }
    }

    pub fn seen(state: GatewayState) -> GatewayPayment {
        GatewayPayment { gateway_id: "pi_1".into(), state, method: None }
    }

    pub fn charge(charge_id: &str, amount: &str) -> GatewayState {
        GatewayState::Captured(Charge { charge_id: charge_id.into(), amount: euros(amount), at: Utc::now() })
    }

    const DECLINED: GatewayState = GatewayState::Declined(DeclineCode::CardDeclined);

    #[test]
    fn only_more_than_nothing_is_charged() {
        for amount in ["0", "-1"] {
            assert!(matches!(PaymentIntent::begin(new(amount), Utc::now()), Err(IntentError::NotPositive(_))));
        }
    }

    #[test]
    fn reports_lead_where_they_should_in_any_order() {
        use GatewayState::{Pending, Voided};
        let ok = || charge("ch", "120");
        for (reports, status, version) in [
            (vec![ok()], Status::Captured, 2),
            (vec![Pending, ok()], Status::Captured, 3),
            (vec![ok(), ok(), ok(), ok(), ok()], Status::Captured, 2),
            (vec![ok(), DECLINED], Status::Captured, 2),
            (vec![ok(), Voided, Pending, DECLINED], Status::Captured, 2),
            (vec![DECLINED, ok()], Status::Captured, 3),
            (vec![Voided, ok()], Status::Captured, 3),
            (vec![DECLINED, Pending, Voided, DECLINED], Status::Declined, 2),
            (vec![Pending, Pending, DECLINED], Status::Declined, 3),
            (vec![Voided, DECLINED, Pending], Status::Voided, 2),
        ] {
            let mut intent = begun();
            for report in &reports {
                intent.observe(&seen(report.clone()), Utc::now()).unwrap();
            }
            assert_eq!((intent.status, intent.version), (status, version), "{reports:?}");
            assert_eq!(intent.decline.is_some(), status == Status::Declined);
            assert_eq!(intent.captured().is_positive(), status == Status::Captured);
        }
    }

    #[test]
    fn a_charge_that_was_not_asked_is_refused() {
        let mut intent = begun();
        let wrong = intent.observe(&seen(charge("ch", "12")), Utc::now());
        assert!(matches!(wrong, Err(IntentError::AmountMismatch { .. })));
        assert_eq!(intent.status, Status::Processing);
        intent.observe(&seen(charge("ch", "120")), Utc::now()).unwrap();
        let second = intent.observe(&seen(charge("other", "120")), Utc::now());
        assert!(matches!(second, Err(IntentError::SecondCharge { .. })));
        assert_eq!(intent.charges.len(), 1);
    }
}
