//! What contexts answer and the gateway passes on. Members that are not named here may come with it.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{MoneyDocument, StepErrorDocument};

/// A registration.
#[derive(ToSchema)]
#[schema(as = Registration)]
pub struct RegistrationDocument {
    /// Its id.
    pub registration_id: Uuid,
    /// The saga that carries it.
    pub saga_id: Uuid,
    /// The event.
    #[schema(required = false)]
    pub event_id: Option<Uuid>,
    /// Where it stands.
    pub status: RegistrationStatusDocument,
    /// The place in the queue of a waitlisted one, from one.
    #[schema(required = false, minimum = 1)]
    pub position: Option<u32>,
    /// The seat of a confirmed one, from one.
    #[schema(required = false, minimum = 1)]
    pub seat: Option<u32>,
    /// Who.
    #[schema(required = false)]
    pub attendee: Option<PersonDocument>,
    /// What it costs, as it was when the seat was reserved.
    #[schema(required = false)]
    pub price: Option<MoneyDocument>,
    /// Until when the seat is held.
    #[schema(required = false)]
    pub hold_expires_at: Option<DateTime<Utc>>,
    /// Why it came to nothing, such as `failed`, `cancelled` or `deadline`.
    #[schema(required = false)]
    pub reason: Option<String>,
    /// The error of a rejected one.
    #[schema(required = false)]
    pub error: Option<StepErrorDocument>,
    /// What goes back, when it was cancelled.
    #[schema(required = false)]
    pub refund: Option<MoneyDocument>,
    /// When it was reserved; before that, when it was accepted.
    #[schema(required = false)]
    pub created_at: Option<DateTime<Utc>>,
    /// When it last changed.
    #[schema(required = false)]
    pub updated_at: Option<DateTime<Utc>>,
    /// When it was confirmed.
    #[schema(required = false)]
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was cancelled.
    #[schema(required = false)]
    pub cancelled_at: Option<DateTime<Utc>>,
}

/// Where a registration stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RegistrationStatus)]
pub enum RegistrationStatusDocument {
    /// Being decided.
    Pending,
    /// In the queue.
    Waitlisted,
    /// A seat is offered, and held for a while.
    Offered,
    /// It stands.
    Confirmed,
    /// Somebody cancelled it.
    Cancelled,
    /// It came to nothing: a declined card, an event that closed.
    Rejected,
}

/// A person, as one context knows them.
#[derive(ToSchema)]
#[schema(as = Person)]
pub struct PersonDocument {
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// Their language.
    #[schema(required = false)]
    pub locale: Option<String>,
}

/// How full an event is.
#[derive(ToSchema)]
#[schema(as = Availability)]
pub struct AvailabilityDocument {
    /// The event.
    pub event_id: Uuid,
    /// Seats.
    #[schema(minimum = 0)]
    pub capacity: u32,
    /// Seats held or confirmed.
    #[schema(minimum = 0)]
    pub taken: u32,
    /// Seats confirmed.
    #[schema(minimum = 0)]
    pub confirmed: u32,
    /// People in the queue.
    #[schema(minimum = 0)]
    pub waiting: u32,
}

