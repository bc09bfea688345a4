//! Rounds of the contenders, interleaved, so that whatever else the machine does falls on all of them.

use std::path::Path;
use std::time::Duration;

use crate::load::{Plan, measure};
use crate::machine::{Machine, load_average};
use crate::measurement::{Contender, Measurement};
use crate::report::Results;
use crate::restate;
use crate::world::World;

/// How often, with how many, and for how long.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Rounds {
    /// Rounds of each contender, interleaved.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Jobs in flight, one point each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256, 1024])]
    in_flight: Vec<usize>,
    /// Measured time of each point, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Time before it that is not counted, in seconds.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Time after it in which fsyncs are counted and nothing is timed, in seconds; 0 leaves them out.
    #[arg(long, default_value_t = 1.0)]
    fsyncs: f64,
    /// Add to what was measured before, as further rounds, instead of beginning anew.
    #[arg(long)]
    add: bool,
}

impl Rounds {
    /// Measures these, and writes the report.
    pub async fn run(&self, contenders: &[Contender], out: &Path) -> anyhow::Result<()> {
        let mut results = if self.add { Results::read(out)? } else { Results::read_if_any(out)?.without_rounds() };
        if contenders.iter().any(|contender| contender.is_restate()) {
            // Also fetches and builds what is missing, before anything is measured.
            results.restate = Some(restate::run::settings().await?);
        }
        results.sittings.push(Machine::look());
        let before = results.last_round();
        for round in before + 1..=before + self.rounds {
            let mut measured = Vec::new();
            for &contender in contenders {
                measured.extend(self.points(contender, round).await?);
            }
            // Written after each whole round: what ends a long run early does not take everything with it.
            results.measurements.extend(measured);
            if let Some(machine) = results.sittings.last_mut() {
                machine.load_after = load_average();
            }
            results.write(out)?;
        }
        Ok(())
    }

    /// One contender's round. New servers and new folders: what one leaves behind must not slow the next.
    async fn points(&self, contender: Contender, round: usize) -> anyhow::Result<Vec<Measurement>> {
        let (world, load) = World::of(contender).await?;
        let pids = world.pids();
        let mut found = Vec::new();
        for &in_flight in &self.in_flight {
            let measurement = measure(&load, &pids, contender, in_flight, round, self.plan()).await?;
            println!(
                "round {round}, {}, {in_flight} in flight: {:.0} sagas/s, p50 {:.2} ms, p99 {:.2} ms",
                contender.title(),
                measurement.rate(),
                measurement.asked_to_completed_ms.p50,
                measurement.asked_to_completed_ms.p99,
            );
            found.push(measurement);
        }
        drop(load);
        world.end().await?;
        Ok(found)
    }

    fn plan(&self) -> Plan {
        Plan {
            warm_up: Duration::from_secs_f64(self.warm_up),
            measured: Duration::from_secs_f64(self.seconds),
            fsyncs: Duration::from_secs_f64(self.fsyncs),
        }
    }
}
