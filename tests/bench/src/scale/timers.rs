//! Timers that are due at the same moment: how soon each has been acted on, and how soon the sagas are done.

use std::time::Duration;

use amends_nats::Nats;
use amends_schemas::topology::COMMANDS;
use anyhow::{Context, bail, ensure};
use chrono::{TimeDelta, Utc};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::control::DONE;
use crate::fill::{Left, fill};
use crate::world::World;

/// From the beginning until they are due, in seconds: as long as filling the store and starting on it takes. Where the first is too
/// short it is done again with the next.
const LEADS_SECONDS: [i64; 3] = [15, 45, 135];

/// Between looks at the queue.
const POLL: Duration = Duration::from_millis(10);

/// How long all of it may take once they are due.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Timers {
    /// How many.
    pub saga_count: usize,
    /// From when they were due until the command of each was in the work queue, its dispatch journaled before.
    pub acted_on_ms: f64,
    /// From when the workers started on the full queue until all sagas were completed.
    pub completed_ms: f64,
}

/// Sagas that all wait for the same moment; workers are started only when all commands are there.
pub async fn measure(count: usize) -> anyhow::Result<Timers> {
    println!("{count} timers at the same moment");
    for lead_seconds in LEADS_SECONDS {
        let mut world = World::with_broker().await?;
        let due = Utc::now() + TimeDelta::seconds(lead_seconds);
        fill(world.data(), count, Left::WaitingUntil(due)).await?;
        world.orchestrator().await?;
        let queued_too_soon = queued(world.client()?).await?;
        if let Ok(left) = (due - Utc::now()).to_std() {
            ensure!(queued_too_soon == 0, "a timer was acted on before it was due");
            sleep(left).await;
            return once_due(world, count).await;
        }
        world.end().await?;
    }
    bail!("the store is not filled and served in time: too slow a machine for {count} timers")
}

async fn once_due(mut world: World, count: usize) -> anyhow::Result<Timers> {
    let client = world.client()?.clone();
    let began = Instant::now();
    while queued(&client).await? < count as u64 {
        ensure!(began.elapsed() < PATIENCE, "timers are not acted on");
        sleep(POLL).await;
    }
    let acted_on_ms = began.elapsed().as_secs_f64() * 1000.0;

    let mut done = client.client().subscribe(DONE).await?;
    client.client().flush().await?;
    let began = Instant::now();
    world.workers().await?;
    let mut completed_count = 0;
    while completed_count < count {
        let told = timeout(PATIENCE, done.next()).await.context("sagas do not complete")?.context("NATS is there")?;
        completed_count += told.payload.len() / size_of::<uuid::Bytes>();
    }
    let completed_ms = began.elapsed().as_secs_f64() * 1000.0;
    println!("acted on in {acted_on_ms:.0} ms, completed in {completed_ms:.0} ms more");
    world.end().await?;
    Ok(Timers { saga_count: count, acted_on_ms, completed_ms })
}

/// Commands in the work queue.
async fn queued(nats: &Nats) -> anyhow::Result<u64> {
    Ok(nats.jetstream().get_stream(COMMANDS.name).await?.cached_info().state.messages)
}
