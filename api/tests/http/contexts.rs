//! Events, payments, invoices, notifications, webhooks: what is asked of whom, and what comes back.

use std::sync::{Arc, Mutex};

use amends_schemas::problem::{Problem, ProblemKind};
use serde_json::{Value, json};

use crate::stage::{Stage, within};

const ID: &str = "0193a1de-7d41-7cc1-9b5e-0242ac120002";

fn new_event() -> Value {
    json!({
        "title": "RustConf", "starts_at": "2030-05-01T09:00:00Z", "ends_at": "2030-05-01T18:00:00Z",
        "timezone": "Europe/Paris", "capacity": 10, "price": {"amount": "120.00", "currency": "EUR"}, "tax_rate": "0.20",
    })
}

fn event(id: &Value, status: &str) -> Value {
    let mut event = new_event();
    event["event_id"] = id.clone();
    event["status"] = json!(status);
    event["seats_sold"] = json!(0);
    event["cancellation"] = json!({"policy": "fee", "fee": {"amount": "5.00", "currency": "EUR"}});
    event["organizer"] = json!(null);
    event["version"] = json!(1);
    event["created_at"] = json!("2026-01-01T00:00:00Z");
    event["updated_at"] = json!("2026-01-01T00:00:00.123456Z");
    event
}

