//! Calls a context's handlers exactly as its worker does (inbox, schemas, transaction, conflicts, panics) on a real embedded database,
//! without NATS: for the contexts' own tests. Events stay in the outbox, where [`Harness::published`] reads them.
//!
//! ```no_run
//! # use amends_sdk::{BoundedContext, testing::Harness};
//! # use amends_schemas::ids::SagaId;
//! # async fn example<Reserve: amends_sdk::Step>(context: BoundedContext) {
//! let harness = Harness::new(context).await;
//! let saga_id = SagaId::generate();
//! let result = harness.execute::<Reserve>(saga_id, serde_json::json!({ "seats": 1 })).await;
//! let again = harness.execute::<Reserve>(saga_id, serde_json::json!({ "seats": 1 })).await;
//! assert_eq!(result, again);
//! # }
//! ```

use std::sync::Arc;
use std::time::Duration;

use amends_database::{Database, DatabaseError, Location};
use amends_schemas::command::{Command, CompensationReason, Operation, StepResult, idempotency_key};
use amends_schemas::contract::ContractRegistry;
use amends_schemas::event::CloudEvent;
use amends_schemas::ids::SagaId;
use amends_schemas::problem::Problem;
use chrono::Utc;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::background::Background;
use crate::context::{BoundedContext, Prepared};
use crate::endpoint::Endpoint;
use crate::relay::RelayHandle;
use crate::serve::{Heard, Served, hear, serve_command, serve_request};
use crate::step::Step;

/// More events than any test publishes.
const PUBLISHED_MAX: usize = 100_000;

/// A context and its database. Share it between tasks to call handlers at once.
pub struct Harness {
    prepared: Prepared,
    // Dropped last: the database's folder.
    _folder: Option<TempDir>,
}

impl Harness {
    /// A context on a new database of its own, with the contracts that ship.
    ///
    /// # Panics
    /// When the context cannot start.
    pub async fn new(context: BoundedContext) -> Self {
        let contracts = amends_schemas::library::contracts().expect("the contracts that ship are valid");
        Self::with_contracts(context, &contracts).await
    }

