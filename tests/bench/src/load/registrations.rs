//! Registrations through the HTTP API: accepted when it answers 202, confirmed when the domain event that says so has arrived.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use amends_nats::Nats;
use amends_schemas::event::CloudEvent;
use amends_schemas::subjects::domain_event;
use anyhow::{Context, ensure};
use async_trait::async_trait;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{Load, PATIENCE, Sample};
use crate::control::JournalCount;

/// The event that tells of a confirmation.
const CONFIRMED: &str = "registration.RegistrationConfirmed.v1";

/// Events of the catalog that people register for in turn: sales of several go on at once.
const EVENTS: usize = 8;

/// Seats of each: more than any run takes, so that nobody waits.
const CAPACITY: u32 = 100_000;

/// What is known of a registration.
enum Slot {
    /// Confirmed before the request for it was answered.
    Told(Instant),
    /// Somebody waits for its confirmation.
    Waits(oneshot::Sender<Instant>),
}

type Slots = Arc<Mutex<HashMap<Uuid, Slot>>>;

/// Registers people, each of whom pays at once.
pub struct Registrations {
    client: reqwest::Client,
    base: String,
    event_ids: Vec<String>,
    slots: Slots,
    people: AtomicUsize,
}

impl Registrations {
    /// With the API at `base`; creates and publishes the events.
    pub async fn new(base: &str, nats: &Nats) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(PATIENCE).tcp_nodelay(true).no_proxy().build()?;
        let slots = Slots::default();
        let mut confirmed = nats.client().subscribe(domain_event(CONFIRMED)).await?;
        nats.client().flush().await?;
        let told = Arc::clone(&slots);
        tokio::spawn(async move {
            while let Some(message) = confirmed.next().await {
                if let Some(id) = registration_of(&message.payload) {
                    tell(&told, id, Instant::now());
                }
            }
        });
        let mut registrations =
            Self { client, base: base.to_owned(), event_ids: Vec::new(), slots, people: AtomicUsize::default() };
        for number in 0..EVENTS {
            registrations.event_ids.push(registrations.publish_event(number).await?);
        }
        Ok(registrations)
    }

    async fn publish_event(&self, number: usize) -> anyhow::Result<String> {
        let event = json!({
            "title": format!("Sagas in Practice, part {number}"), "capacity": CAPACITY, "tax_rate": "0.20",
            "starts_at": "2031-06-12T07:00:00Z", "ends_at": "2031-06-12T16:00:00Z", "timezone": "Europe/Paris",
            "price": {"amount": "120.00", "currency": "EUR"},
        });
        let created = self.send(Method::POST, "/v1/events", Some(&event)).await?;
        let event_id = created["event_id"].as_str().context("an event has an id")?.to_owned();
        self.send(Method::POST, &format!("/v1/events/{event_id}/publish"), Some(&json!({}))).await?;
        Ok(event_id)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let key = Uuid::now_v7().to_string();
        let mut request = self.client.request(method, format!("{}{path}", self.base)).header("idempotency-key", key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path} answers {status}: {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }
}

fn registration_of(payload: &[u8]) -> Option<Uuid> {
    let event: CloudEvent = serde_json::from_slice(payload).ok()?;
    event.data["registration_id"].as_str()?.parse().ok()
}

fn tell(slots: &Slots, id: Uuid, now: Instant) {
    let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
    match slots.remove(&id) {
        Some(Slot::Waits(waiter)) => {
            let _ = waiter.send(now);
        }
        // An event may be told twice; the first time counts.
        Some(Slot::Told(before)) => {
            slots.insert(id, Slot::Told(before));
        }
        None => {
            slots.insert(id, Slot::Told(now));
        }
    }
}

#[async_trait]
impl Load for Registrations {
    async fn one(&self) -> anyhow::Result<Sample> {
        let person = self.people.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "event_id": self.event_ids[person % EVENTS], "payment_token": "tok_ok",
            "attendee": {"name": format!("Person {person}"), "email": format!("person{person}@example.org"), "locale": "en"},
        });
        let asked = Instant::now();
        let answer = self.send(Method::POST, "/v1/registrations", Some(&body)).await?;
        let accepted = Instant::now();
        let id = answer["registration_id"].as_str().context("a registration has an id")?.parse()?;
        let (sender, confirmed) = oneshot::channel();
        let told = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            match slots.remove(&id) {
                Some(Slot::Told(at)) => Some(at),
                Some(Slot::Waits(_)) | None => {
                    slots.insert(id, Slot::Waits(sender));
                    None
                }
            }
        };
        let completed = match told {
            Some(at) => at,
            None => timeout(PATIENCE, confirmed).await.context("a registration is not confirmed")??,
        };
        Ok(Sample { id, asked, accepted: Some(accepted), completed })
    }

    async fn check(&self, sample: &Sample) -> anyhow::Result<()> {
        let registration = self.send(Method::GET, &format!("/v1/registrations/{}", sample.id), None).await?;
        ensure!(registration["status"] == "confirmed", "a confirmed registration reads {registration}");
        Ok(())
    }

    async fn journal(&self) -> anyhow::Result<Option<JournalCount>> {
        Ok(None)
    }
}
