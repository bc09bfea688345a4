//! What Amends does in a second, what it costs, how far that is from what its broker could do at most, and what a peer does with the same job.
//!
//! `cargo run --release -p amends-bench -- all` measures everything in interleaved rounds and writes `RESULTS.md`.

mod control;
mod counting;
mod fill;
mod fsyncs;
mod job;
mod load;
mod machine;
mod measurement;
mod registration;
mod report;
mod restate;
mod role;
mod rounds;
mod scale;
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
use crate::registration::Registering;
use crate::report::Results;
use crate::role::Role;
use crate::rounds::Rounds;
use crate::scale::Scale;

/// Measures Amends.
#[derive(Debug, Parser)]
#[command(name = "amends-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every contender in interleaved rounds, registration and scale; then the report.
    All {
        #[command(flatten)]
        rounds: Rounds,
        #[command(flatten)]
        registering: Registering,
        #[command(flatten)]
        scale: Scale,
        #[command(flatten)]
        out: Out,
    },
    /// Only the engine, with plain workers and with SDK workers.
    Engine(Alone),
    /// Only Restate, with four services and with four local steps.
    Restate(Alone),
    /// Only the floor.
    Floor(Alone),
    /// Some contenders, in interleaved rounds.
    Compare {
        /// Which.
        #[arg(long, value_delimiter = ',', required = true)]
        contenders: Vec<Contender>,
        #[command(flatten)]
        alone: Alone,
    },
    /// A million finished sagas, a hundred thousand that wait, ten thousand timers in one second.
    Scale {
        #[command(flatten)]
        scale: Scale,
        #[command(flatten)]
        out: Out,
    },
    /// The main job through the HTTP API, with the real roles and contexts.
    Registration {
        #[command(flatten)]
        registering: Registering,
        #[command(flatten)]
        out: Out,
    },
    /// Writes the report of what was measured last.
    Report(Out),
    /// A process of the benchmark; started by it.
    #[command(subcommand, hide = true)]
    Role(Role),
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct Alone {
    #[command(flatten)]
    rounds: Rounds,
    #[command(flatten)]
    out: Out,
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct Out {
    /// Where `results.json` and `RESULTS.md` go.
    #[arg(long, default_value = env!("CARGO_MANIFEST_DIR"))]
    out: PathBuf,
}

impl Alone {
    async fn run(&self, contenders: &[Contender]) -> anyhow::Result<()> {
        self.rounds.run(contenders, &self.out.out).await
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // As in the product's binary. Without a subscriber the database would write out the key of every access, for nobody.
    tracing_subscriber::fmt().with_env_filter("warn").with_writer(std::io::stderr).init();
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
        Command::All { rounds, registering, scale, out } => {
            rounds.run(Contender::value_variants(), &out.out).await?;
            registering.run(&out.out).await?;
            scale.run(&out.out).await
        }
        Command::Engine(alone) => alone.run(&[Contender::Engine, Contender::EngineSdk]).await,
        Command::Restate(alone) => alone.run(&[Contender::RestateServices, Contender::RestateLocal]).await,
        Command::Floor(alone) => alone.run(&[Contender::Floor]).await,
        Command::Compare { contenders, alone } => alone.run(&contenders).await,
        Command::Scale { scale, out } => scale.run(&out.out).await,
        Command::Registration { registering, out } => registering.run(&out.out).await,
        Command::Report(out) => Results::read(&out.out)?.write(&out.out),
        Command::Role(role) => role.play().await,
    }
}
