//! Billing on a real database: numbers, documents that never change, credits within bounds.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use amends_billing::queries::{GetInvoice, InvoiceView, ListInvoices};
use amends_billing::steps::{IssueCreditNote, IssueInvoice};
use amends_billing::{BillingSettings, context};
use amends_schemas::command::StepResult;
use amends_schemas::ids::{RegistrationId, SagaId};
use amends_schemas::library;
use amends_schemas::saga::Page;
use amends_sdk::testing::Harness;
use chrono::{Datelike, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// Far more than any of these takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, test).await.expect("the test ends within its deadline")
}

async fn billing() -> Harness {
    Harness::new(context(BillingSettings::default())).await
}

fn saga(n: u128) -> SagaId {
    SagaId(Uuid::from_u128(1_000 + n))
}

fn registration(n: u128) -> RegistrationId {
    RegistrationId(Uuid::from_u128(2_000 + n))
}

fn invoice_input(n: u128, gross: &str) -> Value {
    json!({
        "registration_id": registration(n),
        "payment_id": Uuid::from_u128(3_000 + n),
        "amount": {"amount": gross, "currency": "EUR"},
        "paid_at": "2026-05-14T08:00:00Z",
        "tax_rate": "0.20",
        "buyer": {"name": "Zoé Durand", "email": "zoe@example.org", "locale": "fr-FR"},
        "billing": {"company": "Durand SARL", "vat_id": "FR44732829320", "address": "2 quai, 69001 Lyon"},
        "description": "Rust Day",
        "service_date": "2026-06-01T22:30:00Z",
    })
}

fn credit_input(n: u128, gross: &str) -> Value {
    json!({
        "registration_id": registration(n),
        "amount": {"amount": gross, "currency": "EUR"},
        "reason": "cancelled by the attendee",
    })
}

fn output(result: StepResult) -> Value {
    match result {
        StepResult::Succeeded { output, .. } => output,
        other => panic!("expected success, got {other:?}"),
    }
}

fn failed_code(result: StepResult) -> String {
    match result {
        StepResult::Failed { error } => error.code,
        other => panic!("expected a clean failure, got {other:?}"),
    }
}

async fn invoices(harness: &Harness, request: Value) -> Page<InvoiceView> {
    serde_json::from_value(harness.ask::<ListInvoices>(request).await.expect("listed")).expect("a page")
}

async fn all_invoices(harness: &Harness) -> Vec<InvoiceView> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = invoices(harness, json!({"cursor": cursor, "limit": 30})).await;
        assert!(page.items.len() <= 30);
        found.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

