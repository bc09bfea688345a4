//! A context to test with: it pours drinks, and can be told how to go wrong.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends_schemas::contract::ContractRegistry;
use amends_schemas::event::CloudEvent;
use amends_schemas::problem::Problem;
use amends_sdk::database::DatabaseError;
use amends_sdk::endpoint::EndpointError;
use amends_sdk::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Notify;

pub const SCHEMA: &str = "
    DEFINE TABLE IF NOT EXISTS glass SCHEMALESS;
    DEFINE TABLE IF NOT EXISTS counter SCHEMALESS;
    DEFINE TABLE IF NOT EXISTS note SCHEMALESS;
";

pub fn contracts() -> ContractRegistry {
    let mut registry = ContractRegistry::empty();
    let input = r#"{"type":"object","required":["glass"],"additionalProperties":false,
        "properties":{"glass":{"type":"string","minLength":1},"how":{"type":"string"}}}"#;
    let output = r#"{"type":"object","required":["run"],"properties":{"run":{"type":"integer","minimum":1}}}"#;
    for step in ["pour", "gulp"] {
        let document = format!(
            r#"{{"contract":"lab.{step}@1","title":"t","outcomes":["full","half"],"undo":true,"probe":true,
                "errors":{{"empty":"nothing left"}},"input":{input},"output":{output}}}"#
        );
        registry.add("lab", &document).unwrap();
    }
    registry
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PourInput {
    pub glass: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub how: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PourOutput {
    pub run: i64,
}

/// What happened outside of the transactions.
#[derive(Debug, Default)]
pub struct Watch {
    pub runs: AtomicU32,
    pub undos: AtomicU32,
    pub heard: AtomicU32,
    pub begun: Notify,
    pub go_on: Notify,
}

impl Watch {
    pub fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
    pub fn undos(&self) -> u32 {
        self.undos.load(Ordering::SeqCst)
    }
    pub fn heard(&self) -> u32 {
        self.heard.load(Ordering::SeqCst)
    }
}

async fn count(work: &mut UnitOfWork, id: &str) -> Result<(), DatabaseError> {
    let statement = "UPSERT type::record('counter', $id) SET n = (n ?? 0) + 1 RETURN NONE";
    work.query(statement, json!({ "id": id })).await.map(drop)
}

pub async fn counted(database: &database::Database, id: &str) -> i64 {
    let statement = "SELECT VALUE n FROM type::record('counter', $id)";
    // The worker may not have defined its tables yet.
    let Ok(mut rows) = database.query(statement, json!({ "id": id })).await else { return 0 };
    rows.take_first(0).unwrap().unwrap_or(0)
}

pub struct Pour(pub Arc<Watch>);

impl Step for Pour {
    const CONTRACT: &'static str = "lab.pour@1";
    type Input = PourInput;
    type Output = PourOutput;

    async fn execute(&self, context: &mut StepContext, input: PourInput) -> Result<Success<PourOutput>, Failure> {
        let run = self.0.runs.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.begun.notify_one();
        count(&mut context.work, &input.glass).await?;
        context.work.publish(DomainEvent {
            name: "Poured.v1",
            subject: input.glass.clone(),
            sequence: u64::from(run),
            data: json!({ "glass": input.glass }),
        });
        match input.how.as_str() {
            "" => {}
            "wait" => self.0.go_on.notified().await,
            "slow" => tokio::time::sleep(Duration::from_secs(7)).await,
            "panic" => panic!("the glass breaks"),
            "bug" => return Err(Failure::bug("no such glass")),
            "empty" => return Err(Failure::failed("empty", "nothing left")),
            "retry" => return Err(Failure::retry("later", "not now")),
            "retry_once" if run == 1 => return Err(Failure::retry("later", "not now")),
            "retry_once" => {}
            "unknown" => return Err(Failure::unknown("lost", "no answer")),
            "no_outcome" => return Ok(Success::new(PourOutput { run: 1 })),
            "bad_output" => return Ok(Success::with_outcome("full", PourOutput { run: 0 })),
            "contended" if run < 3 => {
                // Somebody else commits the same record in between.
                let statement = "UPSERT type::record('counter', $id) SET n = (n ?? 0) + 100 RETURN NONE";
                context.work.database().query(statement, json!({ "id": input.glass })).await?;
            }
            "contended" => {}
            "swallow" => {
                let _ = context.work.query("THROW 'no'", ()).await;
            }
            "exists" => {
                if context
                    .work
                    .query("CREATE type::record('counter', $id)", json!({ "id": input.glass }))
                    .await
                    .is_err()
                {
                    return Err(Failure::failed("empty", "taken"));
                }
            }
            other => panic!("{other}?"),
        }
        Ok(Success::with_outcome("full", PourOutput { run: i64::from(run) }))
    }

    async fn undo(&self, context: &mut StepContext, undo: Undo<PourInput, PourOutput>) -> Result<(), Failure> {
        let undos = self.0.undos.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(undo.output.is_some());
        if undo.input.how == "retry_once" && undos == 1 {
            count(&mut context.work, "refused undo").await?;
            return Err(Failure::failed("empty", "already drunk"));
        }
        count(&mut context.work, "undone").await?;
        Ok(())
    }

    async fn probe(&self, _context: &mut StepContext, input: PourInput) -> Result<Probe<PourOutput>, Failure> {
        Ok(match input.how.as_str() {
            "happened" => Probe::Happened(Success::with_outcome("half", PourOutput { run: 77 })),
            _ => Probe::NotHappened,
        })
    }
}

/// Touches the world outside before it commits; so its undo is always asked.
pub struct Gulp(pub Arc<Watch>);

impl Step for Gulp {
    const CONTRACT: &'static str = "lab.gulp@1";
    const UNDO_WITHOUT_DO: bool = true;
    type Input = PourInput;
    type Output = PourOutput;

    fn serial_key(&self, input: &PourInput) -> Option<String> {
        Some(input.glass.clone())
    }

    async fn execute(&self, context: &mut StepContext, input: PourInput) -> Result<Success<PourOutput>, Failure> {
        let run = self.0.runs.fetch_add(1, Ordering::SeqCst) + 1;
        count(&mut context.work, &input.glass).await?;
        // What another process would do while this one is in its handler.
        self.0.begun.notify_one();
        if input.how == "wait" && run == 1 {
            self.0.go_on.notified().await;
        }
        Ok(Success::with_outcome("full", PourOutput { run: i64::from(run) }))
    }

    async fn undo(&self, _context: &mut StepContext, undo: Undo<PourInput, PourOutput>) -> Result<(), Failure> {
        self.0.undos.fetch_add(1, Ordering::SeqCst);
        if undo.input.how == "refuse" && undo.output.is_none() {
            return Err(Failure::failed("empty", "it stands"));
        }
        Ok(())
    }
}

pub struct Count;

#[derive(Debug, Deserialize, Serialize)]
pub struct CountRequest {
    pub glass: String,
}

impl Endpoint for Count {
    const NAME: &'static str = "count";
    type Request = CountRequest;
    type Response = i64;

    async fn handle(&self, work: &mut UnitOfWork, request: CountRequest) -> Result<i64, EndpointError> {
        match request.glass.as_str() {
            "broken" => return Err(Problem::not_found("no_such_glass", "It is broken.").into()),
            "panic" => panic!("it breaks"),
            _ => {}
        }
        count(work, &request.glass).await?;
        let mut rows =
            work.query("SELECT VALUE n FROM type::record('counter', $id)", json!({ "id": request.glass })).await?;
        Ok(rows.take_first(0)?.unwrap_or(0))
    }
}

pub struct Hears(pub Arc<Watch>);

#[derive(Debug, Deserialize)]
pub struct Published {
    pub title: String,
}

impl Subscriber for Hears {
    const EVENT: &'static str = "events.EventPublished.v1";
    type Data = Published;

    async fn handle(&self, work: &mut UnitOfWork, event: &CloudEvent, data: Published) -> Result<(), DatabaseError> {
        let heard = self.0.heard.fetch_add(1, Ordering::SeqCst) + 1;
        if data.title == "twice" && heard == 1 {
            panic!("the first time");
        }
        count(work, &event.subject).await
    }
}

pub struct Tidy;

impl Background for Tidy {
    const NAME: &'static str = "tidy";
    const EVERY: Duration = Duration::from_millis(20);

    async fn tick(&self, work: &mut UnitOfWork) -> Result<bool, DatabaseError> {
        count(work, "tidied").await?;
        Ok(false)
    }
}

pub fn lab(watch: &Arc<Watch>) -> BoundedContext {
    BoundedContext::new("lab", SCHEMA)
        .step(Pour(Arc::clone(watch)))
        .step(Gulp(Arc::clone(watch)))
        .endpoint(Count)
        .subscriber(Hears(Arc::clone(watch)))
        .background(Tidy)
}