#[tokio::test]
async fn events_are_passed_on_and_back() {
    within(async {
        let stage = Stage::set().await;
        let create = stage.context("events", "create", |question| Ok(event(&question["event_id"], "draft"))).await;
        let get = stage.context("events", "get", |question| Ok(event(&question["event_id"], "draft"))).await;
        let update = stage.context("events", "update", |question| Ok(event(&question["event_id"], "draft"))).await;
        let list = stage
            .context("events", "list", |_| Ok(json!({"items": [event(&json!(ID), "draft")], "next_cursor": "n"})))
            .await;

        let created = stage.call("POST", "/v1/events", Some(new_event())).await;
        assert_eq!(created.status, 201, "{created:?}");
        let id = created.body["event_id"].as_str().expect("an id").to_owned();
        assert_eq!(created.headers["location"], format!("/v1/events/{id}"));
        let mut expected = new_event();
        expected["event_id"] = json!(id);
        assert_eq!(create.questions(), [expected]);

        assert_eq!(stage.call("GET", &format!("/v1/events/{id}"), None).await.status, 200);
        assert_eq!(get.questions(), [json!({"event_id": id})]);

        let patch = json!({"price": null, "capacity": 12});
        assert_eq!(stage.call("PATCH", &format!("/v1/events/{id}"), Some(patch)).await.status, 200);
        assert_eq!(update.questions(), [json!({"event_id": id, "price": null, "capacity": 12})]);

        let page = stage.call("GET", "/v1/events?status=published&limit=7&cursor=c", None).await;
        assert_eq!((page.status, &page.body["next_cursor"]), (200, &json!("n")));
        assert_eq!(list.questions(), [json!({"status": "published", "limit": 7, "cursor": "c"})]);

        for (verb, status) in [("publish", "published"), ("close", "closed"), ("cancel", "cancelled")] {
            let asked = stage.context("events", verb, move |question| Ok(event(&question["event_id"], status))).await;
            let reply = stage.call("POST", &format!("/v1/events/{id}/{verb}"), None).await;
            assert_eq!((reply.status, reply.body["status"].as_str()), (200, Some(status)), "{reply:?}");
            assert_eq!(asked.questions(), [json!({"event_id": id})]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_repeated_creation_reaches_the_same_event() {
    within(async {
        let stage = Stage::set().await;
        let known: Arc<Mutex<Option<Value>>> = Arc::default();
        let memory = Arc::clone(&known);
        stage
            .context("events", "create", move |question| {
                let mut known = memory.lock().expect("not poisoned");
                match known.as_ref() {
                    Some(first) if *first != question => Err(Problem::conflict("idempotency_conflict", "another body")),
                    Some(_) | None => {
                        *known = Some(question.clone());
                        Ok(event(&question["event_id"], "draft"))
                    }
                }
            })
            .await;
        let key = [("idempotency-key", "one")];
        let first = stage.call_with("POST", "/v1/events", &key, Some(new_event())).await;
        let second = stage.call_with("POST", "/v1/events", &key, Some(new_event())).await;
        assert_eq!((first.status, &first.body), (201, &second.body));
        let mut other = new_event();
        other["capacity"] = json!(11);
        let third = stage.call_with("POST", "/v1/events", &key, Some(other)).await;
        assert_eq!((third.status, third.code()), (409, "idempotency_key_reused"), "{third:?}");
    })
    .await;
}

#[tokio::test]
async fn lists_of_contexts_read_alike() {
    within(async {
        let stage = Stage::set().await;
        let euro = json!({"amount": "1.00", "currency": "EUR"});
        let at = "2026-01-01T00:00:00Z";
        let invoice = json!({
            "invoice_id": ID, "number": "INV-2026-000001", "issued_at": at, "issue_date": "2026-01-01",
            "service_date": "2026-01-02", "seller": {}, "buyer": {},
            "lines": [{"description": "d", "unit_price": euro, "net": euro}], "tax_totals": [{}], "total_net": euro,
            "total_tax": euro, "total_gross": euro, "payment_id": ID, "registration_id": ID,
            "receipt": {"number": "RCT-2026-000001", "amount": euro, "paid_at": at},
            "credit_notes": [{"credit_note_id": ID, "number": "CN-2026-000001", "issued_at": at, "total_gross": euro}],
        });
        let message = json!({
            "delivery_id": ID, "registration_id": ID, "template": "registration-confirmed",
            "recipient": {"name": "Ada", "email": "ada@example.org"}, "subject": "s", "status": "delivered",
            "attempt_count": 1, "created_at": at, "delivered_at": null,
        });
        let item = invoice.clone();
        let invoices = stage.context("billing", "list-invoices", move |_| Ok(json!({"items": [item]}))).await;
        let got = stage.context("billing", "get-invoice", move |_| Ok(invoice.clone())).await;
        let messages = stage.context("notification", "list", move |_| Ok(json!([message]))).await;
        let payment = json!({
            "payment_id": ID, "registration_id": ID, "status": "captured", "amount": euro, "captured": euro,
            "refunded": euro, "charges": [{"charge_id": "ch_1", "amount": euro, "created_at": at}],
            "refunds": [{"refund_id": "re_1", "amount": euro, "created_at": at}], "created_at": at, "updated_at": at,
        });
        let payments = stage.context("payment", "list", move |_| Ok(json!([payment]))).await;

        let reply = stage.call("GET", &format!("/v1/invoices?registration_id={ID}"), None).await;
        assert_eq!((reply.status, &reply.body["next_cursor"]), (200, &Value::Null), "{reply:?}");
        assert_eq!(invoices.questions(), [json!({"registration_id": ID, "limit": 50})]);
        assert_eq!(stage.call("GET", &format!("/v1/invoices/{ID}"), None).await.status, 200);
        assert_eq!(got.questions(), [json!({"invoice_id": ID})]);
        let reply = stage.call("GET", "/v1/notifications?limit=1", None).await;
        assert_eq!(
            (&reply.body["items"][0]["status"], &reply.body["next_cursor"]),
            (&json!("delivered"), &Value::Null)
        );
        assert_eq!(messages.questions(), [json!({"limit": 1})]);
        let reply = stage.call("GET", &format!("/v1/payments?registration_id={ID}"), None).await;
        assert_eq!(reply.body[0]["payment_id"], ID, "payments are a bare list: {reply:?}");
        assert_eq!(payments.questions(), [json!({"registration_id": ID})]);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_travels_byte_for_byte_and_a_forged_one_is_refused() {
    within(async {
        let stage = Stage::set().await;
        let asked = stage
            .context("payment", "webhook", |question| {
                if question["signature"] == "good" {
                    Ok(json!({"outcome": "taken"}))
                } else {
                    Err(Problem::new(ProblemKind::Forbidden, "invalid_signature", "It is not theirs."))
                }
            })
            .await;
        let body = "{\"b\":1,  \"a\":\"é\"}\n";
        for (signature, status) in [("good", 200), ("bad", 403)] {
            let headers = [("test-gateway-signature", signature)];
            let reply = stage.send("POST", "/v1/webhooks/test", &headers, body.as_bytes().to_vec()).await;
            assert_eq!(reply.status, status, "{reply:?}");
        }
        assert_eq!(asked.questions()[0], json!({"gateway": "test", "signature": "good", "body": body}));
    })
    .await;
}
