//! The bounded context events.
