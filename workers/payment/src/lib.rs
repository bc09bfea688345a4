//! The bounded context payment.
