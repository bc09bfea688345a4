//! One person's registration for one event, from held or waitlisted to confirmed, cancelled or released.

use amends_schemas::ids::{EventId, RegistrationId, SagaId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::attendee::Attendee;
use super::cancellation::{Cancellation, Cancelled, NotCancellable};
use super::policy::{Admission, Place};
use super::status::{Reason, RegistrationStatus, ReservationOutcome, Shown};
use super::terms::{CancelOutcome, Terms};

/// A call that the state of a registration makes impossible: the saga's rules keep it from happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {} registration cannot be {wanted}", .status.as_str())]
pub struct Impossible {
    /// Where it stands.
    pub status: RegistrationStatus,
    /// What was wanted, as a participle.
    pub wanted: &'static str,
}

/// One person's registration for one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its id.
    pub registration_id: RegistrationId,
    /// For which event.
    pub event_id: EventId,
    /// Who.
    pub attendee: Attendee,
    /// Where it stands.
    pub status: RegistrationStatus,
    /// The seat or the place in the queue it has now.
    pub place: Option<Place>,
    /// The position it joined the queue at.
    pub joined_at_position: Option<u32>,
    /// Until when the seat is held.
    pub hold_expires_at: Option<DateTime<Utc>>,
    /// Price, tax and policy, frozen when it was reserved.
    pub terms: Option<Terms>,
    /// The saga that registers.
    pub saga_id: SagaId,
    /// Why it came to nothing.
    pub reason: Option<Reason>,
    /// How it was cancelled.
    pub cancelled: Option<Cancelled>,
    /// When it was reserved.
    pub created_at: DateTime<Utc>,
    /// When it was confirmed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts changes, from 1.
    pub version: u64,
}

/// Who asks for what, through which saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The registration to be.
    pub registration_id: RegistrationId,
    /// For which event.
    pub event_id: EventId,
    /// Who.
    pub attendee: Attendee,
    /// The saga that registers.
    pub saga_id: SagaId,
}

impl Registration {
    /// A registration with what it was given: a seat until `hold_until`, or a place in the queue.
    pub fn admitted(
        application: Application,
        admission: Admission,
        terms: Terms,
        hold_until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        let blank = Self::blank(application, now);
        match admission {
            Admission::Seat(seat) => Self {
                status: RegistrationStatus::Held,
                place: Some(Place::Seat(seat)),
                hold_expires_at: Some(hold_until),
                terms: Some(terms),
                ..blank
            },
            Admission::Queue { ticket, position } => Self {
                status: RegistrationStatus::Waitlisted,
                place: Some(Place::Queue(ticket)),
                joined_at_position: Some(position),
                terms: Some(terms),
                ..blank
            },
        }
    }

    /// A registration that came to nothing at the door; kept so that whoever asks for it learns why.
    pub fn refused(application: Application, reason: Reason, now: DateTime<Utc>) -> Self {
        Self { reason: Some(reason), ..Self::blank(application, now) }
    }

    fn blank(application: Application, now: DateTime<Utc>) -> Self {
        Self {
            registration_id: application.registration_id,
            event_id: application.event_id,
            attendee: application.attendee,
            status: RegistrationStatus::Released,
            place: None,
            joined_at_position: None,
            hold_expires_at: None,
            terms: None,
            saga_id: application.saga_id,
            reason: None,
            cancelled: None,
            created_at: now,
            confirmed_at: None,
            updated_at: now,
            version: 1,
        }
    }

    /// The seat it has.
    pub const fn seat(&self) -> Option<u32> {
        match self.place {
            Some(Place::Seat(seat)) => Some(seat),
            Some(Place::Queue(_)) | None => None,
        }
    }

    /// Whether it stands between its person and another registration for the event.
    pub const fn is_active(&self) -> bool {
        match self.status {
            RegistrationStatus::Held | RegistrationStatus::Waitlisted | RegistrationStatus::Confirmed => true,
            RegistrationStatus::Cancelled | RegistrationStatus::Released => false,
        }
    }

    /// What the reservation came to, for as long as it stands.
    pub fn outcome(&self) -> ReservationOutcome {
        match (self.status, self.terms.as_ref().and_then(Terms::due)) {
            (RegistrationStatus::Waitlisted, _) => ReservationOutcome::Waitlisted,
            (_, Some(_)) => ReservationOutcome::Paid,
            (_, None) => ReservationOutcome::Free,
        }
    }

