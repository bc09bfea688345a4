//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::operations::{DeadLetterCommand, DeadLettersArgs, OperationsArgs};
use crate::config::Overrides;
use crate::schedule::ScheduleArgs;

mod operations;

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
    /// Run everything in one process: databases, a nats-server, orchestrator, workers, API, a test payment gateway.
    Dev(DevArgs),
    /// Run the orchestrator: owns partitions, drives sagas.
    Orchestrator(OrchestratorArgs),
    /// Run the workers of one or more contexts.
    Worker(WorkerArgs),
    /// Run the HTTP API.
    Api(ApiArgs),
    /// Run the test payment gateway.
    TestGateway(TestGatewayArgs),
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

#[derive(Debug, Args)]
pub struct DevArgs {
    /// Then show it: an event, and three people of whom one pays, one is declined and one cancels.
    #[arg(long)]
    pub demo: bool,
    /// When ready, print one line of JSON with the addresses to standard output.
    #[arg(long)]
    pub json: bool,
    /// Where the API listens.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// A folder with contracts and saga definitions of your own.
    #[arg(long, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct OrchestratorArgs {
    /// Over how many partitions sagas are spread; fixed at the first start.
    #[arg(long, value_name = "COUNT")]
    pub partitions: Option<u16>,
    /// A folder with contracts and saga definitions of your own.
    #[arg(long, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Which contexts to serve.
    #[arg(required = true)]
    pub contexts: Vec<ContextName>,
}

/// The contexts that ship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ContextName {
    Events,
    Registration,
    Payment,
    Billing,
    Notification,
}

#[derive(Debug, Args)]
pub struct ApiArgs {
    /// Where it listens.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// When ready, print one line of JSON with the address to standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct TestGatewayArgs {
    /// Where it listens.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where signed webhooks go, such as http://127.0.0.1:8080/v1/webhooks/test.
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// When ready, print one line of JSON with the address to standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SagaArgs {
    /// Where the API answers.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub api: String,
    #[command(subcommand)]
    pub command: SagaCommand,
}

#[derive(Debug, Args)]
pub struct BulkArgs {
    /// Where the API answers.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub api: String,
    #[command(subcommand)]
    pub command: BulkCommand,
}

#[derive(Debug, Subcommand)]
pub enum BulkCommand {
    /// Begin: operate every saga that the criteria find, oldest first. Needs a reason and at least one criterion.
    Start(Box<BulkStartArgs>),
    /// Show one bulk operation: how far it is, and which sagas refused.
    Show {
        /// Its id.
        bulk_id: uuid::Uuid,
    },
    /// List bulk operations, the latest first.
    List {
        /// At most this many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Pause one: no further saga is begun.
    Pause(BulkControlArgs),
    /// Let a paused one go on.
    Resume(BulkControlArgs),
    /// End one where it is. What is done stays done.
    Cancel(BulkControlArgs),
}

#[derive(Debug, Args)]
pub struct BulkControlArgs {
    /// Its id.
    pub bulk_id: uuid::Uuid,
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who.
    #[arg(long, default_value = "command line")]
    pub by: String,
}

#[derive(Debug, Args)]
pub struct BulkStartArgs {
    /// What to do with each saga.
    pub verb: BulkVerbName,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Only say what would be touched, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// With retry, skip and resolve: the step; the one each saga waits at unless given.
    #[arg(long, value_name = "STEP")]
    pub on_step: Option<String>,
    /// With resolve: how the step really ended.
    #[arg(long = "as", value_name = "HOW")]
    pub resolution: Option<ResolveAs>,
    /// With resolve: one of the contract's outcomes, when it has several.
    #[arg(long)]
    pub outcome: Option<String>,
    /// With resolve: what the step returned, as JSON.
    #[arg(long, value_name = "JSON")]
    pub output: Option<String>,
    /// With terminate: yes, what they have done stays as it is.
    #[arg(long)]
    pub force: bool,
    /// Most sagas operated in a second, 1 to 500.
    #[arg(long, value_name = "COUNT")]
    pub per_second: Option<u32>,
    #[command(flatten)]
    pub audit: AuditArgs,
}

/// What is done to each saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BulkVerbName {
    /// Dispatch nothing more.
    Pause,
    /// Go on.
    Resume,
    /// Try now.
    Retry,
    /// Go back to the step named by --on-step and go on from there.
    RetryFrom,
    /// Pass over the step.
    Skip,
    /// Say how the step ended.
    Resolve,
    /// Make amends, or start the saga that cancels.
    Cancel,
    /// End without amends.
    Terminate,
}

