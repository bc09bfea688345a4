//! One round's surroundings: servers of its own, fresh folders, the contender's processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_nats::Nats;
use amends_nats_server::{NatsServer, NatsServerSettings, find_or_fetch};
use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::control::Ready;
use crate::load::Load;
use crate::load::ingress::Ingress;
use crate::load::sagas::Sagas;
use crate::measurement::Contender;
use crate::restate;
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
    child: Child,
}

impl Process {
    /// Starts a program that says [`Ready`] in its first line, and waits for that.
    pub async fn start(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped());
        let mut process = Self::spawn(name, command)?;
        let output = process.child.stdout.take().context("its output is piped")?;
        let mut line = String::new();
        timeout(READY_TIMEOUT, BufReader::new(output).read_line(&mut line)).await.context("it serves in time")??;
        ensure!(!line.is_empty(), "the {name} process ended before it served");
        process.ready = serde_json::from_str(&line)?;
        Ok(process)
    }

    /// Starts any program.
    pub fn spawn(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        let spawned = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        let child = spawned.with_context(|| format!("the {name} process does not start"))?;
        let pid = child.id().context("it runs")?;
        Ok(Self { name, pid, ready: Ready::default(), child })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it, as `kill -9` does, and waits until it is gone.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// A running contender.
pub struct World {
    /// All but the broker and the driver.
    processes: Vec<Process>,
    broker: Option<Broker>,
    /// Where it takes jobs, when that is not NATS.
    ingress: Option<Ingress>,
    /// The orchestrator's database.
    data: PathBuf,
    // Last, so that the folder goes after whoever writes into it.
    folder: tempfile::TempDir,
}

struct Broker {
    server: NatsServer,
    /// The driver's own connection.
    client: Nats,
}

impl World {
    /// A nats-server and no contender yet.
    pub async fn with_broker() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let binary = find_or_fetch(|progress| eprintln!("{progress}")).await?;
        let settings = NatsServerSettings { binary, folder: folder.path().join("nats"), port: None };
        let server = NatsServer::start(settings).await?;
        let client = connect(&server.url(), "driver").await?;
        client.ensure_streams().await?;
        let data = folder.path().join("orchestrator");
        Ok(Self { processes: Vec::new(), broker: Some(Broker { server, client }), ingress: None, data, folder })
    }

    /// A contender that serves, and what gives it jobs.
    pub async fn of(contender: Contender) -> anyhow::Result<(Self, Arc<dyn Load>)> {
        let mut world = match contender {
            Contender::Engine | Contender::EngineSdk | Contender::Floor => Self::with_broker().await?,
            Contender::RestateServices => Self::with_restate("Services").await?,
            Contender::RestateLocal => Self::with_restate("Local").await?,
        };
        match contender {
            Contender::Engine => {
                world.orchestrator().await?;
                world.workers().await?;
            }
            Contender::EngineSdk => {
                world.orchestrator().await?;
                let data = path_text(&world.folder.path().join("contexts"))?;
                world.add("workers", "sdk-worker", &["--data", &data]).await?;
            }
            Contender::Floor => {
                world.add("relay", "relay", &[]).await?;
                world.workers().await?;
            }
            Contender::RestateServices | Contender::RestateLocal => {}
        }
        let load: Arc<dyn Load> = match world.ingress.take() {
            Some(ingress) => Arc::new(ingress),
            None => Arc::new(world.sagas(contender != Contender::Floor).await?),
        };
        Ok((world, load))
    }

    async fn with_restate(service: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let restate = restate::run::start(folder.path()).await?;
        let ingress = Some(Ingress::new(&restate.ingress, service)?);
        let data = folder.path().join("orchestrator");
        Ok(Self { processes: restate.processes, broker: None, ingress, data, folder })
    }

    /// Gives sagas to whoever serves.
    pub async fn sagas(&self, has_engine: bool) -> anyhow::Result<Sagas> {
        Sagas::new(self.client()?.clone(), has_engine).await
    }

    /// Starts the orchestrator; how long until it served every partition, in milliseconds.
    pub async fn orchestrator(&mut self) -> anyhow::Result<f64> {
        let data = path_text(&self.data)?;
        let began = Instant::now();
        self.add("orchestrator", "orchestrator", &["--data", &data]).await?;
        Ok(began.elapsed().as_secs_f64() * 1000.0)
    }

    /// Starts the plain workers.
    pub async fn workers(&mut self) -> anyhow::Result<()> {
        self.add("workers", "worker", &[]).await
    }

    /// The driver's own connection to NATS.
    pub fn client(&self) -> anyhow::Result<&Nats> {
        Ok(&self.broker.as_ref().context("this contender has NATS")?.client)
    }

    /// Where the broker is.
    pub fn url(&self) -> anyhow::Result<String> {
        Ok(self.broker.as_ref().context("this contender has NATS")?.server.url())
    }

    /// For whatever belongs to this round alone.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts any program as one of the processes that count.
    pub fn spawn(&mut self, name: &'static str, command: Command) -> anyhow::Result<()> {
        self.processes.push(Process::spawn(name, command)?);
        Ok(())
    }

    /// The orchestrator's database.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Takes a database that is there already.
    pub fn with_data(self, data: PathBuf) -> Self {
        Self { data, ..self }
    }

    /// Kills a process, as `kill -9` does.
    pub async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let place = self.processes.iter().position(|process| process.name == name).context("it runs")?;
        self.processes.remove(place).kill().await
    }

    /// A process's id.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.processes.iter().find(|process| process.name == name).map(|process| process.pid)
    }

    /// Every process that counts, by name: the broker and the driver too.
    pub fn pids(&self) -> Vec<(&'static str, u32)> {
        let mut pids: Vec<_> = self.processes.iter().map(|process| (process.name, process.pid)).collect();
        let broker = self.broker.as_ref().and_then(|broker| broker.server.process_id());
        pids.extend(broker.map(|pid| ("nats-server", pid)));
        pids.push(("driver", std::process::id()));
        pids
    }

    /// Kills everything and waits for it, so that the next contender has the machine for itself.
    pub async fn end(self) -> anyhow::Result<()> {
        for process in self.processes {
            process.kill().await?;
        }
        if let Some(broker) = self.broker {
            broker.server.kill().await;
        }
        Ok(())
    }

    /// Starts this binary in a role.
    async fn add(&mut self, name: &'static str, role: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["role", role, "--nats", &self.url()?]).args(arguments);
        self.processes.push(Process::start(name, command).await?);
        Ok(())
    }
}

fn path_text(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).context("the temporary folder's name is text")
}
