//! The bounded context notification.
