//! Documents, parties, taxes and number series. Pure: no clock, no IO.
//!
//! * [`invoice`], [`credit_note`], [`receipt`]: the documents, frozen when they are made.
//! * [`tax`]: what it comes to, and how an amount that includes tax is taken apart.
//! * [`series`]: numbers without gap, in order of time.
//! * [`party`]: the seller and the billed party.

pub mod credit_note;
pub mod invoice;
pub mod party;
pub mod receipt;
pub mod series;
pub mod tax;

pub use credit_note::{CreditError, CreditNote};
pub use invoice::{Invoice, InvoiceDraft, InvoiceError, Line, PaidLine, PaymentTerms};
pub use party::{BillingParty, PostalAddress, Seller, Siren};
pub use receipt::Receipt;
pub use series::{DocumentKind, DocumentNumber, Series, SeriesKey, Stamp};
pub use tax::{TaxCategory, TaxTotal};
