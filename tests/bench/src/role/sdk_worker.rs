//! Four no-op workers through the SDK: schema checks, an inbox row for each command in a commit that is fsynced and that others may
//! share, a database each.

use std::path::Path;
use std::time::Instant;

use amends_database::{Database, Location};
use amends_sdk::{BoundedContext, Failure, Step, StepContext, Success, Undo, WorkerSettings};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connect;
use crate::control::say_ready;
use crate::job;

/// Commands of one contract handled at once: as many as a full round brings, so that their commits share fsyncs.
const CONCURRENCY: usize = 256;

#[derive(Debug, Serialize, Deserialize)]
struct WorkInput {
    order_id: String,
    amount: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct WorkOutput {
    reference: String,
}

macro_rules! no_op {
    ($name:ident, $contract:literal) => {
        struct $name;

        impl Step for $name {
            const CONTRACT: &'static str = $contract;
            type Input = WorkInput;
            type Output = WorkOutput;

            async fn execute(&self, _: &mut StepContext, _: WorkInput) -> Result<Success<WorkOutput>, Failure> {
                Ok(Success::new(WorkOutput { reference: "R-1".to_owned() }))
            }

            async fn undo(&self, _: &mut StepContext, _: Undo<WorkInput, WorkOutput>) -> Result<(), Failure> {
                Ok(())
            }
        }
    };
}

no_op!(One, "one.work@1");
no_op!(Two, "two.work@1");
no_op!(Three, "three.work@1");
no_op!(Four, "four.work@1");

/// Serves until killed.
pub async fn run(url: &str, data: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    let contexts = [
        BoundedContext::new("one", "").step(One),
        BoundedContext::new("two", "").step(Two),
        BoundedContext::new("three", "").step(Three),
        BoundedContext::new("four", "").step(Four),
    ];
    let contracts = job::contracts()?;
    let mut running = JoinSet::new();
    for context in contexts {
        let name = context.name();
        let nats = connect(url, name).await?;
        let database = Database::open(&Location::Embedded(data.join(name)), "amends", name).await?;
        let contracts = contracts.clone();
        let settings = WorkerSettings { concurrency: CONCURRENCY, ..WorkerSettings::default() };
        running.spawn(async move { context.run(nats, database, &contracts, settings, CancellationToken::new()).await });
    }
    say_ready(began);
    running.join_next().await.context("there are contexts")???;
    anyhow::bail!("a context ended")
}