    /// As [`Harness::new`], with other contracts.
    ///
    /// # Panics
    /// When the context cannot start.
    pub async fn with_contracts(context: BoundedContext, contracts: &ContractRegistry) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let location = Location::Embedded(folder.path().join("db"));
        let database = Database::open(&location, "amends", context.name()).await.expect("the database opens");
        let mut harness = Self::on(context, database, contracts).await;
        harness._folder = Some(folder);
        harness
    }

    /// A context on a database that is there already: to start it again, or to give it company.
    ///
    /// # Panics
    /// When the context cannot start.
    pub async fn on(context: BoundedContext, database: Database, contracts: &ContractRegistry) -> Self {
        let prepared = context.prepare(database, contracts, RelayHandle::default()).await.expect("the context starts");
        Self { prepared, _folder: None }
    }

    /// The context's database.
    pub const fn database(&self) -> &Database {
        &self.prepared.scope.database
    }

    /// Does a step, under the contract's step name. The same saga again is the same idempotency key.
    pub async fn execute<S: Step>(&self, saga_id: SagaId, input: impl Serialize) -> StepResult {
        self.command(command::<S>(Operation::Do, saga_id, input)).await
    }

    /// Undoes it, with nothing but the inbox to know what it returned.
    pub async fn undo<S: Step>(&self, saga_id: SagaId, input: impl Serialize) -> StepResult {
        self.command(command::<S>(Operation::Undo, saga_id, input)).await
    }

    /// Asks whether it has happened.
    pub async fn probe<S: Step>(&self, saga_id: SagaId, input: impl Serialize) -> StepResult {
        self.command(command::<S>(Operation::Probe, saga_id, input)).await
    }

    /// Any command (see [`command`] for a start). Trouble of the database, which a worker waits out, is answered as unknown.
    ///
    /// # Panics
    /// When the context does not serve its contract.
    pub async fn command(&self, command: Command) -> StepResult {
        let server = self.prepared.steps.iter().find(|step| *step.contract() == command.contract);
        let server = server.unwrap_or_else(|| panic!("{} is not served", command.contract));
        match serve_command(&self.prepared.scope, server, &Arc::new(command)).await {
            Served::Answer(result) => result,
            Served::Later(error) => StepResult::Unknown { error },
        }
    }

    /// Asks an endpoint.
    ///
    /// # Errors
    /// The problem it answers.
    ///
    /// # Panics
    /// When the context does not serve it.
    pub async fn ask<E: Endpoint>(&self, request: impl Serialize) -> Result<Value, Problem> {
        let endpoint = self.prepared.endpoints.iter().find(|endpoint| endpoint.name() == E::NAME);
        let endpoint = endpoint.unwrap_or_else(|| panic!("{} is not served", E::NAME));
        let request = serde_json::to_vec(&request).expect("a request is JSON");
        serve_request(&self.prepared.scope, endpoint, request.into()).await
    }

    /// Delivers an event to whoever listens to its type. Answers whether it was taken in (now or before).
    ///
    /// # Errors
    /// What a worker would log.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn deliver(&self, event: CloudEvent) -> Result<(), String> {
        let subscriber = self.prepared.subscribers.iter().find(|s| s.event_type() == event.event_type);
        let subscriber = subscriber.unwrap_or_else(|| panic!("nobody listens to {}", event.event_type));
        match hear(&self.prepared.scope, subscriber, event).await {
            Heard::Done => Ok(()),
            Heard::Later => Err("the database is in trouble".to_owned()),
            Heard::Bug(text) | Heard::Unreadable(text) => Err(text),
        }
    }

    /// One round of background work.
    ///
    /// # Errors
    /// The database's.
    ///
    /// # Panics
    /// When the context does not do it.
    pub async fn tick<B: Background>(&self) -> Result<bool, DatabaseError> {
        let background = self.prepared.backgrounds.iter().find(|background| background.name() == B::NAME);
        let background = background.unwrap_or_else(|| panic!("{} is not done here", B::NAME));
        background.tick(&self.prepared.scope).await
    }

    /// Everything that was published so far, in order.
    ///
    /// # Panics
    /// When the database fails.
    pub async fn published(&self) -> Vec<CloudEvent> {
        let rows = crate::outbox::kept(self.database(), "", PUBLISHED_MAX).await.expect("the outbox is read");
        rows.iter().map(|row| serde_json::from_str(&row.event).expect("an event")).collect()
    }
}

/// A first attempt, to be changed at will.
///
/// # Panics
/// When the contract's name or the input is not what it must be.
pub fn command<S: Step>(operation: Operation, saga_id: SagaId, input: impl Serialize) -> Command {
    let contract: amends_schemas::contract::ContractName = S::CONTRACT.parse().expect("a contract's name");
    let step = contract.step().to_owned();
    Command {
        saga_id,
        definition: "test@1".to_owned(),
        key: idempotency_key(saga_id, &step, 0, operation),
        step,
        contract,
        operation,
        attempt: 1,
        input: serde_json::to_value(input).expect("an input is JSON"),
        output: None,
        reason: (operation == Operation::Undo).then_some(CompensationReason::Cancelled),
        reply_to: "amends.test.replies".to_owned(),
        expires_at: Utc::now() + Duration::from_secs(30),
    }
}

/// An event as another context would publish it.
pub fn event(event_type: &str, subject: impl Into<String>, sequence: u64, data: Value) -> CloudEvent {
    CloudEvent {
        specversion: "1.0".to_owned(),
        id: Uuid::now_v7(),
        source: format!("/amends/{}", event_type.split('.').next().unwrap_or_default()),
        event_type: event_type.to_owned(),
        subject: subject.into(),
        time: Utc::now(),
        datacontenttype: "application/json".to_owned(),
        sequence,
        data,
    }
}
