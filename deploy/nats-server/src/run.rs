//! Runs a nats-server of our own: on loopback, with JetStream in a folder, ended with us.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a start may take: recovering a large JetStream store included.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may take to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Between looks at whether it answers.
const POLL: Duration = Duration::from_millis(20);

/// How to run it.
#[derive(Debug, Clone)]
pub struct NatsServerSettings {
    /// The program.
    pub binary: PathBuf,
    /// Its own folder: configuration, log, pid and the JetStream store.
    pub folder: PathBuf,
    /// The port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its folder.
    #[error("the nats-server folder {folder} cannot be used")]
    Folder {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program.
    #[error("{binary} cannot be started")]
    Spawn {
        /// Which.
        binary: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its folder is another running process's.
    #[error("the folder {folder} is in use by another process that runs a nats-server there")]
    InUse {
        /// Where.
        folder: PathBuf,
    },
    /// It ended, or does not answer.
    #[error("nats-server did not start; the end of its log {log}:\n{tail}")]
    NotReady {
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
}

/// A running nats-server. Dropping it kills it; [`NatsServer::stop`] lets it end in order.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    /// Held as long as we live, and given back by the system however we end: a server whose owner lives is not left over.
    _lock: File,
    address: SocketAddr,
    settings: NatsServerSettings,
}

impl NatsServer {
    /// Starts it and waits until it answers. A server left over in the same folder by a killed predecessor is ended first.
    ///
    /// # Errors
    /// [`StartError`], with the end of the server's log.
    pub async fn start(settings: NatsServerSettings) -> Result<Self, StartError> {
        let folder = |source| StartError::Folder { folder: settings.folder.clone(), source };
        fs::create_dir_all(&settings.folder).map_err(folder)?;
        let lock = lock(&settings.folder)?;
        end_left_over(&settings.folder).await;
        let port = match settings.port {
            Some(port) => port,
            None => free_port().map_err(folder)?,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        fs::write(config_path(&settings.folder), config(&settings.folder, port)).map_err(folder)?;
        // The log is one run's: it is there to say why this start failed.
        let _ = fs::remove_file(log_path(&settings.folder));
        let child = Command::new(&settings.binary)
            .arg("--config")
            .arg(config_path(&settings.folder))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is for us; we end the server after everything that uses it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| StartError::Spawn { binary: settings.binary.clone(), source })?;
        let mut server = Self { child, _lock: lock, address, settings };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// `nats://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The settings to start it again with, on the same port.
    pub fn settings(&self) -> NatsServerSettings {
        NatsServerSettings { port: Some(self.address.port()), ..self.settings.clone() }
    }

    /// Its process id while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it ends by itself, which it should not. Cancel safe.
    pub async fn ended(&mut self) {
        // An error means that it cannot be waited for: there is no such process any more.
        let _ = self.child.wait().await;
    }

    /// Asks it to end and waits for that; kills it when it takes too long.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id() {
            signal(pid, "TERM").await;
        }
        if timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Kills it, as a power cut would.
    pub async fn kill(mut self) {
        let _ = self.child.kill().await;
    }

    async fn wait_until_ready(&mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            if greets(self.address).await {
                return Ok(());
            }
            sleep(POLL).await;
        }
        let log = log_path(&self.settings.folder);
        Err(StartError::NotReady { tail: tail(&log), log })
    }
}

/// Whether a NATS server says hello there. The port opens only after JetStream has recovered.
async fn greets(address: SocketAddr) -> bool {
    let hello = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.ok()?;
        line.starts_with("INFO ").then_some(())
    };
    matches!(timeout(Duration::from_secs(1), hello).await, Ok(Some(())))
}

