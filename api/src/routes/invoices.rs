//! Invoices and credit notes: passed on to the billing context.

use amends_schemas::ids::InvoiceId;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::documents::{InvoiceDocument, Page};
use crate::extract::{PathOf, QueryOf};
use crate::problems::ProblemDocument;
use crate::routes::paging::{as_page, page, without_nulls};
use crate::state::{Api, Outcome, ok};

const CONTEXT: &str = "billing";

/// Which invoices.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct InvoiceQuery {
    /// Only of this registration.
    registration_id: Option<Uuid>,
    /// Where the last page ended.
    cursor: Option<String>,
    /// Items on a page, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// List invoices and credit notes.
#[utoipa::path(get, path = "/v1/invoices", tag = "invoices", params(InvoiceQuery),
    responses((status = 200, description = "A page", body = Page<InvoiceDocument>)))]
pub async fn list_invoices(State(api): State<Api>, QueryOf(query): QueryOf<InvoiceQuery>) -> Outcome {
    let (cursor, limit) = page(query.cursor, query.limit)?;
    let question = without_nulls(json!({"registration_id": query.registration_id, "cursor": cursor, "limit": limit}));
    ok(as_page(api.asking.context(CONTEXT, "list-invoices", &question).await?))
}

/// Read an invoice.
#[utoipa::path(get, path = "/v1/invoices/{invoice_id}", tag = "invoices",
    params(("invoice_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The invoice, as it was issued", body = InvoiceDocument),
        (status = 404, description = "`invoice_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn get_invoice(State(api): State<Api>, PathOf(invoice_id): PathOf<InvoiceId>) -> Outcome {
    let invoice: Value = api.asking.context(CONTEXT, "get-invoice", &json!({"invoice_id": invoice_id})).await?;
    ok(invoice)
}
