//! The bounded context billing: invoices, receipts and credit notes, numbered without gap and never changed.
//!
//! French law is the yardstick (CGI, annexe II, article 242 nonies A; Code de commerce, article L441-9): numbers are
//! continuous and chronological per seller, type and year; a document is frozen when it is issued and cancelled only by a
//! credit note that cites it. The stored document holds all that its PDF and its Factur-X form need, so that both are pure
//! functions of it.
//!
//! * [`domain`]: documents, taxes, number series; pure.
//! * [`steps`]: what sagas call, `billing.invoice@1` and `billing.credit@1`.
//! * [`queries`]: what the API asks.
//! * [`events`]: what other contexts hear.
//! * `repository`: the only SurrealQL.

pub mod domain;
pub mod events;
pub mod queries;
mod repository;
mod settings;
pub mod steps;

use amends_sdk::BoundedContext;

pub use settings::BillingSettings;

/// The name of this context: its database, the first token of its subjects and contracts.
pub const NAME: &str = "billing";

/// The context, ready to run.
pub fn context(settings: BillingSettings) -> BoundedContext {
    BoundedContext::new(NAME, repository::SCHEMA)
        .step(steps::IssueInvoice::new(settings.clone()))
        .step(steps::IssueCreditNote::new(settings))
        .endpoint(queries::ListInvoices)
        .endpoint(queries::GetInvoice)
}
