//! The bounded context registration.
pub mod domain;
