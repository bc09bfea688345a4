//! What Amends does in a second, what it costs, how far that is from what its broker could do at most, and what a peer does with the same job.
//!
//! `cargo run --release -p amends-bench -- all` measures everything in interleaved rounds and writes `RESULTS.md`.

mod control;
mod counting;
mod fsyncs;
mod job;
mod load;
mod machine;
mod measurement;
mod report;
mod restate;
mod role;
mod rounds;
mod usage;
mod world;

/// As in the product's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::measurement::Contender;
use crate::report::Results;
use crate::role::Role;
use crate::rounds::Rounds;

/// Measures Amends.
#[derive(Debug, Parser)]
#[command(name = "amends-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every contender, in interleaved rounds; then the report.
    All(Rounds),
    /// Only the engine, with plain workers and with SDK workers.
    Engine(Rounds),
    /// Only Restate, with four services and with four local steps.
    Restate(Rounds),
    /// Only the floor.
    Floor(Rounds),
    /// Some contenders, in interleaved rounds.
    Compare {
        /// Which.
        #[arg(long, value_delimiter = ',', required = true)]
        contenders: Vec<Contender>,
        #[command(flatten)]
        rounds: Rounds,
    },
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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut asked_to_end = signal(SignalKind::terminate())?;
    // Whichever ends first drops the other, and with it every process it has started.
    tokio::select! {
        done = carry_out(Cli::parse().command) => done,
        _ = asked_to_end.recv() => bail!("ended from outside"),
        _ = tokio::signal::ctrl_c() => bail!("ended from outside"),
    }
}

async fn carry_out(command: Command) -> anyhow::Result<()> {
    match command {
        Command::All(rounds) => rounds.run(Contender::value_variants()).await,
        Command::Engine(rounds) => rounds.run(&[Contender::Engine, Contender::EngineSdk]).await,
        Command::Restate(rounds) => rounds.run(&[Contender::RestateServices, Contender::RestateLocal]).await,
        Command::Floor(rounds) => rounds.run(&[Contender::Floor]).await,
        Command::Compare { contenders, rounds } => rounds.run(&contenders).await,
        Command::Report { out } => Results::read(&out)?.write(&out),
        Command::Role(role) => role.play().await,
    }
}
