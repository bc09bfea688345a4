//! Sagas that wait for a time: what they cost in memory, and how soon they are served again.

use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use serde::{Deserialize, Serialize};

use crate::fill::{Left, fill};
use crate::usage;
use crate::world::World;

/// Longer than any of this takes.
const AWAY: chrono::TimeDelta = chrono::TimeDelta::hours(12);

/// After it serves, before its memory is looked at: what it does after a start is done by then.
const SETTLE: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// How many wait.
    pub saga_count: usize,
    /// From the start until every partition was served, on a store that nobody held.
    pub start_ms: f64,
    /// From the start after `kill -9` until every partition was served: the killed one's leases run out meanwhile.
    pub restart_ms: f64,
    /// Resident memory of the orchestrator a while after the restart.
    pub resident_mib: f64,
    /// The most at any time since the restart.
    pub peak_mib: f64,
}

/// Fills a store with so many, and starts an orchestrator on it twice.
pub async fn measure(count: usize) -> anyhow::Result<Waiting> {
    println!("{count} sagas that wait for a time");
    let mut world = World::with_broker().await?;
    fill(world.data(), count, Left::WaitingUntil(Utc::now() + AWAY)).await?;
    let start_ms = world.orchestrator().await?;
    tokio::time::sleep(SETTLE).await;
    world.kill("orchestrator").await?;
    let restart_ms = world.orchestrator().await?;
    tokio::time::sleep(SETTLE).await;
    let pid = world.pid("orchestrator").context("it runs")?;
    let (resident_mib, peak_mib) = usage::memory_mib(pid);
    println!("started in {start_ms:.0} ms, again in {restart_ms:.0} ms; {resident_mib:.0} MiB");
    world.end().await?;
    Ok(Waiting { saga_count: count, start_ms, restart_ms, resident_mib, peak_mib })
}
