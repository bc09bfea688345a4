//! How much it can hold: a million finished sagas, a hundred thousand that wait, ten thousand timers in one second.

pub mod listing;
mod timers;
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::fill::{Left, fill};
use crate::load::{Load, Plan, measure};
use crate::machine::{Machine, load_average};
use crate::measurement::{Contender, Measurement};
use crate::report::Results;
use crate::scale::listing::Listing;
use crate::scale::timers::Timers;
use crate::scale::waiting::Waiting;
use crate::world::World;

/// A file that is being merged grows all the time, but for a while at its end in which its filter is made.
const FILES_REST: Duration = Duration::from_secs(6);

/// After which it is measured all the same.
const MERGED_WITHIN: Duration = Duration::from_secs(150);

/// Between two looks at them.
const FILES_POLL: Duration = Duration::from_millis(250);

/// How much, and for how long.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Scale {
    /// Finished sagas in the store; 0 leaves them out.
    #[arg(long, default_value_t = 1_000_000)]
    finished: usize,
    /// Sagas that wait for a time; 0 leaves them out.
    #[arg(long, default_value_t = 100_000)]
    waiting: usize,
    /// Timers due at the same moment; 0 leaves them out.
    #[arg(long, default_value_t = 10_000)]
    timers: usize,
    /// How often each list is asked for.
    #[arg(long, default_value_t = 300)]
    listings: usize,
    /// Rounds with the empty and with the full store, interleaved.
    #[arg(long, default_value_t = 3)]
    full_rounds: usize,
    /// Sagas in flight in them.
    #[arg(long, default_value_t = 256)]
    full_in_flight: usize,
    /// Measured time of each, in seconds: long enough for rows of the view to be written, files with them, and files to be merged in between.
    #[arg(long, default_value_t = 20.0)]
    full_seconds: f64,
    /// Where the full store is kept for the next time, and taken from when it is there; a temporary folder unless given.
    #[arg(long)]
    store: Option<PathBuf>,
    /// Only fill it.
    #[arg(long, requires = "store")]
    fill_only: bool,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scaled {
    /// Where and when.
    pub machine: Machine,
    /// With many finished sagas.
    pub full: Option<Full>,
    /// With many that wait.
    pub waiting: Option<Waiting>,
    /// With many timers at once.
    pub timers: Option<Timers>,
}

/// With a full store.
#[derive(Debug, Serialize, Deserialize)]
pub struct Full {
    /// Finished sagas in it at first.
    pub saga_count: usize,
    /// The engine with an empty store.
    pub on_empty: Vec<Measurement>,
    /// The engine with the full one.
    pub on_full: Vec<Measurement>,
    /// From the orchestrator's start until it served, with the full one, each time.
    pub start_ms: Vec<f64>,
    /// From then on until its files were merged: each round is killed in the middle of that, and the next begins it again.
    #[serde(default)]
    pub merged_ms: Vec<f64>,
    /// Pages of it.
    pub listings: Vec<Listing>,
}

/// Waits until the database has not changed its files for a while; how long that took.
async fn merged(store: &Path) -> anyhow::Result<f64> {
    let began = Instant::now();
    let (mut files, mut changed) = (Vec::new(), began);
    while changed.elapsed() < FILES_REST && began.elapsed() < MERGED_WITHIN {
        let mut now = Vec::new();
        for entry in std::fs::read_dir(store.join("sstables"))? {
            let entry = entry?;
            // One may be gone since.
            now.extend(entry.metadata().ok().map(|found| (entry.file_name(), found.len())));
        }
        now.sort_unstable();
        if now != files {
            (files, changed) = (now, Instant::now());
        }
        tokio::time::sleep(FILES_POLL).await;
    }
    Ok((changed - began).as_secs_f64() * 1000.0)
}

impl Scale {
    /// Measures, and writes the report.
    pub async fn run(&self, out: &Path) -> anyhow::Result<()> {
        let kept = match &self.store {
            Some(store) => store.clone(),
            None => tempfile::tempdir()?.keep(),
        };
        let measured = self.measure(&kept).await;
        if self.store.is_none() {
            std::fs::remove_dir_all(&kept)?;
        }
        let Some(scaled) = measured? else { return Ok(()) };
        let mut results = Results::read_if_any(out)?;
        results.scale = Some(scaled);
        results.write(out)
    }

    async fn measure(&self, kept: &Path) -> anyhow::Result<Option<Scaled>> {
        let store = self.filled(kept).await?;
        if self.fill_only {
            return Ok(None);
        }
        let mut machine = Machine::look();
        let full = if self.finished > 0 { Some(self.full(&store).await?) } else { None };
        let waiting = if self.waiting > 0 { Some(waiting::measure(self.waiting).await?) } else { None };
        let timers = if self.timers > 0 { Some(timers::measure(self.timers).await?) } else { None };
        machine.load_after = load_average();
        Ok(Some(Scaled { machine, full, waiting, timers }))
    }

    /// The full store's folder; what was begun and not ended is begun anew.
    async fn filled(&self, kept: &Path) -> anyhow::Result<PathBuf> {
        let data = kept.join(format!("finished-{}", self.finished));
        let whole = kept.join(format!("finished-{}.whole", self.finished));
        if !whole.exists() && self.finished > 0 {
            println!("filling a store with {} finished sagas", self.finished);
            if data.exists() {
                std::fs::remove_dir_all(&data)?;
            }
            std::fs::create_dir_all(kept)?;
            fill(&data, self.finished, Left::Finished).await?;
            std::fs::write(whole, "")?;
        }
        Ok(data)
    }

    async fn full(&self, store: &Path) -> anyhow::Result<Full> {
        let mut full = Full {
            saga_count: self.finished,
            on_empty: Vec::new(),
            on_full: Vec::new(),
            start_ms: Vec::new(),
            merged_ms: Vec::new(),
            listings: Vec::new(),
        };
        for round in 1..=self.full_rounds {
            let mut world = World::with_broker().await?;
            world.orchestrator().await?;
            full.on_empty.push(self.loaded(world, round, "an empty store").await?);

            let mut world = World::with_broker().await?.with_data(store.to_owned());
            full.start_ms.push(world.orchestrator().await?);
            full.merged_ms.push(merged(store).await?);
            if round == self.full_rounds {
                full.listings = listing::ask_all(world.client()?, self.finished, self.listings).await?;
            }
            full.on_full.push(self.loaded(world, round, "the full store").await?);
        }
        Ok(full)
    }

    async fn loaded(&self, mut world: World, round: usize, title: &str) -> anyhow::Result<Measurement> {
        world.workers().await?;
        let load: Arc<dyn Load> = Arc::new(world.sagas(true).await?);
        let measured = Duration::from_secs_f64(self.full_seconds);
        let plan = Plan { warm_up: measured / 2, measured, fsyncs: Duration::ZERO };
        let pids = world.pids();
        let found = measure(&load, &pids, Contender::Engine, self.full_in_flight, round, plan).await?;
        println!("round {round}, {} in flight, {title}: {:.0} sagas/s", self.full_in_flight, found.rate());
        drop(load);
        world.end().await?;
        Ok(found)
    }
}
