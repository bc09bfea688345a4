//! The bounded context billing.
