//! Where documents and series are kept: the only SurrealQL of this context.
//!
//! Documents are only ever created: the tables themselves refuse to change or delete a row. A document's record id is its
//! place in its series (`[seller, year, sequence]`), so that a number cannot be given twice.

use amends_schemas::ids::{InvoiceId, RegistrationId};
use amends_sdk::database::DatabaseError;
use amends_sdk::{Paging, UnitOfWork};
use chrono::SecondsFormat;
use serde::Deserialize;
use serde_json::json;

use crate::domain::{CreditNote, Invoice, Receipt, Series, SeriesKey, Stamp};

/// Tables. `position` orders invoices by time, see [`position`]. `balance` counts an invoice's credits: each credit writes it, so that two at once conflict even when they
/// fall into different series (at the turn of a year).
pub(crate) const SCHEMA: &str = "
DEFINE TABLE IF NOT EXISTS series SCHEMALESS;
DEFINE TABLE IF NOT EXISTS balance SCHEMALESS;

DEFINE TABLE IF NOT EXISTS invoice SCHEMALESS;
DEFINE INDEX IF NOT EXISTS invoice_by_id ON invoice FIELDS invoice_id UNIQUE;
DEFINE INDEX IF NOT EXISTS invoice_by_registration ON invoice FIELDS registration_id UNIQUE;
DEFINE INDEX IF NOT EXISTS invoice_by_position ON invoice FIELDS position UNIQUE;
DEFINE EVENT IF NOT EXISTS frozen ON invoice WHEN $event != 'CREATE' THEN { THROW 'an invoice is never changed' };

DEFINE TABLE IF NOT EXISTS receipt SCHEMALESS;
DEFINE INDEX IF NOT EXISTS receipt_by_invoice ON receipt FIELDS invoice_id UNIQUE;
DEFINE EVENT IF NOT EXISTS frozen ON receipt WHEN $event != 'CREATE' THEN { THROW 'a receipt is never changed' };

DEFINE TABLE IF NOT EXISTS credit_note SCHEMALESS;
DEFINE INDEX IF NOT EXISTS credit_note_by_id ON credit_note FIELDS credit_note_id UNIQUE;
DEFINE INDEX IF NOT EXISTS credit_note_by_invoice ON credit_note FIELDS invoice_id;
DEFINE EVENT IF NOT EXISTS frozen ON credit_note WHEN $event != 'CREATE' THEN { THROW 'a credit note is never changed' };
";

/// How far a series has come.
pub(crate) async fn series(work: &mut UnitOfWork, key: SeriesKey) -> Result<Series, DatabaseError> {
    let mut rows = work
        .query(
            "SELECT last_sequence, last_issued_at FROM ONLY type::record('series', [$seller, $prefix, $year])",
            json!({"seller": key.seller, "prefix": key.kind.prefix(), "year": key.year}),
        )
        .await?;
    Ok(rows.take_first(0)?.unwrap_or_default())
}

/// Moves a series on. Two transactions that do so conflict, and one of them runs again.
pub(crate) async fn store_series(work: &mut UnitOfWork, key: SeriesKey, series: Series) -> Result<(), DatabaseError> {
    work.query(
        "UPSERT type::record('series', [$seller, $prefix, $year]) CONTENT $series RETURN NONE",
        json!({"seller": key.seller, "prefix": key.kind.prefix(), "year": key.year, "series": series}),
    )
    .await?;
    Ok(())
}

/// Stores a new invoice at its place.
pub(crate) async fn store_invoice(
    work: &mut UnitOfWork,
    key: SeriesKey,
    stamp: Stamp,
    invoice: &Invoice,
) -> Result<(), DatabaseError> {
    work.query(
        "CREATE type::record('invoice', [$seller, $year, $sequence]) CONTENT {
            invoice_id: $document.invoice_id, registration_id: $document.registration_id,
            position: $position, document: $document
        } RETURN NONE",
        json!({
            "seller": key.seller, "year": key.year, "sequence": stamp.number.sequence,
            "position": position(key, stamp), "document": invoice,
        }),
    )
    .await?;
    Ok(())
}