    /// Where it stands, in the words that clients read.
    pub const fn shown(&self) -> Shown {
        match (self.status, self.reason) {
            (RegistrationStatus::Held, _) => Shown::Pending,
            (RegistrationStatus::Waitlisted, _) => Shown::Waitlisted,
            (RegistrationStatus::Confirmed, _) => Shown::Confirmed,
            (RegistrationStatus::Cancelled, _) | (RegistrationStatus::Released, Some(Reason::Cancelled)) => {
                Shown::Cancelled
            }
            (RegistrationStatus::Released, _) => Shown::Rejected,
        }
    }

    /// Makes the held seat a confirmed one. `false` when it was one already.
    ///
    /// # Errors
    /// [`Impossible`] when there is no seat to confirm.
    pub fn confirm(&mut self, now: DateTime<Utc>) -> Result<bool, Impossible> {
        match self.status {
            RegistrationStatus::Held => {
                self.status = RegistrationStatus::Confirmed;
                self.hold_expires_at = None;
                self.confirmed_at = Some(now);
                self.touch(now);
                Ok(true)
            }
            RegistrationStatus::Confirmed => Ok(false),
            RegistrationStatus::Waitlisted | RegistrationStatus::Cancelled | RegistrationStatus::Released => {
                Err(Impossible { status: self.status, wanted: "confirmed" })
            }
        }
    }

    /// Gives back what was reserved. Answers the place that becomes free, if it had not before.
    ///
    /// # Errors
    /// [`Impossible`] when it is confirmed: no saga turns back after that.
    pub fn release(&mut self, reason: Reason, now: DateTime<Utc>) -> Result<Option<Place>, Impossible> {
        match self.status {
            RegistrationStatus::Held | RegistrationStatus::Waitlisted => {
                self.status = RegistrationStatus::Released;
                self.reason = Some(reason);
                self.hold_expires_at = None;
                self.touch(now);
                Ok(self.place.take())
            }
            RegistrationStatus::Cancelled | RegistrationStatus::Released => Ok(None),
            RegistrationStatus::Confirmed => Err(Impossible { status: self.status, wanted: "released" }),
        }
    }

    /// Cancels what stands. Answers whether that changed anything: the saga that did it may ask again.
    ///
    /// # Errors
    /// [`NotCancellable`].
    pub fn cancel(&mut self, cancellation: Cancellation, now: DateTime<Utc>) -> Result<bool, NotCancellable> {
        let (outcome, refund) = match self.status {
            RegistrationStatus::Held => return Err(NotCancellable::NotSettled),
            RegistrationStatus::Waitlisted => (CancelOutcome::Waitlisted, None),
            RegistrationStatus::Confirmed => match &self.terms {
                Some(terms) => terms.refund(cancellation.requested_at, cancellation.starts_at),
                None => (CancelOutcome::Free, None),
            },
            RegistrationStatus::Cancelled if self.cancelled.as_ref().is_some_and(|by| by.by == cancellation.by) => {
                return Ok(false);
            }
            RegistrationStatus::Cancelled | RegistrationStatus::Released => {
                return Err(NotCancellable::Over(self.status));
            }
        };
        self.status = RegistrationStatus::Cancelled;
        self.cancelled = Some(Cancelled {
            by: cancellation.by,
            at: now,
            outcome,
            refund,
            place: self.place.take(),
            reason: cancellation.reason,
        });
        self.touch(now);
        Ok(true)
    }

    /// Whether its hold has run out.
    pub fn hold_has_expired(&self, now: DateTime<Utc>) -> bool {
        self.status == RegistrationStatus::Held && self.hold_expires_at.is_some_and(|until| until <= now)
    }

    /// Pins the hold for longer. Not a change that anybody is told of.
    pub fn extend_hold(&mut self, until: DateTime<Utc>) {
        self.hold_expires_at = self.hold_expires_at.map(|expires_at| expires_at.max(until));
    }

    fn touch(&mut self, now: DateTime<Utc>) {
        self.version += 1;
        self.updated_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, attendee, snapshot};

    fn now() -> DateTime<Utc> {
        at("2030-01-01T00:00:00Z")
    }

    fn application() -> Application {
        Application {
            registration_id: RegistrationId::generate(),
            event_id: EventId::generate(),
            attendee: attendee("ada@example.org"),
            saga_id: SagaId::generate(),
        }
    }

    fn cancellation(by: SagaId) -> Cancellation {
        Cancellation { by, requested_at: now(), starts_at: at("2030-05-01T09:00:00Z"), reason: None }
    }

