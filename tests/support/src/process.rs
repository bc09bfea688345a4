//! The `amends` binary in any role, as a process that can be killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a role may take until it says it is ready. Debug builds open their databases slowly when many start at once.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a role may take to end after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A running role. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `binary` with `arguments`; its standard error is appended to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(binary: &Path, arguments: &[String], log: &Path) -> Self {
        let errors = File::options().create(true).append(true).open(log).expect("the log can be written");
        let child = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        Self { child, log: log.to_owned() }
    }

    /// The one line of JSON it prints when it is ready.
    ///
    /// # Panics
    /// When it ends before, or takes too long: with the end of its log.
    pub async fn ready(&mut self) -> Value {
        let output = self.child.stdout.take().expect("asked for once");
        let mut line = String::new();
        let read = timeout(READY_TIMEOUT, BufReader::new(output).read_line(&mut line)).await;
        assert!(matches!(read, Ok(Ok(_))) && !line.is_empty(), "not ready; the end of its log:\n{}", self.log_tail());
        serde_json::from_str(&line).expect("the line is JSON")
    }

    /// Kills it, as `kill -9` does, and waits until it is gone.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub async fn kill(&mut self) {
        self.start_kill();
        self.child.wait().await.expect("it can be waited for");
    }

    /// The same without waiting.
    pub fn start_kill(&mut self) {
        self.child.start_kill().ok();
    }

    /// Asks it to end (SIGTERM) and says whether it ended well in time.
    pub async fn stop(&mut self) -> bool {
        self.signal("-TERM").await;
        matches!(timeout(STOP_TIMEOUT, self.child.wait()).await, Ok(Ok(status)) if status.success())
    }

    /// Freezes it (SIGSTOP), as a machine that stalls does.
    pub async fn freeze(&self) {
        self.signal("-STOP").await;
    }

    /// Lets it go on after [`Process::freeze`] (SIGCONT).
    pub async fn thaw(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        if let Some(pid) = self.child.id() {
            Command::new("kill").arg(signal).arg(pid.to_string()).status().await.ok();
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// A port that is free now.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
