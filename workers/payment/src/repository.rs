//! Where intents are kept: the only SurrealQL of this context.
//!
//! `payment_intent` holds each aggregate as one object, next to what is searched by. `webhook` remembers the ids of reports that
//! were taken.

use std::future::Future;
use std::time::Duration;

use amends_schemas::ids::{PaymentId, RegistrationId};
use amends_sdk::database::{Database, DatabaseError, Rows, Transaction};
use amends_sdk::{Background, UnitOfWork};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::PaymentIntent;

/// Tables and indexes.
pub const SCHEMA: &str = "
    DEFINE TABLE IF NOT EXISTS payment_intent SCHEMALESS;
    DEFINE INDEX IF NOT EXISTS payment_intent_registration ON payment_intent FIELDS registration_id;
    DEFINE INDEX IF NOT EXISTS payment_intent_key ON payment_intent FIELDS key UNIQUE;
    DEFINE TABLE IF NOT EXISTS webhook SCHEMALESS;
    DEFINE INDEX IF NOT EXISTS webhook_taken ON webhook FIELDS taken_ms;
";

/// Most intents of one registration that are read: each takes a saga of its own, and one registration has one or two.
const INTENTS_MAX: usize = 100;

/// How long the id of a webhook is remembered; gateways send again for three days.
const WEBHOOK_AGE_MAX: TimeDelta = TimeDelta::days(7);

/// Ids forgotten in one round.
const PRUNE_BATCH: usize = 1000;

/// Whatever runs statements: the unit of work, a transaction of its own, or none.
pub trait Statements: Send {
    /// Runs them.
    fn run(&mut self, text: &str, bindings: Value) -> impl Future<Output = Result<Rows, DatabaseError>> + Send;
}

impl Statements for UnitOfWork {
    async fn run(&mut self, text: &str, bindings: Value) -> Result<Rows, DatabaseError> {
        self.query(text, bindings).await
    }
}

impl Statements for Transaction {
    async fn run(&mut self, text: &str, bindings: Value) -> Result<Rows, DatabaseError> {
        self.query(text, bindings).await
    }
}

impl Statements for &Database {
    async fn run(&mut self, text: &str, bindings: Value) -> Result<Rows, DatabaseError> {
        self.query(text, bindings).await
    }
}

#[derive(Serialize, Deserialize)]
struct Row {
    intent: PaymentIntent,
}

/// The intent of that id.
pub async fn load(on: &mut impl Statements, payment_id: PaymentId) -> Result<Option<PaymentIntent>, DatabaseError> {
    let bindings = json!({ "payment_id": payment_id });
    on.run("RETURN type::record('payment_intent', $payment_id).intent", bindings).await?.take_first(0)
}

/// The intent under that idempotency key.
pub async fn load_by_key(on: &mut impl Statements, key: &str) -> Result<Option<PaymentIntent>, DatabaseError> {
    let mut rows = on.run("SELECT intent FROM payment_intent WHERE key = $key LIMIT 1", json!({ "key": key })).await?;
    Ok(rows.take_first::<Row>(0)?.map(|row| row.intent))
}

/// All intents of a registration, oldest first.
pub async fn of_registration(
    on: &mut impl Statements,
    registration_id: RegistrationId,
) -> Result<Vec<PaymentIntent>, DatabaseError> {
    let statement = "SELECT intent FROM payment_intent WHERE registration_id = $registration_id LIMIT $limit";
    let bindings = json!({ "registration_id": registration_id, "limit": INTENTS_MAX });
    let mut intents: Vec<PaymentIntent> =
        on.run(statement, bindings).await?.take::<Row>(0)?.into_iter().map(|row| row.intent).collect();
    intents.sort_by_key(|intent| (intent.created_at, intent.payment_id));
    Ok(intents)
}

/// Stores an intent, new or changed. Two transactions that store the same one conflict.
pub async fn save(on: &mut impl Statements, intent: &PaymentIntent) -> Result<(), DatabaseError> {
    let statement = "UPSERT type::record('payment_intent', $payment_id)
        CONTENT { intent: $intent, registration_id: $registration_id, key: $key } RETURN NONE";
    let bindings = json!({
        "payment_id": intent.payment_id,
        "registration_id": intent.registration_id,
        "key": intent.key,
        "intent": intent,
    });
    on.run(statement, bindings).await.map(drop)
}

/// Whether the webhook of that id was taken before; remembers it otherwise. Of two transactions at once that ask, one conflicts.
pub async fn take_webhook(work: &mut UnitOfWork, event_id: &str) -> Result<bool, DatabaseError> {
    let id = json!({ "event_id": event_id });
    let known = work.query("SELECT taken_ms FROM type::record('webhook', $event_id)", id).await?.take::<Value>(0)?;
    if !known.is_empty() {
        return Ok(false);
    }
    let bindings = json!({ "event_id": event_id, "now": work.now().timestamp_millis() });
    let statement = "UPSERT type::record('webhook', $event_id) CONTENT { taken_ms: $now } RETURN NONE";
    work.query(statement, bindings).await.map(|_| true)
}

/// Forgets webhooks that no gateway sends any more.
#[derive(Debug)]
pub struct PruneWebhooks;

impl Background for PruneWebhooks {
    const NAME: &'static str = "prune-webhooks";

    const EVERY: Duration = Duration::from_secs(3600);

    async fn tick(&self, work: &mut UnitOfWork) -> Result<bool, DatabaseError> {
        let before = (work.now() - WEBHOOK_AGE_MAX).timestamp_millis();
        let statement = "SELECT VALUE record::id(id) FROM webhook WHERE taken_ms < $before LIMIT $limit";
        let bindings = json!({ "before": before, "limit": PRUNE_BATCH });
        let old: Vec<String> = work.query(statement, bindings).await?.take(0)?;
        if !old.is_empty() {
            let statement = "DELETE $old.map(|$id| type::record('webhook', $id)) RETURN NONE";
            work.query(statement, json!({ "old": old })).await?;
        }
        Ok(old.len() == PRUNE_BATCH)
    }
}
