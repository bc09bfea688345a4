//! The one binary, in every role.

mod bulk;
mod check;
mod cli;
mod client;
mod config;
mod demo;
mod dev;
mod lacking;
mod liveness;
mod operations;
mod progress;
mod rehearse;
mod retention;
mod roles;
mod saga;
mod schedule;
mod schemas;
mod telemetry;
mod tree;

use std::process::ExitCode;

/// The database allocates for everything it does: with the system's allocator a quarter of the orchestrator's time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::config::Config;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("amends: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        Command::Config => {
            print!("{}", config::DEFAULTS);
            return Ok(());
        }
        Command::Check(args) => return check::run(args),
        Command::Saga(_)
        | Command::Schedule(_)
        | Command::Workers(_)
        | Command::Queues(_)
        | Command::DeadLetters(_)
        | Command::Rehearse(_)
        | Command::Bulk(_)
        | Command::Dev(_)
        | Command::Orchestrator(_)
        | Command::Worker(_)
        | Command::Api(_)
        | Command::TestGateway(_) => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(cli))
}

async fn serve(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        Command::Saga(args) => return saga::run(args).await,
        Command::Schedule(args) => return schedule::run(args).await,
        Command::Bulk(args) => return bulk::run(args).await,
        Command::Workers(args) => return operations::workers(args).await,
        Command::Queues(args) => return operations::queues(args).await,
        Command::DeadLetters(args) => return operations::dead_letters(args).await,
        Command::Rehearse(args) => return rehearse::run(args).await,
        Command::Dev(_)
        | Command::Orchestrator(_)
        | Command::Worker(_)
        | Command::Api(_)
        | Command::TestGateway(_)
        | Command::Check(_)
        | Command::Config => {}
    }
    let config = Config::load(cli.common.config.as_deref(), cli.overrides())?;
    let _telemetry = telemetry::start(&config.telemetry, cli.command.role(), cli.command.default_log())?;
    match &cli.command {
        Command::Dev(args) => dev::run(&config, args).await,
        Command::Orchestrator(_) => roles::orchestrator::run(&config, roles::until_asked_to_end()).await,
        Command::Worker(args) => roles::worker::run(&config, &args.contexts, roles::until_asked_to_end()).await,
        Command::Api(args) => roles::api::run(&config, args.json, roles::until_asked_to_end()).await,
        Command::TestGateway(args) => {
            roles::gateway::run(&config, args.webhook.clone(), args.json, roles::until_asked_to_end()).await
        }
        Command::Saga(_)
        | Command::Schedule(_)
        | Command::Workers(_)
        | Command::Queues(_)
        | Command::DeadLetters(_)
        | Command::Bulk(_)
        | Command::Check(_)
        | Command::Rehearse(_)
        | Command::Config => Ok(()),
    }
}