/// Makes the folder ours while we live.
fn lock(folder: &Path) -> Result<File, StartError> {
    let unusable = |source| StartError::Folder { folder: folder.to_owned(), source };
    let file = File::options().create(true).append(true).open(folder.join("owner.lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Ends a server that a killed predecessor has left behind in this folder: it would hold the store and the port.
async fn end_left_over(folder: &Path) {
    let Some(pid) = fs::read_to_string(pid_path(folder)).ok().and_then(|text| text.trim().parse::<u32>().ok()) else {
        return;
    };
    if !runs_from(folder, pid) {
        return;
    }
    tracing::warn!(pid, "ending a nats-server that an earlier run left behind");
    signal(pid, "TERM").await;
    let deadline = Instant::now() + STOP_TIMEOUT;
    while runs_from(folder, pid) {
        if Instant::now() > deadline {
            signal(pid, "KILL").await;
        }
        sleep(POLL).await;
    }
}

/// Whether the process is a nats-server running with this folder's configuration.
fn runs_from(folder: &Path, pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&*config_path(folder).to_string_lossy()))
}

/// Sends a signal with the system's own `kill`, so that no unsafe code is needed here.
async fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status().await;
    if let Err(error) = sent {
        tracing::warn!(pid, %error, "cannot send a signal");
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The database is the record and JetStream transport, so one node syncs once a second; a lost tail is published again. The storage bound is
/// set by hand: by default it follows the free disk, and on a full one the streams, which rarely hold much, would be refused.
fn config(folder: &Path, port: u16) -> String {
    format!(
        "listen: \"127.0.0.1:{port}\"\nserver_name: \"amends-{port}\"\npid_file: {pid:?}\nlog_file: {log:?}\n\
         max_payload: 1MB\njetstream {{\n  store_dir: {store:?}\n  sync_interval: \"1s\"\n  max_file_store: 16GB\n}}\n",
        pid = pid_path(folder),
        log = log_path(folder),
        store = store_path(folder),
    )
}

fn config_path(folder: &Path) -> PathBuf {
    folder.join("nats-server.conf")
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("nats-server.log")
}

fn pid_path(folder: &Path) -> PathBuf {
    folder.join("nats-server.pid")
}

fn store_path(folder: &Path) -> PathBuf {
    folder.join("store")
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn settings(folder: &Path) -> NatsServerSettings {
        let binary = crate::find_or_fetch(|_| {}).await.expect("a nats-server");
        NatsServerSettings { binary, folder: folder.to_owned(), port: None }
    }

    #[tokio::test]
    async fn starts_answers_and_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = NatsServer::start(settings(folder.path()).await).await.expect("starts");
        let address = server.address();
        assert!(greets(address).await);
        server.stop().await;
        assert!(!greets(address).await);
    }

    #[tokio::test]
    async fn a_server_left_behind_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = NatsServer::start(settings(folder.path()).await).await.expect("starts");
        let left_behind = first.process_id().expect("running");
        let again = first.settings();
        // What a killed parent leaves: the process runs on, nobody holds its handle, and the system has dropped the lock.
        let NatsServer { child, _lock, .. } = first;
        std::mem::forget(child);
        drop(_lock);
        let second = NatsServer::start(again).await.expect("starts on the same port and store");
        assert_ne!(second.process_id(), Some(left_behind));
        second.stop().await;
    }

    #[tokio::test]
    async fn a_server_whose_owner_lives_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = NatsServer::start(settings(folder.path()).await).await.expect("starts");
        let error = NatsServer::start(settings(folder.path()).await).await.expect_err("the folder is taken");
        assert!(matches!(error, StartError::InUse { .. }), "{error}");
        assert!(greets(first.address()).await, "the first was ended");
        first.stop().await;
    }

    #[tokio::test]
    async fn its_end_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = NatsServer::start(settings(folder.path()).await).await.expect("starts");
        signal(server.process_id().expect("running"), "KILL").await;
        timeout(STOP_TIMEOUT, server.ended()).await.expect("noticed");
        let again = server.settings();
        drop(server);
        NatsServer::start(again).await.expect("starts on the same port").stop().await;
    }

    #[tokio::test]
    async fn a_taken_port_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("bound").port();
        let settings = NatsServerSettings { port: Some(port), ..settings(folder.path()).await };
        let error = NatsServer::start(settings).await.expect_err("the port is taken");
        assert!(error.to_string().contains("address already in use"), "{error}");
    }
}