    /// One registration in each status.
    fn registration(status: RegistrationStatus) -> Registration {
        let terms = Terms::of(&snapshot());
        let admitted = |admission| Registration::admitted(application(), admission, terms.clone(), now(), now());
        let held = || admitted(Admission::Seat(4));
        match status {
            RegistrationStatus::Held => held(),
            RegistrationStatus::Waitlisted => admitted(Admission::Queue { ticket: 9, position: 2 }),
            RegistrationStatus::Confirmed => {
                let mut registration = held();
                registration.confirm(now()).expect("held");
                registration
            }
            RegistrationStatus::Cancelled => {
                let mut registration = registration(RegistrationStatus::Confirmed);
                registration.cancel(cancellation(SagaId::generate()), now()).expect("confirmed");
                registration
            }
            RegistrationStatus::Released => {
                let mut registration = held();
                registration.release(Reason::Failed, now()).expect("held");
                registration
            }
        }
    }

    #[test]
    fn each_call_in_each_status() {
        use RegistrationStatus::{Cancelled, Confirmed, Held, Released, Waitlisted};
        for (status, confirm, release, cancel) in [
            (Held, "yes", "seat", "not settled"),
            (Waitlisted, "cannot", "queue", "waitlisted"),
            (Confirmed, "no", "cannot", "refund"),
            (Cancelled, "cannot", "nothing", "cannot"),
            (Released, "cannot", "nothing", "cannot"),
        ] {
            let found = match registration(status).confirm(now()) {
                Ok(true) => "yes",
                Ok(false) => "no",
                Err(_) => "cannot",
            };
            assert_eq!(found, confirm, "confirm when {status:?}");
            let found = match registration(status).release(Reason::Deadline, now()) {
                Ok(Some(Place::Seat(_))) => "seat",
                Ok(Some(Place::Queue(_))) => "queue",
                Ok(None) => "nothing",
                Err(_) => "cannot",
            };
            assert_eq!(found, release, "release when {status:?}");
            let mut subject = registration(status);
            let found = match subject.cancel(cancellation(SagaId::generate()), now()) {
                Ok(_) => subject.cancelled.expect("just cancelled").outcome.as_str(),
                Err(NotCancellable::NotSettled) => "not settled",
                Err(NotCancellable::Over(_)) => "cannot",
            };
            assert_eq!(found, cancel, "cancel when {status:?}");
        }
    }

    #[test]
    fn the_saga_that_cancelled_may_ask_again_and_another_may_not() {
        let mut registration = registration(RegistrationStatus::Waitlisted);
        let by = SagaId::generate();
        assert_eq!(registration.cancel(cancellation(by), now()), Ok(true));
        let after = registration.clone();
        assert_eq!(registration.cancel(cancellation(by), now()), Ok(false));
        assert_eq!(registration, after);
        let other = registration.cancel(cancellation(SagaId::generate()), now());
        assert_eq!(other, Err(NotCancellable::Over(RegistrationStatus::Cancelled)));
    }

    #[test]
    fn what_clients_read_of_a_release_depends_on_why() {
        for (reason, shown) in [
            (Reason::Failed, Shown::Rejected),
            (Reason::Cancelled, Shown::Cancelled),
            (Reason::Deadline, Shown::Rejected),
            (Reason::HoldExpired, Shown::Rejected),
        ] {
            let mut registration = registration(RegistrationStatus::Held);
            registration.release(reason, now()).expect("held");
            assert_eq!(registration.shown(), shown, "{reason:?}");
            assert!(!registration.is_active() && registration.seat().is_none());
        }
        let refused = Registration::refused(application(), Reason::AlreadyRegistered, now());
        assert_eq!((refused.shown(), refused.is_active()), (Shown::Rejected, false));
    }

    #[test]
    fn a_hold_is_extended_and_never_cut_short() {
        let mut registration = registration(RegistrationStatus::Held);
        assert!(registration.hold_has_expired(now()));
        registration.extend_hold(at("2030-01-01T00:05:00Z"));
        assert!(!registration.hold_has_expired(now()));
        registration.extend_hold(at("2029-01-01T00:00:00Z"));
        assert_eq!(registration.hold_expires_at, Some(at("2030-01-01T00:05:00Z")));
        registration.confirm(now()).expect("held");
        assert!(!registration.hold_has_expired(at("2031-01-01T00:00:00Z")), "a confirmed seat has no hold");
    }
}