/// Stores the receipt of an invoice at its place.
pub(crate) async fn store_receipt(
    work: &mut UnitOfWork,
    key: SeriesKey,
    stamp: Stamp,
    invoice: &Invoice,
    receipt: &Receipt,
) -> Result<(), DatabaseError> {
    work.query(
        "CREATE type::record('receipt', [$seller, $year, $sequence]) CONTENT {
            invoice_id: $invoice_id, document: $document
        } RETURN NONE",
        json!({
            "seller": key.seller, "year": key.year, "sequence": stamp.number.sequence,
            "invoice_id": invoice.invoice_id, "document": receipt,
        }),
    )
    .await?;
    Ok(())
}

/// Stores a new credit note at its place, as the `credit_count`th of its invoice.
pub(crate) async fn store_credit_note(
    work: &mut UnitOfWork,
    key: SeriesKey,
    stamp: Stamp,
    note: &CreditNote,
    credit_count: u64,
) -> Result<(), DatabaseError> {
    work.query(
        "CREATE type::record('credit_note', [$seller, $year, $sequence]) CONTENT {
            credit_note_id: $document.credit_note_id, invoice_id: $document.invoice.invoice_id,
            credit_count: $credit_count, document: $document
        } RETURN NONE;
        UPSERT type::record('balance', $document.invoice.invoice_id) CONTENT { credit_count: $credit_count } RETURN NONE",
        json!({
            "seller": key.seller, "year": key.year, "sequence": stamp.number.sequence,
            "document": note, "credit_count": credit_count,
        }),
    )
    .await?;
    Ok(())
}

/// The invoice of a registration.
pub(crate) async fn invoice_of_registration(
    work: &mut UnitOfWork,
    registration_id: RegistrationId,
) -> Result<Option<Invoice>, DatabaseError> {
    work.query(
        "SELECT VALUE document FROM invoice WHERE registration_id = $registration_id LIMIT 1",
        json!({"registration_id": registration_id}),
    )
    .await?
    .take_first(0)
}

/// The invoice of this id.
pub(crate) async fn invoice(work: &mut UnitOfWork, invoice_id: InvoiceId) -> Result<Option<Invoice>, DatabaseError> {
    work.query(
        "SELECT VALUE document FROM invoice WHERE invoice_id = $invoice_id LIMIT 1",
        json!({"invoice_id": invoice_id}),
    )
    .await?
    .take_first(0)
}

/// The receipt of an invoice.
pub(crate) async fn receipt_of(work: &mut UnitOfWork, invoice_id: InvoiceId) -> Result<Option<Receipt>, DatabaseError> {
    work.query(
        "SELECT VALUE document FROM receipt WHERE invoice_id = $invoice_id LIMIT 1",
        json!({"invoice_id": invoice_id}),
    )
    .await?
    .take_first(0)
}

/// The credit notes of an invoice, oldest first. Bounded by the invoice's own amount in minor units, in practice by a few.
pub(crate) async fn credit_notes_of(
    work: &mut UnitOfWork,
    invoice_id: InvoiceId,
) -> Result<Vec<CreditNote>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        document: CreditNote,
    }
    let rows: Vec<Row> = work
        .query(
            "SELECT document, credit_count FROM credit_note WHERE invoice_id = $invoice_id ORDER BY credit_count",
            json!({"invoice_id": invoice_id}),
        )
        .await?
        .take(0)?;
    Ok(rows.into_iter().map(|row| row.document).collect())
}

/// An invoice's place among all invoices: sorts as text like its time of issue, and within a series like its number.
fn position(key: SeriesKey, stamp: Stamp) -> String {
    let time = stamp.issued_at.to_rfc3339_opts(SecondsFormat::Millis, true);
    format!("{time}/{:012}/{}", stamp.number.sequence, key.seller)
}

/// The invoices of a page, newest first, each with its position.
pub(crate) async fn invoices(work: &mut UnitOfWork, paging: &Paging) -> Result<Vec<(String, Invoice)>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        position: String,
        document: Invoice,
    }
    let rows: Vec<Row> = work
        .query(
            "SELECT position, document FROM invoice WHERE position < $before ORDER BY position DESC LIMIT $limit",
            json!({"before": paging.before(), "limit": paging.row_limit()}),
        )
        .await?
        .take(0)?;
    Ok(rows.into_iter().map(|row| (row.position, row.document)).collect())
}
