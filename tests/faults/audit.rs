//! The books, after everything: do sagas, seats, charges and invoices agree?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amends_test_support::Roles;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::load::Accepted;

/// How long sagas may take to end after the last fault.
const SETTLE_DEADLINE: Duration = Duration::from_secs(240);

/// How long a role may take to answer after it.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// Waits until every saga is final, then checks that everything agrees.
///
/// # Panics
/// When it does not, with the logs of every role.
pub async fn audit(roles: &Roles, accepted: &[Accepted]) {
    let mut confirmed = 0;
    for saga in accepted {
        let ended = roles.client.saga_in(&saga.saga_id, &["completed", "compensated", "stuck"], SETTLE_DEADLINE).await;
        assert_ne!(ended["status"], "stuck", "{ended}\n{}", roles.logs());
        let registration = format!("/v1/registrations/{}", saga.registration_id);
        let registration = roles.client.get_surely(&registration, ANSWER_DEADLINE).await.body;
        match ended["status"].as_str() {
            Some("completed") => {
                assert_eq!(registration["status"], "confirmed", "{registration}");
                confirmed += 1;
                let of_it = |list: &str| format!("/v1/{list}?registration_id={}", saga.registration_id);
                let payments = roles.client.items_surely(&of_it("payments"), ANSWER_DEADLINE).await;
                let charges: usize =
                    payments.iter().map(|payment| payment["charges"].as_array().map_or(0, Vec::len)).sum();
                assert_eq!(charges, 1, "{payments:?}");
                let mails = roles.client.items_surely(&of_it("notifications"), ANSWER_DEADLINE).await;
                assert_eq!(mails.len(), 1, "{mails:?}");
            }
            _ => assert_eq!(registration["status"], "rejected", "{registration}"),
        }
    }
    let ledger = roles.ledger().await;
    let charges = ledger["charges"].as_array().expect("charges");
    let keys: BTreeSet<&str> = charges.iter().filter_map(|charge| charge["idempotency_key"].as_str()).collect();
    assert_eq!((charges.len(), keys.len()), (confirmed, confirmed), "charges, their keys and confirmed seats agree");

    let invoices = all_invoices(roles).await;
    assert_eq!(invoices.len(), confirmed, "invoices and confirmed seats agree");
    assert_dense(&invoices);
}

async fn all_invoices(roles: &Roles) -> Vec<Value> {
    let mut invoices = Vec::new();
    let mut path = "/v1/invoices?limit=100".to_owned();
    loop {
        let page = roles.client.get_surely(&path, ANSWER_DEADLINE).await.body;
        invoices.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/invoices?limit=100&cursor={cursor}"),
            None => return invoices,
        }
    }
}

/// Numbers run from one without a gap, in order of time.
fn assert_dense(invoices: &[Value]) {
    let by_number: BTreeMap<u64, DateTime<Utc>> = invoices
        .iter()
        .map(|invoice| {
            let number = invoice["number"].as_str().expect("a number");
            let counter = number.rsplit('-').next().and_then(|digits| digits.parse().ok()).expect("a counter");
            let issued_at = invoice["issued_at"].as_str().and_then(|text| text.parse().ok());
            (counter, issued_at.expect("a time"))
        })
        .collect();
    let numbers: Vec<u64> = by_number.keys().copied().collect();
    assert_eq!(numbers, (1..=invoices.len() as u64).collect::<Vec<_>>());
    let times: Vec<DateTime<Utc>> = by_number.values().copied().collect();
    assert!(times.is_sorted(), "numbers follow time: {by_number:?}");
}