#[derive(Debug, Subcommand)]
pub enum SagaCommand {
    /// List sagas.
    List {
        #[command(flatten)]
        filter: Box<FilterArgs>,
        /// In which order: -created (the default, newest first), created, -updated or updated.
        #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
        sort: Option<String>,
        /// Go on where an earlier list said it ended.
        #[arg(long)]
        cursor: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Say how many sagas there are of each definition and status, or how many a filter finds.
    Count {
        #[command(flatten)]
        filter: Box<FilterArgs>,
    },
    /// Show one saga: its steps as a tree, with times, attempts and why it waits.
    Show {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Everything that happened, too.
        #[arg(long)]
        history: bool,
    },
    /// Cancel one saga.
    Cancel {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Say what a cancel would do now, without doing it.
    Preview {
        /// Its id.
        saga_id: uuid::Uuid,
    },
    /// Pause one saga: nothing more is dispatched, timers wait.
    Pause {
        /// Its id.
        saga_id: uuid::Uuid,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Let a paused saga go on where it was.
    Resume {
        /// Its id.
        saga_id: uuid::Uuid,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Try a step that backs off or is stuck again now, with a new budget.
    Retry {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Which step; the one it waits at unless given.
        #[arg(long)]
        step: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Go back to a step: what has succeeded from it on is undone where it can be, and all of it is done again. Needs a reason.
    RetryFrom {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Which step; not within a parallel.
        step: String,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Give a step that cleanly failed, or is tried again, another input for its next attempt. Needs a reason.
    EditInput {
        /// Its id.
        saga_id: uuid::Uuid,
        /// The whole input, as JSON.
        #[arg(value_name = "JSON")]
        input: String,
        /// Which step; the one it waits at unless given.
        #[arg(long)]
        step: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Give one saga a signal that one of its steps waits for, or will.
    Signal {
        /// Its id.
        saga_id: uuid::Uuid,
        /// The signal's name.
        signal: String,
        /// What it says, when the definition names several outcomes.
        #[arg(long)]
        outcome: Option<String>,
        /// What comes with it, as JSON.
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
        /// Who gives it.
        #[arg(long, default_value = "command line")]
        by: String,
        /// Chosen by you, so that the same command given again is done once.
        #[arg(long)]
        key: Option<String>,
    },
    /// Pass over a step that failed behind the point of no return, or an undo that does not work. Needs a reason.
    Skip {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Which step; the one it waits at unless given.
        #[arg(long)]
        step: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Say how a step in doubt or a stuck one really ended. Needs a reason.
    Resolve {
        /// Its id.
        saga_id: uuid::Uuid,
        /// How it ended.
        #[arg(value_name = "HOW")]
        resolution: ResolveAs,
        /// Which step; the one it waits at unless given.
        #[arg(long)]
        step: Option<String>,
        /// With succeeded: one of the contract's outcomes, when it has several.
        #[arg(long)]
        outcome: Option<String>,
        /// With succeeded: what the step returned, as JSON.
        #[arg(long, value_name = "JSON")]
        output: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// End one saga as it stands, without amends; its children go on. Needs --force and a reason.
    Terminate {
        /// Its id.
        saga_id: uuid::Uuid,
        /// Yes, what it has done stays as it is.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Follow one saga until it is final.
    Watch {
        /// Its id.
        saga_id: uuid::Uuid,
    },
}

/// Which sagas: those that meet every criterion given.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// One or several, separated by commas: running, compensating, completed, compensated, terminated, stuck.
    #[arg(long)]
    pub status: Option<String>,
    /// Only of this definition.
    #[arg(long)]
    pub definition: Option<String>,
    /// Only of this version of the definition.
    #[arg(long)]
    pub version: Option<u32>,
    /// Only those at this step: in flight, backing off, stuck or cleanly failed.
    #[arg(long)]
    pub step: Option<String>,
    /// Only where the last error of such a step has this code.
    #[arg(long, value_name = "CODE")]
    pub error: Option<String>,
    /// Only where the last errors of such steps hold all these words.
    #[arg(long, value_name = "WORDS")]
    pub text: Option<String>,
    /// Only with all these tags, separated by commas. A business key is a tag such as registration_0193….
    #[arg(long)]
    pub tag: Option<String>,
    /// Only with a tag that begins so, such as event_.
    #[arg(long, value_name = "PREFIX")]
    pub tag_prefix: Option<String>,
    /// Only paused ones (true), or only those that are not (false).
    #[arg(long, value_name = "BOOL")]
    pub paused: Option<bool>,
    /// Only those accepted at this time (RFC 3339) or later.
    #[arg(long, value_name = "TIME")]
    pub created_from: Option<String>,
    /// Only those accepted before.
    #[arg(long, value_name = "TIME")]
    pub created_to: Option<String>,
    /// Only those last changed at this time or later.
    #[arg(long, value_name = "TIME")]
    pub updated_from: Option<String>,
    /// Only those last changed before.
    #[arg(long, value_name = "TIME")]
    pub updated_to: Option<String>,
    /// Only those accepted at least so long ago: 90s, 15m, 36h, 7d.
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
}

impl FilterArgs {
    /// What was given, by the API's own names.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("status", &self.status),
            ("definition", &self.definition),
            ("step", &self.step),
            ("error", &self.error),
            ("text", &self.text),
            ("tag", &self.tag),
            ("tag_prefix", &self.tag_prefix),
            ("created_from", &self.created_from),
            ("created_to", &self.created_to),
            ("updated_from", &self.updated_from),
            ("updated_to", &self.updated_to),
            ("older_than", &self.older_than),
        ];
        let texts = texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let version = self.version.map(|version| ("version", version.to_string()));
        texts.chain(version).chain(self.paused.map(|paused| ("paused", paused.to_string()))).collect()
    }
}

/// How a step really ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResolveAs {
    /// It happened, or was undone where its undo is stuck.
    Succeeded,
    /// It did not happen and will not.
    Failed,
}

/// Who, why, and under which key: all of it stands in the saga's history.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who.
    #[arg(long, default_value = "command line")]
    pub by: String,
    /// Chosen by you, so that the same command given again is done once.
    #[arg(long)]
    pub key: Option<String>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Definitions (YAML), or folders of them with the contracts in a `contracts` below; those that ship when none is named.
    pub files: Vec<PathBuf>,
    /// A folder with contracts of your own.
    #[arg(long, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// The definition that sagas ran, as it was released.
    pub old: PathBuf,
    /// The one that is to follow it.
    pub new: PathBuf,
    /// Over how many sagas of the old one, the newest first, in flight or at their ends.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub last: u32,
    /// Where the API answers.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub api: String,
    /// A folder with contracts of your own.
    #[arg(long, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
}

impl Cli {
    /// What the flags set, by the path of the setting.
    pub fn overrides(&self) -> Overrides {
        let mut overrides = Overrides::new();
        let mut set = |path: &'static str, value: Option<String>| {
            if let Some(value) = value {
                overrides.push((path, value.into()));
            }
        };
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        set("data_dir", self.common.data_dir.as_ref().map(text));
        set("nats.url", self.common.nats.clone());
        set("database.url", self.common.database.clone());
        set("telemetry.log", self.common.log.clone());
        match &self.command {
            Command::Dev(args) => {
                set("api.listen", args.listen.map(|address| address.to_string()));
                set("orchestrator.schemas", args.schemas.as_ref().map(text));
            }
            Command::Orchestrator(args) => {
                set("orchestrator.schemas", args.schemas.as_ref().map(text));
                if let Some(count) = args.partitions {
                    overrides.push(("orchestrator.partitions", count.into()));
                }
            }
            Command::Api(args) => set("api.listen", args.listen.map(|address| address.to_string())),
            Command::TestGateway(args) => set("test_gateway.listen", args.listen.map(|address| address.to_string())),
            Command::Worker(_)
            | Command::Saga(_)
            | Command::Schedule(_)
            | Command::Workers(_)
            | Command::Queues(_)
            | Command::DeadLetters(_)
            | Command::Bulk(_)
            | Command::Check(_)
            | Command::Rehearse(_)
            | Command::Config => {}
        }
        overrides
    }
}

impl Command {
    /// The role's name in traces.
    pub const fn role(&self) -> &'static str {
        match self {
            Command::Dev(_) => "dev",
            Command::Orchestrator(_) => "orchestrator",
            Command::Worker(_) => "worker",
            Command::Api(_) => "api",
            Command::TestGateway(_) => "test-gateway",
            Command::Saga(_)
            | Command::Schedule(_)
            | Command::Workers(_)
            | Command::Queues(_)
            | Command::DeadLetters(_)
            | Command::Bulk(_)
            | Command::Check(_)
            | Command::Rehearse(_)
            | Command::Config => "command-line",
        }
    }

    /// What is logged unless it is configured: a person at a terminal wants the trouble, a service its doings. The embedded database tells
    /// twenty lines at each start, and at each end warns that it was not closed by hand, which `sync=every` makes needless.
    pub const fn default_log(&self) -> &'static str {
        match self {
            Command::Dev(_)
            | Command::Saga(_)
            | Command::Schedule(_)
            | Command::Workers(_)
            | Command::Queues(_)
            | Command::DeadLetters(_)
            | Command::Bulk(_)
            | Command::Check(_)
            | Command::Rehearse(_)
            | Command::Config => "warn,surrealkv=error",
            Command::Orchestrator(_) | Command::Worker(_) | Command::Api(_) | Command::TestGateway(_) => {
                "warn,amends=info,surrealkv=error"
            }
        }
    }
}
