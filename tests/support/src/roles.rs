//! Every role as a process of its own, against one nats-server: what a deployment is, and what can be killed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::nats::{TestNats, nats_server};
use crate::process::{Process, free_port};
use crate::surreal::{self, TestSurreal};
use crate::wait;

/// The contexts, each with a worker process.
pub const CONTEXTS: [&str; 5] = ["events", "registration", "payment", "billing", "notification"];

/// A deployment of separate processes.
#[derive(Debug)]
pub struct Roles {
    /// Of the API.
    pub client: Client,
    /// The broker.
    pub nats: TestNats,
    gateway: String,
    processes: BTreeMap<String, Process>,
    arguments: BTreeMap<String, Vec<String>>,
    binary: PathBuf,
    folder: TempDir,
}

impl Roles {
    /// Starts all of them and waits until the API says that everything is ready.
    ///
    /// # Panics
    /// When they do not get ready.
    pub async fn start(binary: &str) -> Self {
        Self::start_with(binary, "").await
    }

    /// The same with every role's data in a SurrealDB server.
    ///
    /// # Panics
    /// When they do not get ready.
    pub async fn start_on(binary: &str, server: &TestSurreal) -> Self {
        let url = server.url();
        let (username, password) = (surreal::USERNAME, surreal::PASSWORD);
        let section = format!("[database]\nurl = \"{url}\"\nusername = \"{username}\"\npassword = \"{password}\"\n");
        Self::start_with(binary, &section).await
    }

    async fn start_with(binary: &str, more_settings: &str) -> Self {
        let nats = nats_server().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (api, gateway) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let data = folder.path().join("data").to_string_lossy().into_owned();
        let config = folder.path().join("amends.toml");
        let settings = format!("[payment]\ngateway_url = \"http://{gateway}\"\n{more_settings}");
        std::fs::write(&config, settings).expect("the configuration can be written");
        let common = |first: &[&str]| -> Vec<String> {
            let shared =
                ["--nats", &nats.url(), "--data-dir", &data, "--config", &config.to_string_lossy()].map(str::to_owned);
            first.iter().map(|&argument| argument.to_owned()).chain(shared).collect()
        };
        let webhook = format!("http://{api}/v1/webhooks/test");
        let mut arguments = BTreeMap::new();
        arguments.insert("orchestrator".to_owned(), common(&["orchestrator"]));
        arguments.insert("api".to_owned(), common(&["api", "--listen", &api]));
        arguments.insert("gateway".to_owned(), common(&["test-gateway", "--listen", &gateway, "--webhook", &webhook]));
        for context in CONTEXTS {
            arguments.insert(context.to_owned(), common(&["worker", context]));
        }
        let mut roles = Self {
            client: Client::new(&format!("http://{api}")),
            nats,
            gateway: format!("http://{gateway}"),
            processes: BTreeMap::new(),
            arguments,
            binary: PathBuf::from(binary),
            folder,
        };
        for name in roles.names() {
            roles.launch(&name);
        }
        roles.until_ready().await;
        roles
    }

    /// All roles, by name.
    pub fn names(&self) -> Vec<String> {
        self.arguments.keys().cloned().collect()
    }

    /// Waits until the API says that everything is ready.
    pub async fn until_ready(&self) {
        wait::until("readiness", std::time::Duration::from_secs(120), async || {
            let answer = self.client.try_send(reqwest::Method::GET, "/readyz", None, None).await?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Kills one role, as `kill -9` does.
    ///
    /// # Panics
    /// When there is no such role.
    pub async fn kill(&mut self, name: &str) {
        self.processes.get_mut(name).expect("a role").kill().await;
    }

    /// One role's process.
    ///
    /// # Panics
    /// When there is no such role.
    pub fn process(&mut self, name: &str) -> &mut Process {
        self.processes.get_mut(name).expect("a role")
    }

    /// Starts one role; with its data as it was left.
    ///
    /// # Panics
    /// When there is no such role.
    pub fn launch(&mut self, name: &str) {
        let log = self.folder.path().join(format!("{name}.log"));
        let process = Process::start(&self.binary, &self.arguments[name], &log);
        self.processes.insert(name.to_owned(), process);
    }

    /// Starts one more process in a role, beside the one that runs.
    pub fn launch_another(&self, name: &str, more: &[&str]) -> Process {
        let log = self.folder.path().join(format!("{name}-another.log"));
        let mut arguments = self.arguments[name].clone();
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        Process::start(&self.binary, &arguments, &log)
    }

    /// What the gateway's own ledger says.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn ledger(&self) -> Value {
        Client::new(&self.gateway).get("/ledger").await.body
    }

    /// The end of every role's log, for a test that gives up.
    pub fn logs(&self) -> String {
        self.processes.iter().map(|(name, process)| format!("== {name}\n{}\n", process.log_tail())).collect()
    }
}
