//! Deliveries, recipients, and what people and calendars read. Pure: no clock, no IO.
//!
//! * [`delivery`]: one message to one person and how far it has come.
//! * [`locale`]: the languages we write in.
//! * [`occasion`]: the event a message is about, told in its own time zone.
//! * [`calendar`]: the event as a calendar entry.

pub mod calendar;
pub mod delivery;
pub mod locale;
pub mod occasion;

pub use calendar::{CalendarEntry, EntryStatus};
pub use delivery::{Delivery, DeliveryStatus, Recipient};
pub use locale::Locale;
pub use occasion::{Occasion, OccasionError};
