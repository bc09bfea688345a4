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

use crate::cli::{Cli, Command, Common, Role, Tool};
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &cli.command {
            Command::Role(role) => serve(&cli.common, role).await,
            Command::Tool(tool) => use_tool(tool).await,
        }
    })
}

async fn use_tool(tool: &Tool) -> anyhow::Result<()> {
    match tool {
        Tool::Saga(args) => saga::run(args).await,
        Tool::Schedule(args) => schedule::run(args).await,
        Tool::Workers(args) => operations::workers(args).await,
        Tool::Queues(args) => operations::queues(args).await,
        Tool::DeadLetters(args) => operations::dead_letters(args).await,
        Tool::Bulk(args) => bulk::run(args).await,
        Tool::Check(args) => check::run(args),
        Tool::Rehearse(args) => rehearse::run(args).await,
        Tool::Config => {
            print!("{}", config::DEFAULTS);
            Ok(())
        }
    }
}

async fn serve(common: &Common, role: &Role) -> anyhow::Result<()> {
    let config = Config::load(common.config.as_deref(), common.overrides(role))?;
    let _telemetry = telemetry::start(&config.telemetry, role.name(), role.default_log())?;
    match role {
        Role::Dev(args) => dev::run(&config, args).await,
        Role::Orchestrator(_) => roles::orchestrator::run(&config, roles::until_asked_to_end()).await,
        Role::Worker(args) => roles::worker::run(&config, &args.contexts, roles::until_asked_to_end()).await,
        Role::Api(args) => roles::api::run(&config, args.json, roles::until_asked_to_end()).await,
        Role::TestGateway(args) => {
            roles::gateway::run(&config, args.webhook.clone(), args.json, roles::until_asked_to_end()).await
        }
    }
}
