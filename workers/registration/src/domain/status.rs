//! The words for where a registration stands and why.

use amends_schemas::command::CompensationReason;
use serde::{Deserialize, Serialize};

/// Where a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationStatus {
    /// Has a seat until the hold expires.
    Held,
    /// Has a place in the queue.
    Waitlisted,
    /// Has a seat for good.
    Confirmed,
    /// Had a seat or a place, and gave it up.
    Cancelled,
    /// Never came to anything; see the reason.
    Released,
}

impl RegistrationStatus {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            RegistrationStatus::Held => "held",
            RegistrationStatus::Waitlisted => "waitlisted",
            RegistrationStatus::Confirmed => "confirmed",
            RegistrationStatus::Cancelled => "cancelled",
            RegistrationStatus::Released => "released",
        }
    }
}

/// Where a registration stands, in the words that clients read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// On its way.
    Pending,
    /// In the queue.
    Waitlisted,
    /// Has been offered a seat. Nobody is, before there is waitlist promotion; clients may ask for such all the same.
    Offered,
    /// Has a seat.
    Confirmed,
    /// The person did not want it any more.
    Cancelled,
    /// It could not be.
    Rejected,
}

impl Shown {
    /// As it is stored and searched by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Shown::Pending => "pending",
            Shown::Waitlisted => "waitlisted",
            Shown::Offered => "offered",
            Shown::Confirmed => "confirmed",
            Shown::Cancelled => "cancelled",
            Shown::Rejected => "rejected",
        }
    }
}

/// Why a registration came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A later step failed, such as the payment.
    Failed,
    /// The person cancelled before it was done.
    Cancelled,
    /// It was not done in time.
    Deadline,
    /// The hold ran out, and no saga lived to use it.
    HoldExpired,
    /// The event was not open for registration.
    EventNotOpen,
    /// The person has another registration for the event.
    AlreadyRegistered,
}

impl From<CompensationReason> for Reason {
    fn from(reason: CompensationReason) -> Self {
        match reason {
            CompensationReason::Failed => Reason::Failed,
            CompensationReason::Cancelled => Reason::Cancelled,
            CompensationReason::Deadline => Reason::Deadline,
        }
    }
}

/// What a reservation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationOutcome {
    /// A seat that must be paid.
    Paid,
    /// A seat that costs nothing.
    Free,
    /// A place in the queue.
    Waitlisted,
}

impl ReservationOutcome {
    /// As the contract calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReservationOutcome::Paid => "paid",
            ReservationOutcome::Free => "free",
            ReservationOutcome::Waitlisted => "waitlisted",
        }
    }
}
