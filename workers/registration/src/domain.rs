//! Who has a seat, who waits, and under which terms. Pure: no clock, no IO.

mod attendee;
mod cancellation;
mod event;
mod policy;
mod registration;
mod status;
mod terms;
#[cfg(test)]
pub(crate) mod testing;

pub use attendee::Attendee;
pub use cancellation::{Cancellation, Cancelled, NotCancellable};
pub use event::{EventSnapshot, EventStatus};
pub use policy::{Admission, CapacityPolicy, NotOpen, Place};
pub use registration::{Application, Impossible, Registration};
pub use status::{Reason, RegistrationStatus, ReservationOutcome, Shown};
pub use terms::{CancelOutcome, CancellationPolicy, Terms};
