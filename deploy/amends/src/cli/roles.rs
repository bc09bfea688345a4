//! What runs until it is asked to end.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Roles of a process.
#[derive(Debug, Subcommand)]
pub enum Role {
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

impl Role {
    /// Its name in traces.
    pub const fn name(&self) -> &'static str {
        match self {
            Role::Dev(_) => "dev",
            Role::Orchestrator(_) => "orchestrator",
            Role::Worker(_) => "worker",
            Role::Api(_) => "api",
            Role::TestGateway(_) => "test-gateway",
        }
    }

    /// What is logged unless it is configured: a person at a terminal wants the trouble, a service its doings. The embedded database tells
    /// twenty lines at each start, and at each end warns that it was not closed by hand, which `sync=every` makes needless.
    pub const fn default_log(&self) -> &'static str {
        match self {
            Role::Dev(_) => "warn,surrealkv=error",
            Role::Orchestrator(_) | Role::Worker(_) | Role::Api(_) | Role::TestGateway(_) => {
                "warn,amends=info,surrealkv=error"
            }
        }
    }
}
