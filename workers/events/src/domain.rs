//! The catalog's aggregate and its values. Pure: no clock, no IO.

mod event;
mod particulars;
mod terms;
#[cfg(test)]
pub(crate) mod testing;

pub use event::{Changed, Event, EventStatus, Refusal};
pub use particulars::{CAPACITY_MAX, Changes, Organizer, PRICE_MAX, Particulars, TITLE_CHARS_MAX};
pub use terms::{CancellationPolicy, GivenRate};
