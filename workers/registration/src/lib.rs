//! The bounded context registration.
