//! What sagas call.
//!
//! * [`send`]: `notification.send@1`.

pub mod send;

pub use send::SendMessage;
