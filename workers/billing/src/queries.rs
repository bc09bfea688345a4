//! What the API asks: invoices, with what belongs to them.

use amends_schemas::ids::{InvoiceId, RegistrationId};
use amends_schemas::problem::Problem;
use amends_schemas::saga::Page;
use amends_sdk::endpoint::EndpointError;
use amends_sdk::{Endpoint, Paging, UnitOfWork};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{CreditNote, Invoice, Receipt};
use crate::repository;

/// An invoice as it is read: the frozen document, its receipt and what has been credited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceView {
    /// The document.
    #[serde(flatten)]
    pub invoice: Invoice,
    /// That it was paid.
    pub receipt: Option<Receipt>,
    /// What was credited, oldest first.
    pub credit_notes: Vec<CreditNote>,
}

/// Which page of invoices; newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRequest {
    /// Only this registration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_id: Option<RegistrationId>,
    /// Where the last page ended; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many; bounded as [`Paging`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Which invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetRequest {
    /// Its id.
    pub invoice_id: InvoiceId,
}

/// `amends.ctx.billing.list-invoices`.
#[derive(Debug, Clone, Copy)]
pub struct ListInvoices;

/// `amends.ctx.billing.get-invoice`.
#[derive(Debug, Clone, Copy)]
pub struct GetInvoice;

impl Endpoint for ListInvoices {
    const NAME: &'static str = "list-invoices";
    type Request = ListRequest;
    type Response = Page<InvoiceView>;

    async fn handle(&self, work: &mut UnitOfWork, request: ListRequest) -> Result<Page<InvoiceView>, EndpointError> {
        if let Some(registration_id) = request.registration_id {
            // One registration has at most one invoice, so that its list is one page.
            let items = match repository::invoice_of_registration(work, registration_id).await? {
                Some(invoice) => vec![view(work, invoice).await?],
                None => Vec::new(),
            };
            return Ok(Page { items, next_cursor: None });
        }
        let paging = Paging::new(&json!("invoices"), request.cursor.as_deref(), request.limit)?;
        let found = repository::invoices(work, &paging).await?;
        let Page { items, next_cursor } = paging.page(found, |(position, _)| position.clone());
        let mut views = Vec::with_capacity(items.len());
        for (_, invoice) in items {
            views.push(view(work, invoice).await?);
        }
        Ok(Page { items: views, next_cursor })
    }
}

impl Endpoint for GetInvoice {
    const NAME: &'static str = "get-invoice";
    type Request = GetRequest;
    type Response = InvoiceView;

    async fn handle(&self, work: &mut UnitOfWork, request: GetRequest) -> Result<InvoiceView, EndpointError> {
        match repository::invoice(work, request.invoice_id).await? {
            Some(invoice) => Ok(view(work, invoice).await?),
            None => Err(Problem::not_found("invoice_not_found", "there is no invoice with this id").into()),
        }
    }
}

async fn view(work: &mut UnitOfWork, invoice: Invoice) -> Result<InvoiceView, EndpointError> {
    let credit_notes = repository::credit_notes_of(work, invoice.invoice_id).await?;
    let receipt = repository::receipt_of(work, invoice.invoice_id).await?;
    Ok(InvoiceView { invoice, receipt, credit_notes })
}
