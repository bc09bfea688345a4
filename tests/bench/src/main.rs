//! What Amends does in a second, what it costs, and how far that is from what its broker could do at most.
//!
//! `cargo run --release -p amends-bench -- all` measures everything in interleaved rounds and writes `RESULTS.md`.

mod control;
mod counting;
mod job;
mod load;
mod machine;
mod measurement;
mod report;
mod role;
mod usage;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::load::{Driver, Plan, measure};
use crate::machine::Machine;
use crate::measurement::Contender;
use crate::report::Results;
use crate::role::Role;
use crate::world::World;

/// Measures Amends.
#[derive(Debug, Parser)]
#[command(name = "amends-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Engine, engine with SDK workers and floor, in interleaved rounds; then the report.
    All(Rounds),
    /// Only the engine, with plain workers and with SDK workers.
    Engine(Rounds),
    /// Only the floor.
    Floor(Rounds),
    /// Writes the report of what was measured last.
    Report {
        /// Where the results are.
        #[arg(long, default_value = env!("CARGO_MANIFEST_DIR"))]
        out: PathBuf,
    },
    /// A process of the benchmark; started by it.
    #[command(subcommand, hide = true)]
    Role(Role),
}

#[derive(Debug, clap::Args)]
struct Rounds {
    /// Rounds of each contender, interleaved.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Sagas in flight, one point each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256, 1024])]
    in_flight: Vec<usize>,
    /// Measured time of each point, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Time before it that is not counted, in seconds.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Where `results.json` and `RESULTS.md` go.
    #[arg(long, default_value = env!("CARGO_MANIFEST_DIR"))]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::All(rounds) => run(&rounds, &[Contender::Engine, Contender::EngineSdk, Contender::Floor]).await,
        Command::Engine(rounds) => run(&rounds, &[Contender::Engine, Contender::EngineSdk]).await,
        Command::Floor(rounds) => run(&rounds, &[Contender::Floor]).await,
        Command::Report { out } => Results::read(&out)?.write(&out),
        Command::Role(role) => role.play().await,
    }
}

async fn run(rounds: &Rounds, contenders: &[Contender]) -> anyhow::Result<()> {
    let plan =
        Plan { warm_up: Duration::from_secs_f64(rounds.warm_up), measured: Duration::from_secs_f64(rounds.seconds) };
    let mut results = Results { machine: Machine::look(), measurements: Vec::new() };
    for round in 1..=rounds.rounds {
        for &contender in contenders {
            // A new server and new folders each: what one round leaves behind must not slow the next.
            let world = World::of(contender).await?;
            let driver = Driver::new(world.client.clone()).await?;
            for &in_flight in &rounds.in_flight {
                let measurement = measure(&world, &driver, contender, in_flight, round, plan).await?;
                println!(
                    "round {round}, {}, {in_flight} in flight: {:.0} sagas/s, p50 {:.2} ms, p99 {:.2} ms",
                    contender.title(),
                    measurement.rate(),
                    measurement.asked_to_completed_ms.p50,
                    measurement.asked_to_completed_ms.p99,
                );
                results.measurements.push(measurement);
            }
        }
    }
    results.machine.load_after = machine::load();
    results.write(&rounds.out)
}
