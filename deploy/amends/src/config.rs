//! The configuration: defaults that are also the documentation, then a file, then the environment, then flags. What each
//! setting means stands in `default.toml` alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amends_billing::BillingSettings;
use amends_database::Location;
use amends_nats::NatsSettings;
use amends_schemas::ids::PartitionCount;
use amends_schemas::topology;
use anyhow::{Context, bail, ensure};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Deserialize;

use crate::retention::RetentionConfig;
use crate::schemas::Limits;

/// The compiled-in defaults, with a sentence on each setting.
pub const DEFAULTS: &str = include_str!("../default.toml");

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data_dir: PathBuf,
    pub nats: NatsConfig,
    pub database: DatabaseConfig,
    pub orchestrator: OrchestratorConfig,
    pub retention: RetentionConfig,
    pub worker: WorkerConfig,
    pub api: ApiConfig,
    pub payment: PaymentConfig,
    pub test_gateway: TestGatewayConfig,
    pub mail: MailConfig,
    pub billing: BillingSettings,
    pub telemetry: TelemetryConfig,
    /// By contract.
    #[serde(default)]
    pub limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsConfig {
    pub url: String,
    pub credentials: String,
    pub replicas: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    pub url: String,
    pub username: String,
    pub password: String,
    pub namespace: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrchestratorConfig {
    pub partitions: u16,
    pub name: String,
    pub schemas: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfig {
    pub concurrency: usize,
    pub drain_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    pub listen: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentConfig {
    pub gateway_url: String,
    pub webhook_secret: String,
    pub timeout_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestGatewayConfig {
    pub listen: SocketAddr,
    pub slow_seconds: u64,
    pub late_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    pub smtp_url: String,
    pub from: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    pub log: String,
    pub log_format: LogFormat,
    pub otlp_endpoint: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// What flags set, by the path of the setting.
pub type Overrides = Vec<(&'static str, figment::value::Value)>;

impl Config {
    /// Reads all layers and checks how they relate.
    ///
    /// # Errors
    /// The file, variable or flag that cannot be, by name.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            ensure!(file.is_file(), "the configuration file {} does not exist", file.display());
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment.merge(Env::prefixed("AMENDS_").split("__"));
        for (path, value) in overrides {
            figment = figment.merge(Serialized::global(path, value));
        }
        let config: Config = figment.extract().context("the configuration cannot be read")?;
        config.check()?;
        Ok(config)
    }

    /// Relations between settings that cannot work.
    fn check(&self) -> anyhow::Result<()> {
        if self.orchestrator.partitions != 0 && PartitionCount::new(self.orchestrator.partitions).is_none() {
            bail!(
                "orchestrator.partitions is {}, but must be 1 to {}",
                self.orchestrator.partitions,
                PartitionCount::MAX
            );
        }
        ensure!((1..=5).contains(&self.nats.replicas), "nats.replicas is {}, but must be 1 to 5", self.nats.replicas);
        ensure!(
            (1..=topology::ACK_PENDING_MAX as usize).contains(&self.worker.concurrency),
            "worker.concurrency is {}, but must be 1 to {}",
            self.worker.concurrency,
            topology::ACK_PENDING_MAX
        );
        ensure!(
            self.database.url.is_empty()
                || self.database.url.starts_with("ws://")
                || self.database.url.starts_with("wss://"),
            "database.url is {:?}, but must be empty or start with ws:// or wss://",
            self.database.url
        );
        self.retention.policy()?;
        ensure!(!self.payment.webhook_secret.is_empty(), "payment.webhook_secret must not be empty");
        ensure!(
            (1..=300).contains(&self.payment.timeout_seconds),
            "payment.timeout_seconds is {}, but must be 1 to 300",
            self.payment.timeout_seconds
        );
        Ok(())
    }

    /// Where the database of `name` (a context or `orchestrator`) lives.
    pub fn database_location(&self, name: &str) -> Location {
        if self.database.url.is_empty() {
            return Location::Embedded(self.data_dir.join("db").join(name));
        }
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Location::Remote {
            url: self.database.url.clone(),
            username: given(&self.database.username),
            password: given(&self.database.password),
        }
    }

    /// How `role` connects to NATS at `url`.
    pub fn nats_settings(&self, url: &str, role: &str) -> NatsSettings {
        NatsSettings {
            url: url.to_owned(),
            name: format!("amends-{role}"),
            credentials: (!self.nats.credentials.is_empty()).then(|| PathBuf::from(&self.nats.credentials)),
            replicas: self.nats.replicas,
        }
    }

    /// The NATS URL, for a role that does not run a server of its own.
    ///
    /// # Errors
    /// When none is set, with how to set one.
    pub fn required_nats_url(&self) -> anyhow::Result<String> {
        ensure!(
            !self.nats.url.is_empty(),
            "no NATS server is named: pass --nats nats://host:port or set AMENDS_NATS__URL"
        );
        Ok(self.nats.url.clone())
    }

    /// The number of partitions asked for, if any.
    pub fn partition_count(&self) -> Option<PartitionCount> {
        PartitionCount::new(self.orchestrator.partitions)
    }

    /// How long handlers may finish.
    pub const fn drain(&self) -> Duration {
        Duration::from_secs(self.worker.drain_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete_and_sound() {
        let config = Config::load(None, Vec::new()).expect("the defaults load");
        assert_eq!(config.api.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.partition_count(), None);
    }

    #[test]
    fn a_file_overrides_the_defaults_and_a_flag_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("amends.toml");
        std::fs::write(&file, "[worker]\nconcurrency = 7\n[api]\nlisten = \"127.0.0.1:1\"\n").expect("written");
        let config = Config::load(Some(&file), vec![("api.listen", "127.0.0.1:2".into())]).expect("loads");
        assert_eq!(config.worker.concurrency, 7);
        assert_eq!(config.api.listen.to_string(), "127.0.0.1:2");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("amends.toml");
        for (text, names) in [
            ("[worker]\nthreads = 7\n", "threads"),
            ("[worker]\nconcurrency = 0\n", "worker.concurrency"),
            ("[orchestrator]\npartitions = 300\n", "orchestrator.partitions"),
            ("[database]\nurl = \"http://somewhere\"\n", "database.url"),
            ("[telemetry]\nlog_format = \"xml\"\n", "xml"),
            ("[retention]\nhistory = \"soon\"\n", "retention.history"),
            ("[retention.definitions.registration]\nforever = true\n", "forever"),
        ] {
            std::fs::write(&file, text).expect("written");
            let error = format!("{:#}", Config::load(Some(&file), Vec::new()).expect_err(text));
            assert!(error.contains(names), "{text}: {error}");
        }
    }
}
