//! `amends dev`: everything in one process.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::process::Process;

/// A running `amends dev` with its data in a temporary folder.
#[derive(Debug)]
pub struct Platform {
    process: Process,
    /// Of its API.
    pub client: Client,
    /// Where the test gateway answers.
    pub gateway: String,
    /// Where NATS answers.
    pub nats: String,
    binary: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Platform {
    /// Starts one on free ports and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    pub async fn start(binary: &str) -> Self {
        Self::start_with(binary, &[]).await
    }

    /// The same with more arguments.
    ///
    /// # Panics
    /// When it does not get ready.
    pub async fn start_with(binary: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data_dir = folder.path().join("data");
        let mut arguments: Vec<String> =
            ["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir"].map(str::to_owned).into();
        arguments.push(data_dir.to_string_lossy().into_owned());
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let binary = PathBuf::from(binary);
        let (process, ready) = launch(&binary, &arguments, &folder.path().join("log")).await;
        Self {
            process,
            client: Client::new(address(&ready, "api")),
            gateway: address(&ready, "gateway").to_owned(),
            nats: address(&ready, "nats").to_owned(),
            binary,
            arguments,
            folder,
        }
    }

    /// Kills it, as `kill -9` does, and starts it again on the same data. Its addresses change.
    pub async fn kill_and_restart(&mut self) {
        self.process.kill().await;
        self.restart().await;
    }

    /// Asks it to end and says whether it ended well.
    pub async fn stop(&mut self) -> bool {
        self.process.stop().await
    }

    /// Starts it again on the same data. Its addresses change.
    pub async fn restart(&mut self) {
        let (process, ready) = launch(&self.binary, &self.arguments, &self.folder.path().join("log")).await;
        self.process = process;
        self.client = Client::new(address(&ready, "api"));
        self.gateway = address(&ready, "gateway").to_owned();
        self.nats = address(&ready, "nats").to_owned();
    }

    /// What the gateway's own ledger says: charges and refunds.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn ledger(&self) -> Value {
        Client::new(&self.gateway).get("/ledger").await.body
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// All it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

impl Drop for Platform {
    /// Killed, it leaves behind the nats-server that it started, for the next start to find; with the test that ends too.
    fn drop(&mut self) {
        self.process.start_kill();
        let folder = self.data_dir().join("nats");
        let pid = std::fs::read_to_string(folder.join("nats-server.pid")).unwrap_or_default();
        // A number may belong to somebody else by now.
        let command = std::fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(&*folder.to_string_lossy()) {
            std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().ok();
        }
    }
}

async fn launch(binary: &Path, arguments: &[String], log: &Path) -> (Process, Value) {
    let mut process = Process::start(binary, arguments, log);
    let ready = process.ready().await;
    (process, ready)
}

fn address<'a>(ready: &'a Value, name: &str) -> &'a str {
    ready[name].as_str().unwrap_or_else(|| panic!("no {name} in the ready line {ready}"))
}
