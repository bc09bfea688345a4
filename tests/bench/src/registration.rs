//! The main job as users get it: every role of the real binary as a process, every context with its database, the test gateway, HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::sleep;

use crate::load::registrations::Registrations;
use crate::load::{Load, Plan, measure};
use crate::machine::{Machine, load_average};
use crate::measurement::{Contender, Measurement};
use crate::report::Results;
use crate::restate::run::free_ports;
use crate::world::World;

/// The contexts, each a worker process.
const CONTEXTS: [&str; 5] = ["events", "registration", "payment", "billing", "notification"];

/// How long all roles may take until the API says that they are ready.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// Between looks at that.
const POLL: Duration = Duration::from_millis(100);

/// How often, with how many, and for how long.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Registering {
    /// Rounds.
    #[arg(long, default_value_t = 3)]
    registration_rounds: usize,
    /// Registrations in flight, one point each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    registration_in_flight: Vec<usize>,
    /// Measured time of each point, in seconds; half of it before goes uncounted.
    #[arg(long, default_value_t = 5.0)]
    registration_seconds: f64,
    /// The `amends` binary; the one beside this program unless given.
    #[arg(long)]
    amends: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registered {
    /// Where and when.
    pub machine: Machine,
    /// By point and round.
    pub measurements: Vec<Measurement>,
}

impl Registering {
    /// Measures, and writes the report.
    pub async fn run(&self, out: &Path) -> anyhow::Result<()> {
        let binary = self.binary()?;
        let mut machine = Machine::look();
        let mut measurements = Vec::new();
        for round in 1..=self.registration_rounds {
            measurements.extend(self.round(&binary, round).await?);
        }
        machine.load_after = load_average();
        let mut results = Results::read_if_any(out)?;
        results.registration = Some(Registered { machine, measurements });
        results.write(out)
    }

    fn binary(&self) -> anyhow::Result<PathBuf> {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("amends"));
        let binary = self.amends.clone().map_or_else(beside, Ok)?;
        ensure!(
            binary.is_file(),
            "{} is not there: build it with `cargo build --release -p amends`, or name one with --amends",
            binary.display()
        );
        Ok(binary)
    }

    async fn round(&self, binary: &Path, round: usize) -> anyhow::Result<Vec<Measurement>> {
        let (world, base) = deployment(binary).await?;
        let load: Arc<dyn Load> = Arc::new(Registrations::new(&base, world.client()?).await?);
        let measured = Duration::from_secs_f64(self.registration_seconds);
        let plan = Plan { warm_up: measured / 2, measured, fsyncs: Duration::ZERO };
        let pids = world.pids();
        let mut measurements = Vec::new();
        for &in_flight in &self.registration_in_flight {
            let found = measure(&load, &pids, Contender::EngineSdk, in_flight, round, plan).await?;
            println!(
                "round {round}, {in_flight} registrations in flight: {:.0} confirmed/s, p50 {:.1} ms",
                found.rate(),
                found.asked_to_completed_ms.p50
            );
            measurements.push(found);
        }
        drop(load);
        world.end().await?;
        Ok(measurements)
    }
}

/// Every role as a process, ready; where the API is.
async fn deployment(binary: &Path) -> anyhow::Result<(World, String)> {
    let mut world = World::with_broker().await?;
    let [api, gateway] = free_ports()?;
    let (api, gateway) = (format!("127.0.0.1:{api}"), format!("127.0.0.1:{gateway}"));
    let config = world.folder().join("amends.toml");
    std::fs::write(&config, format!("[payment]\ngateway_url = \"http://{gateway}\"\n"))?;
    let webhook = format!("http://{api}/v1/webhooks/test");
    let mut roles = vec![
        ("orchestrator", vec!["orchestrator"]),
        ("test-gateway", vec!["test-gateway", "--listen", &gateway, "--webhook", &webhook]),
    ];
    roles.extend(CONTEXTS.into_iter().map(|context| (context, vec!["worker", context])));
    roles.push(("api", vec!["api", "--listen", &api]));
    for (name, arguments) in roles {
        let log = std::fs::File::create(world.folder().join(format!("{name}.log")))?;
        let mut command = Command::new(binary);
        command.args(arguments).args(["--nats", &world.url()?]).arg("--config").arg(&config);
        command.arg("--data-dir").arg(world.folder().join("data")).stdout(log.try_clone()?).stderr(log);
        world.spawn(name, command)?;
    }
    let base = format!("http://{api}");
    let client = reqwest::Client::builder().no_proxy().build()?;
    let began = Instant::now();
    while !matches!(client.get(format!("{base}/readyz")).send().await, Ok(answer) if answer.status().is_success()) {
        ensure!(began.elapsed() < READY_TIMEOUT, "the roles do not get ready");
        sleep(POLL).await;
    }
    Ok((world, base))
}
