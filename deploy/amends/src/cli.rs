//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::audit::{AuditArgs, ResolveAs};
pub use self::bulk::{BulkArgs, BulkCommand, BulkControlArgs, BulkStartArgs, BulkVerbName};
pub use self::documents::{CheckArgs, RehearseArgs};
pub use self::filter::FilterArgs;
pub use self::operations::{DeadLetterCommand, DeadLettersArgs, OperationsArgs};
pub use self::roles::{ContextName, DevArgs, Role};
pub use self::saga::{SagaArgs, SagaCommand};
use crate::config::Overrides;
use crate::schedule::ScheduleArgs;

mod audit;
mod bulk;
mod documents;
mod filter;
mod operations;
mod roles;
mod saga;

/// A saga engine on NATS, and the event platform that runs on it.
#[derive(Debug, Parser)]
#[command(name = "amends", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: Common,
}

/// What every role takes.
#[derive(Debug, Args)]
pub struct Common {
    /// A configuration file in TOML; `amends config` prints every setting with its default.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The NATS server, nats://host:port.
    #[arg(long, global = true, value_name = "URL")]
    pub nats: Option<String>,
    /// A SurrealDB server, ws://host:port; embedded otherwise.
    #[arg(long, global = true, value_name = "URL")]
    pub database: Option<String>,
    /// What to log, such as info or amends_engine=debug.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Role(Role),
    #[command(flatten)]
    Tool(Box<Tool>),
}

/// What people use, mostly through the API.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Look at sagas and act on them, through the API.
    Saga(SagaArgs),
    /// Look at schedules, which start sagas at given times, and act on them, through the API.
    Schedule(ScheduleArgs),
    /// Say who serves which contract, and since when nobody does.
    Workers(OperationsArgs),
    /// Say how many commands wait for workers, and since when.
    Queues(OperationsArgs),
    /// Look at messages that could not be handled, publish them again or settle them.
    DeadLetters(DeadLettersArgs),
    /// Do something with every saga that a filter finds, through the API.
    Bulk(BulkArgs),
    /// Check saga definitions, and say file, line and what to write instead.
    Check(CheckArgs),
    /// Play a new version of a saga definition over sagas that ran the old one, and say where they would part.
    Rehearse(RehearseArgs),
    /// Print every setting with its default.
    Config,
}

impl Common {
    /// What the flags set for a role, by the path of the setting.
    pub fn overrides(&self, role: &Role) -> Overrides {
        let mut overrides = Overrides::new();
        let mut set = |path: &'static str, value: Option<String>| {
            if let Some(value) = value {
                overrides.push((path, value.into()));
            }
        };
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        set("data_dir", self.data_dir.as_ref().map(text));
        set("nats.url", self.nats.clone());
        set("database.url", self.database.clone());
        set("telemetry.log", self.log.clone());
        match role {
            Role::Dev(args) => {
                set("api.listen", args.listen.map(|address| address.to_string()));
                set("orchestrator.schemas", args.schemas.as_ref().map(text));
            }
            Role::Orchestrator(args) => {
                set("orchestrator.schemas", args.schemas.as_ref().map(text));
                if let Some(count) = args.partitions {
                    overrides.push(("orchestrator.partitions", count.into()));
                }
            }
            Role::Api(args) => set("api.listen", args.listen.map(|address| address.to_string())),
            Role::TestGateway(args) => set("test_gateway.listen", args.listen.map(|address| address.to_string())),
            Role::Worker(_) => {}
        }
        overrides
    }
}
