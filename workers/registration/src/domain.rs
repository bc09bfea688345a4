//! Who has a seat, who waits, and under which terms. Pure: no clock, no IO.

mod attendee;
mod event;
mod policy;
mod registration;
mod terms;
#[cfg(test)]
pub(crate) mod testing;

pub use attendee::Attendee;
pub use event::{EventSnapshot, EventStatus};
pub use policy::{Admission, CapacityPolicy, NotOpen, Place};
pub use registration::{
    Application, Cancellation, Cancelled, Impossible, NotCancellable, Reason, Registration, RegistrationStatus,
    ReservationOutcome, Shown,
};
pub use terms::{CancelOutcome, CancellationPolicy, Terms};