/// One payment intent.
#[derive(ToSchema)]
#[schema(as = Payment)]
pub struct PaymentDocument {
    /// Its id.
    pub payment_id: Uuid,
    /// What it is for.
    pub registration_id: Uuid,
    /// `processing`, `pending`, `captured`, `declined` or `voided`.
    #[schema(example = "captured")]
    pub status: String,
    /// What was to be paid.
    pub amount: MoneyDocument,
    /// What was taken.
    pub captured: MoneyDocument,
    /// What was given back.
    pub refunded: MoneyDocument,
    /// What the gateway charged: nothing, or once.
    pub charges: Vec<ChargeDocument>,
    /// What the gateway gave back.
    pub refunds: Vec<RefundDocument>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Money taken.
#[derive(ToSchema)]
#[schema(as = Charge)]
pub struct ChargeDocument {
    /// The gateway's id.
    pub charge_id: String,
    /// How much.
    pub amount: MoneyDocument,
    /// When, by the gateway's clock.
    pub created_at: DateTime<Utc>,
}

/// Money given back.
#[derive(ToSchema)]
#[schema(as = Refund)]
pub struct RefundDocument {
    /// The gateway's id.
    pub refund_id: String,
    /// How much.
    pub amount: MoneyDocument,
    /// When, by the gateway's clock.
    pub created_at: DateTime<Utc>,
}

/// An invoice, frozen as it was issued, with its receipt and what was credited since.
#[derive(ToSchema)]
#[schema(as = Invoice)]
pub struct InvoiceDocument {
    /// Its id.
    pub invoice_id: Uuid,
    /// Its number: without gap or duplicate per seller and year.
    pub number: String,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// The day of it, where the seller is.
    pub issue_date: NaiveDate,
    /// The day the service is given.
    pub service_date: NaiveDate,
    /// Who issued it.
    #[schema(value_type = Object)]
    pub seller: Value,
    /// Who is billed.
    #[schema(value_type = Object)]
    pub buyer: Value,
    /// What was sold.
    pub lines: Vec<InvoiceLineDocument>,
    /// What each rate of tax comes to.
    #[schema(value_type = Vec<Object>)]
    pub tax_totals: Vec<Value>,
    /// Sum before tax.
    pub total_net: MoneyDocument,
    /// Sum of taxes.
    pub total_tax: MoneyDocument,
    /// What was paid.
    pub total_gross: MoneyDocument,
    /// The payment.
    pub payment_id: Uuid,
    /// What it is for.
    pub registration_id: Uuid,
    /// That it was paid.
    #[schema(required = false)]
    pub receipt: Option<ReceiptDocument>,
    /// What was credited, oldest first.
    pub credit_notes: Vec<CreditNoteDocument>,
}

/// One line of an invoice.
#[derive(ToSchema)]
#[schema(as = InvoiceLine)]
pub struct InvoiceLineDocument {
    /// What it is.
    pub description: String,
    /// The price of one, before tax.
    pub unit_price: MoneyDocument,
    /// Of all, before tax.
    pub net: MoneyDocument,
}

/// That an invoice was paid.
#[derive(ToSchema)]
#[schema(as = Receipt)]
pub struct ReceiptDocument {
    /// Its number.
    pub number: String,
    /// What was paid.
    pub amount: MoneyDocument,
    /// When.
    pub paid_at: DateTime<Utc>,
}

/// What takes an invoice back, wholly or in part; it cites number and date of the invoice.
#[derive(ToSchema)]
#[schema(as = CreditNote)]
pub struct CreditNoteDocument {
    /// Its id.
    pub credit_note_id: Uuid,
    /// Its number: without gap or duplicate per seller and year.
    pub number: String,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// What is credited, tax included.
    pub total_gross: MoneyDocument,
}

/// A message to one person.
#[derive(ToSchema)]
#[schema(as = Notification)]
pub struct NotificationDocument {
    /// Its id.
    pub delivery_id: Uuid,
    /// What it is about.
    pub registration_id: Uuid,
    /// The template.
    #[schema(example = "registration-confirmed")]
    pub template: String,
    /// To whom.
    pub recipient: PersonDocument,
    /// The subject line.
    pub subject: String,
    /// `pending` or `delivered`.
    #[schema(example = "delivered")]
    pub status: String,
    /// How often it was handed over, or tried to.
    #[schema(minimum = 0)]
    pub attempt_count: u32,
    /// When it was first tried.
    pub created_at: DateTime<Utc>,
    /// When it was accepted.
    #[schema(required = false)]
    pub delivered_at: Option<DateTime<Utc>>,
}

/// What became of a gateway's report. Whatever it says, the report need not be sent again.
#[derive(ToSchema)]
pub struct WebhookReceipt {
    /// `taken`, `repeated` (it was taken before) or `ignored` (nothing that concerns us).
    #[schema(example = "taken")]
    pub outcome: String,
}
