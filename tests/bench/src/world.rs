//! One round's surroundings: a nats-server of its own, fresh folders, the contender's processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use amends_nats::Nats;
use amends_nats_server::{NatsServer, NatsServerSettings, find_or_fetch};
use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::control::Ready;
use crate::measurement::Contender;
use crate::role::connect;

/// How long a process may take to serve: long, because recovery of a large store is one of the things measured.
const READY_TIMEOUT: Duration = Duration::from_secs(300);

/// A process of the benchmark; killed when dropped.
pub struct Process {
    /// As it stands in the results.
    pub name: &'static str,
    /// Its id.
    pub pid: u32,
    /// What it said when it served.
    pub ready: Ready,
    _child: Child,
}

impl Process {
    /// Starts this binary in a role and waits until it serves.
    pub async fn start(name: &'static str, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("role")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut line = String::new();
        timeout(READY_TIMEOUT, BufReader::new(output).read_line(&mut line)).await.context("it serves in time")??;
        ensure!(!line.is_empty(), "the {name} process ended before it served");
        let pid = child.id().context("it runs")?;
        Ok(Self { name, pid, ready: serde_json::from_str(&line)?, _child: child })
    }
}

/// A running contender.
pub struct World {
    /// Kept: the server dies with it.
    pub server: NatsServer,
    /// The driver's own connection.
    pub client: Nats,
    /// All but the server and the driver.
    pub processes: Vec<Process>,
    folder: tempfile::TempDir,
}

impl World {
    /// A server and no contender yet.
    pub async fn empty() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let binary = find_or_fetch(|progress| eprintln!("{progress}")).await?;
        let settings = NatsServerSettings { binary, folder: folder.path().join("nats"), port: None };
        let server = NatsServer::start(settings).await?;
        let client = connect(&server.url(), "driver").await?;
        client.ensure_streams().await?;
        Ok(Self { server, client, processes: Vec::new(), folder })
    }

    /// A contender that serves.
    pub async fn of(contender: Contender) -> anyhow::Result<Self> {
        let mut world = Self::empty().await?;
        match contender {
            Contender::Engine => {
                world.orchestrator().await?;
                world.worker().await?;
            }
            Contender::EngineSdk => {
                world.orchestrator().await?;
                let (url, data) = (world.server.url(), path_text(&world.folder.path().join("contexts"))?);
                world.add("workers", &["sdk-worker", "--nats", &url, "--data", &data]).await?;
            }
            Contender::Floor => {
                let url = world.server.url();
                world.add("relay", &["relay", "--nats", &url]).await?;
                world.worker().await?;
            }
        }
        Ok(world)
    }

    /// Starts the orchestrator; how long until it served, in milliseconds.
    pub async fn orchestrator(&mut self) -> anyhow::Result<u64> {
        let (url, data) = (self.server.url(), path_text(&self.data())?);
        self.add("orchestrator", &["orchestrator", "--nats", &url, "--data", &data]).await
    }

    /// Starts the plain workers.
    pub async fn worker(&mut self) -> anyhow::Result<u64> {
        let url = self.server.url();
        self.add("workers", &["worker", "--nats", &url]).await
    }

    /// The orchestrator's database.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("orchestrator")
    }

    /// Every process that counts, by name: the server and the driver too.
    pub fn pids(&self) -> Vec<(&'static str, u32)> {
        let mut pids: Vec<_> = self.processes.iter().map(|process| (process.name, process.pid)).collect();
        pids.extend(self.server.process_id().map(|pid| ("nats-server", pid)));
        pids.push(("driver", std::process::id()));
        pids
    }

    async fn add(&mut self, name: &'static str, arguments: &[&str]) -> anyhow::Result<u64> {
        let process = Process::start(name, arguments).await?;
        let ready_ms = process.ready.ready_ms;
        self.processes.push(process);
        Ok(ready_ms)
    }
}

fn path_text(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).context("the temporary folder's name is text")
}
