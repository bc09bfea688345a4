//! What sagas call.
//!
//! * [`send`] serves `notification.send@1`.

pub mod send;

pub use send::SendMessage;