/// Every event must read as its schema says.
async fn assert_events_fit(harness: &Harness, types: &[&str]) {
    let events = harness.published().await;
    assert_eq!(events.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>(), types);
    for event in events {
        let schema = library::event_schema(&event.event_type).expect("every event that is published has a schema");
        let validator = jsonschema::validator_for(&schema).expect("a valid schema");
        let errors: Vec<String> = validator.iter_errors(&event.data).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", event.event_type);
        assert!(!event.data.to_string().contains("zoe@example.org"), "nothing about the person");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_issued_with_its_receipt_and_read_back_whole() {
    within(async {
        let harness = billing().await;
        let issued = output(harness.execute::<IssueInvoice>(saga(1), invoice_input(1, "120.00")).await);
        let year = &issued["issued_at"].as_str().expect("a time")[..4];
        assert_eq!(issued["number"], format!("INV-{year}-000001"));
        assert_eq!(issued["total"], json!({"amount": "120.00", "currency": "EUR"}));

        let page = invoices(&harness, json!({"registration_id": registration(1)})).await;
        let [view] = page.items.as_slice() else { panic!("one invoice, not {:?}", page.items) };
        let read = harness.ask::<GetInvoice>(json!({"invoice_id": issued["invoice_id"]})).await.expect("found");
        assert_eq!(&serde_json::from_value::<InvoiceView>(read).expect("a view"), view);

        let invoice = &view.invoice;
        assert_eq!(
            (invoice.total_net.to_string(), invoice.total_tax.to_string()),
            ("100.00 EUR".into(), "20.00 EUR".into())
        );
        assert_eq!(invoice.service_date.to_string(), "2026-06-02", "the day where the seller is");
        assert_eq!(invoice.seller.siren.to_string(), "732829320");
        assert_eq!(invoice.buyer.company.as_deref(), Some("Durand SARL"));
        let receipt = view.receipt.as_ref().expect("issued together");
        assert_eq!(receipt.number, format!("RCT-{year}-000001"));
        assert_eq!((&receipt.invoice_number, receipt.amount), (&invoice.number, invoice.total_gross));
        assert_eq!(receipt.paid_at.to_rfc3339(), "2026-05-14T08:00:00+00:00");
        assert!(view.credit_notes.is_empty());
        assert_events_fit(&harness, &["billing.InvoiceIssued.v1"]).await;

        let problem = harness.ask::<GetInvoice>(json!({"invoice_id": Uuid::from_u128(9)})).await.expect_err("unknown");
        assert_eq!(problem.code, "invoice_not_found");
        assert!(invoices(&harness, json!({"registration_id": registration(2)})).await.items.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_twice_answers_the_same_invoice_under_whatever_key() {
    within(async {
        let harness = Arc::new(billing().await);
        // The same command twenty times at once, and the same registration under another saga.
        let mut asking = tokio::task::JoinSet::new();
        for n in 0..20 {
            let harness = Arc::clone(&harness);
            let saga = if n % 2 == 0 { saga(1) } else { saga(100 + n) };
            asking
                .spawn(async move { output(harness.execute::<IssueInvoice>(saga, invoice_input(1, "120.00")).await) });
        }
        let answers: BTreeSet<String> = asking.join_all().await.into_iter().map(|answer| answer.to_string()).collect();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(all_invoices(&harness).await.len(), 1);

        // Another amount for the same registration is not the same question.
        let other = harness.execute::<IssueInvoice>(saga(500), invoice_input(1, "130.00")).await;
        assert_eq!(failed_code(other), "invoiced_differently");
        assert_eq!(harness.published().await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_are_numbered_densely_in_order_of_time() {
    within(async {
        let harness = Arc::new(billing().await);
        let mut asking = tokio::task::JoinSet::new();
        for n in 0..100 {
            let harness = Arc::clone(&harness);
            asking.spawn(
                async move { output(harness.execute::<IssueInvoice>(saga(n), invoice_input(n, "99.99")).await) },
            );
        }
        asking.join_all().await;

        let mut found = all_invoices(&harness).await;
        assert_eq!(found.len(), 100);
        // Newest first.
        found.reverse();
        let year = found[0].invoice.issue_date.format("%Y").to_string();
        for (place, view) in found.iter().enumerate() {
            assert_eq!(view.invoice.number, format!("INV-{year}-{:06}", place + 1));
        }
        assert!(found.is_sorted_by_key(|view| view.invoice.issued_at), "ordered in time");
        let mut receipts: Vec<String> =
            found.iter().map(|view| view.receipt.as_ref().expect("each has one").number.clone()).collect();
        receipts.sort();
        assert_eq!(receipts, (1..=100).map(|n| format!("RCT-{year}-{n:06}")).collect::<Vec<_>>());
    })
    .await;
}

/// Two contexts on one database stand for two processes: their numbers must not collide though they share no lock.
#[tokio::test(flavor = "multi_thread")]
async fn two_workers_on_one_database_share_the_series() {
    within(async {
        let first = Arc::new(billing().await);
        let contracts = library::contracts().expect("contracts");
        let second = Harness::on(context(BillingSettings::default()), first.database().clone(), &contracts).await;
        let workers = [Arc::clone(&first), Arc::new(second)];
        let mut asking = tokio::task::JoinSet::new();
        for n in 0..40 {
            let worker = Arc::clone(&workers[n as usize % 2]);
            asking.spawn(async move {
                // A worker waits out what does not get through; here the command just comes again.
                loop {
                    match worker.execute::<IssueInvoice>(saga(n), invoice_input(n, "10.00")).await {
                        StepResult::Unknown { error } => assert_eq!(error.code, "write_conflict"),
                        result => return output(result),
                    }
                }
            });
        }
        asking.join_all().await;
        let mut found = all_invoices(&first).await;
        found.reverse();
        let year = found[0].invoice.issue_date.format("%Y").to_string();
        let numbers: Vec<&str> = found.iter().map(|view| view.invoice.number.as_str()).collect();
        assert_eq!(numbers, (1..=40).map(|n| format!("INV-{year}-{n:06}")).collect::<Vec<_>>());
        assert!(found.is_sorted_by_key(|view| view.invoice.issued_at));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_number_is_taken_leaves_no_gap() {
    within(async {
        let harness = billing().await;
        output(harness.execute::<IssueInvoice>(saga(1), invoice_input(1, "10.00")).await);
        // The database refuses the document, after the series has moved within the same transaction.
        let refuse = "DEFINE EVENT refuse ON invoice WHEN $event = 'CREATE' THEN { THROW 'the disk is full' }";
        harness.database().query(refuse, ()).await.expect("defined");
        for attempt in 0..3 {
            let result = harness.execute::<IssueInvoice>(saga(2), invoice_input(2, "20.00")).await;
            assert!(matches!(result, StepResult::Unknown { .. }), "attempt {attempt}: {result:?}");
        }
        harness.database().query("REMOVE EVENT refuse ON invoice", ()).await.expect("removed");
        let issued = output(harness.execute::<IssueInvoice>(saga(2), invoice_input(2, "20.00")).await);
        assert!(issued["number"].as_str().expect("a number").ends_with("-000002"), "{issued}");
        assert_eq!(all_invoices(&harness).await.len(), 2);
        assert_eq!(harness.published().await.len(), 2);
    })
    .await;
}

/// The year's turn cannot be waited for; what it leaves behind can be put there.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_year_starts_a_new_series() {
    within(async {
        let harness = billing().await;
        let year = Utc::now().with_timezone(&chrono_tz::Europe::Paris).year();
        for (prefix, year) in [("INV", year - 1), ("RCT", year)] {
            let seed = "CREATE type::record('series', ['732829320', $prefix, $year])
                        CONTENT { last_sequence: 41, last_issued_at: '2020-12-31T22:59:59Z' }";
            harness.database().query(seed, json!({"prefix": prefix, "year": year})).await.expect("seeded");
        }
        output(harness.execute::<IssueInvoice>(saga(1), invoice_input(1, "10.00")).await);
        let found = all_invoices(&harness).await;
        assert!(found[0].invoice.number.ends_with("-000001"), "{}", found[0].invoice.number);
        // The same key in this year would have gone on: as the receipts do.
        assert!(found[0].receipt.as_ref().expect("one").number.ends_with("-000042"), "{:?}", found[0].receipt);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_invoiced_fails_cleanly_and_takes_no_number() {
    within(async {
        let harness = billing().await;
        let zero = harness.execute::<IssueInvoice>(saga(1), invoice_input(1, "0.00")).await;
        assert_eq!(failed_code(zero), "amount_not_positive");
        let issued = output(harness.execute::<IssueInvoice>(saga(2), invoice_input(2, "0.01")).await);
        assert!(issued["number"].as_str().expect("a number").ends_with("-000001"), "{issued}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_wait_for_the_invoice_and_never_exceed_it() {
    within(async {
        let harness = Arc::new(billing().await);
        match harness.execute::<IssueCreditNote>(saga(1), credit_input(1, "60.00")).await {
            StepResult::Retry { error, .. } => assert_eq!(error.code, "invoice_not_issued"),
            other => panic!("expected a retry, got {other:?}"),
        }
        let invoice = output(harness.execute::<IssueInvoice>(saga(2), invoice_input(1, "100.00")).await);

        // The same command, now with its invoice; then again.
        let credit = output(harness.execute::<IssueCreditNote>(saga(1), credit_input(1, "60.00")).await);
        assert_eq!(credit["invoice_number"], invoice["number"]);
        assert_eq!(credit["total"]["amount"], "60.00");
        let again = output(harness.execute::<IssueCreditNote>(saga(1), credit_input(1, "60.00")).await);
        assert_eq!(again, credit);

        // Ten at once for 10.00 each, of which four fit.
        let mut asking = tokio::task::JoinSet::new();
        for n in 10..20 {
            let harness = Arc::clone(&harness);
            asking.spawn(async move { harness.execute::<IssueCreditNote>(saga(n), credit_input(1, "10.00")).await });
        }
        let (credited, refused): (Vec<_>, Vec<_>) =
            asking.join_all().await.into_iter().partition(|result| matches!(result, StepResult::Succeeded { .. }));
        assert_eq!((credited.len(), refused.len()), (4, 6));
        for result in refused {
            assert_eq!(failed_code(result), "credit_exceeds_invoice");
        }

        let page = invoices(&harness, json!({"registration_id": registration(1)})).await;
        let notes = &page.items[0].credit_notes;
        let year = page.items[0].invoice.issue_date.format("%Y").to_string();
        assert_eq!(
            notes.iter().map(|note| note.number.clone()).collect::<Vec<_>>(),
            (1..=5).map(|n| format!("CN-{year}-{n:06}")).collect::<Vec<_>>()
        );
        assert_eq!(notes[0].invoice.issue_date, page.items[0].invoice.issue_date);
        let dollars = json!({"registration_id": registration(1), "amount": {"amount": "1.00", "currency": "USD"}});
        assert_eq!(failed_code(harness.execute::<IssueCreditNote>(saga(30), dollars).await), "currency_mismatch");
        let mut types = vec!["billing.InvoiceIssued.v1"];
        types.extend(["billing.CreditNoteIssued.v1"; 5]);
        assert_events_fit(&harness, &types).await;
        let sequences: Vec<u64> = harness.published().await.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, [1, 2, 3, 4, 5, 6]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_to_change_or_delete_a_document() {
    within(async {
        let harness = billing().await;
        output(harness.execute::<IssueInvoice>(saga(1), invoice_input(1, "100.00")).await);
        output(harness.execute::<IssueCreditNote>(saga(2), credit_input(1, "100.00")).await);
        let before = all_invoices(&harness).await;
        for table in ["invoice", "receipt", "credit_note"] {
            for statement in [
                format!("UPDATE {table} SET document.number = 'INV-0000-000000'"),
                format!("UPDATE {table} MERGE {{ document: {{ total_gross: {{ amount: '1.00' }} }} }}"),
                format!("DELETE {table}"),
            ] {
                harness.database().query(&statement, ()).await.expect_err(&statement);
            }
        }
        assert_eq!(all_invoices(&harness).await, before);
    })
    .await;
}
