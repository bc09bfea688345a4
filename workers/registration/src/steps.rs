//! What sagas call, one file per contract.

mod cancel;
mod confirm;
mod reserve;
mod wire;

pub use cancel::{Cancel, CancelInput, CancelOutput};
pub use confirm::{Confirm, ConfirmInput, ConfirmOutput};
pub(crate) use reserve::release;
pub use reserve::{Reserve, ReserveInput, ReserveOutput};
pub use wire::EventOutput;
