//! What sagas call.
//!
//! * [`invoice`] serves `billing.invoice@1`.
//! * [`credit`] serves `billing.credit@1`.

pub mod credit;
pub mod invoice;

pub use credit::IssueCreditNote;
pub use invoice::IssueInvoice;

use crate::domain::{DocumentKind, Siren};

/// Documents of one seller and kind are issued one after the other within a process: they all take the next number of
/// the same row, and would only run into each other's write conflicts.
fn serial_key(seller: Siren, kind: DocumentKind) -> String {
    format!("{seller}/{}", kind.prefix())
}
