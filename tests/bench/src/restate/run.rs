//! One restate-server with its documented defaults: nothing is set but names, addresses and the folder.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use figment::Figment;
use figment::providers::{Format, Toml};
use serde_json::json;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::{server, services};
use crate::world::Process;

/// How long it may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one question may take: a first registration asks the services what they offer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Between looks at whether it answers.
const POLL: Duration = Duration::from_millis(50);

/// What a reader must know of its settings: where it stands in the configuration, and what it is.
const TOLD: &[(&str, &str)] = &[
    ("default-num-partitions", "partitions"),
    ("default-replication", "copies of its log"),
    ("bifrost.default-provider", "log"),
    ("log-server.rocksdb-disable-wal-fsync", "fsync of the log switched off"),
    ("worker.max-command-batch-size", "commands in a batch"),
    ("worker.invoker.concurrent-invocations-limit", "invocations at once"),
    ("rocksdb-total-memory-size", "memory for RocksDB"),
    ("default-journal-retention", "journals kept for"),
];

/// Where a running one takes requests.
pub struct Restate {
    /// The server and the services.
    pub processes: Vec<Process>,
    /// Its ingress, `http://127.0.0.1:port`.
    pub ingress: String,
}

/// Starts server and services, with data under `folder`, and makes the services known to the server.
pub async fn start(folder: &Path) -> anyhow::Result<Restate> {
    let (binary, services) = (server::find_or_fetch().await?, services::build().await?);
    let [ingress, admin, node] = free_ports()?;
    let config = folder.join("restate.toml");
    std::fs::write(&config, configuration(folder, ingress, admin, node))?;
    let services = Process::start("services", Command::new(services)).await?;
    let port = services.ready.port.context("the services say where they serve")?;
    let log = folder.join("restate.log");
    let errors = std::fs::File::create(&log)?;
    let mut command = Command::new(binary);
    command.args(["--no-logo", "--config-file"]).arg(&config).stdout(errors.try_clone()?).stderr(errors);
    let mut server = Process::spawn("restate-server", command)?;

    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy().build()?;
    let (ingress, admin) = (format!("http://127.0.0.1:{ingress}"), format!("http://127.0.0.1:{admin}"));
    let deadline = Instant::now() + START_TIMEOUT;
    for health in [format!("{admin}/health"), format!("{ingress}/restate/health")] {
        while !matches!(client.get(&health).send().await, Ok(answer) if answer.status().is_success()) {
            let goes_on = server.is_running() && Instant::now() < deadline;
            ensure!(goes_on, "restate-server does not start:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
            sleep(POLL).await;
        }
    }
    let deployment = json!({"uri": format!("http://127.0.0.1:{port}")});
    let answer = client.post(format!("{admin}/deployments")).json(&deployment).send().await?;
    let status = answer.status();
    ensure!(status.is_success(), "Restate does not take the services: {status} {}", answer.text().await?);
    Ok(Restate { processes: vec![server, services], ingress })
}

/// Version and effective settings in a line, read from what the server itself says they are.
pub async fn settings() -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("restate.toml");
    std::fs::write(&config, configuration(folder.path(), 0, 0, 0))?;
    let mut command = Command::new(server::find_or_fetch().await?);
    command.arg("--config-file").arg(&config).arg("--dump-config").stdin(Stdio::null()).kill_on_drop(true);
    let dump = command.output().await?;
    let figment = Figment::from(Toml::string(&String::from_utf8_lossy(&dump.stdout)));
    let told = TOLD.iter().map(|(key, title)| {
        let value: String = match figment.find_value(key) {
            Ok(value) => {
                value.as_str().map_or_else(|| serde_json::to_string(&value).unwrap_or_default(), str::to_owned)
            }
            Err(_) => "not told".to_owned(),
        };
        format!("{title} {value} (`{key}`)")
    });
    let (version, sdk) = (server::VERSION, services::SDK_VERSION);
    Ok(format!(
        "restate-server {version}, restate-sdk {sdk} for Rust, one node with all roles and its own defaults: {}",
        told.collect::<Vec<_>>().join(", ")
    ))
}

fn configuration(folder: &Path, ingress: u16, admin: u16, node: u16) -> String {
    format!(
        "base-dir = \"{}\"\nnode-name = \"bench\"\nlisten-mode = \"tcp\"\nlog-filter = \"warn\"\ndisable-telemetry = true\n\
         bind-address = \"127.0.0.1:{node}\"\nadvertised-address = \"http://127.0.0.1:{node}\"\n\
         [ingress]\nbind-address = \"127.0.0.1:{ingress}\"\n[admin]\nbind-address = \"127.0.0.1:{admin}\"\n",
        folder.join("restate").display()
    )
}

/// Free now, all at once so that they differ.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let held = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip::<[_; N]>(held) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}
