//! How answers read, for the OpenAPI document: twins of the wire types in `amends_schemas`, and the shape of what contexts
//! answer and the gateway passes on. Tests check real answers against them.

mod bulk;
mod contexts;
mod family;
mod operate;
mod sagas;
mod schedules;
mod search;
mod workers;

pub use bulk::{BulkOperationDocument, BulkPreviewDocument, BulkVerbDocument, SagaFilterDocument};
pub use contexts::{
    AvailabilityDocument, ChargeDocument, CreditNoteDocument, InvoiceDocument, InvoiceLineDocument,
    NotificationDocument, PaymentDocument, PersonDocument, ReceiptDocument, RefundDocument, RegistrationDocument,
    RegistrationStatusDocument, WebhookReceipt,
};
pub use family::{ChildrenDocument, ParentDocument, SignalReceiptDocument};
pub use operate::{CompensationPreviewDocument, OperatedDocument};
pub use sagas::{
    HistoryEntryDocument, SagaDocument, SagaStatusDocument, SagaSummaryDocument, StepDocument, StepStatusDocument,
};
pub use schedules::{CatchUpDocument, ScheduleDocument, ScheduleOperatedDocument, ScheduleSummaryDocument};
pub use search::{SagaCountDocument, SagaCountsDocument};
use utoipa::ToSchema;
pub use workers::{
    DeadLetterActedDocument, DeadLetterDocument, DeadLetterStatusDocument, DeadLettersDocument, QueuesDocument,
    WorkersDocument,
};

/// An amount in a currency. Never a float.
#[derive(ToSchema)]
#[schema(as = Money)]
pub struct MoneyDocument {
    /// A decimal number with the decimals of its currency.
    #[schema(example = "120.00")]
    pub amount: String,
    /// ISO 4217.
    #[schema(example = "EUR", min_length = 3, max_length = 3)]
    pub currency: String,
}

/// A code and a sentence.
#[derive(ToSchema)]
#[schema(as = StepError)]
pub struct StepErrorDocument {
    /// Stable, in `snake_case`.
    #[schema(example = "card_declined")]
    pub code: String,
    /// For people.
    pub message: String,
}

/// A page of a list.
#[derive(ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it as `cursor` for what follows; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}
