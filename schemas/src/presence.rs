//! Who serves what, and what waits to be served: how workers make themselves known, and how operators read it.
//!
//! A worker in any language is seen when it answers [`SERVICE_PING`](crate::subjects::SERVICE_PING) of the NATS service API (ADR-32) with
//! its context as `name`, an `id` and a `version` of its own, and in `metadata` the contracts it serves under [`CONTRACTS`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::contract::ContractName;

/// The member of a service's metadata that lists the contracts it serves, separated by commas; empty for a context that serves none. A
/// service without it is none of ours.
pub const CONTRACTS: &str = "contracts";

/// The member of a service's metadata that says when the process began to serve, in RFC 3339. It may be missing.
pub const STARTED_AT: &str = "started_at";

/// What a service answers to a ping; members that are not named here are left to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePing {
    /// The context.
    pub name: String,
    /// Of this process, new at every start.
    pub id: String,
    /// Of its binary.
    pub version: String,
    /// See [`CONTRACTS`] and [`STARTED_AT`].
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl ServicePing {
    /// The contracts it serves; `None` when it is no worker of ours. Names that are none, or of another context, are left out.
    pub fn contracts(&self) -> Option<Vec<ContractName>> {
        let names = self.metadata.get(CONTRACTS)?.split(',').filter_map(|name| name.trim().parse().ok());
        Some(names.filter(|name: &ContractName| name.context() == self.name).collect())
    }

    /// When it began to serve.
    pub fn started_at(&self) -> Option<DateTime<Utc>> {
        self.metadata.get(STARTED_AT)?.parse().ok()
    }
}

/// One process that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInstance {
    /// New at every start.
    pub id: String,
    /// Of its binary.
    pub version: String,
    /// When it began to serve, if it says so.
    pub started_at: Option<DateTime<Utc>>,
}

/// Who serves one contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractPresence {
    /// The context.
    pub context: String,
    /// The contract; absent for a context that serves none (it answers queries).
    pub contract: Option<ContractName>,
    /// How many processes serve it.
    pub instance_count: usize,
    /// They, by id; the first [`INSTANCES_SHOWN_MAX`].
    pub instances: Vec<WorkerInstance>,
    /// When somebody was last seen to serve it.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Since when nobody serves it, as far as the orchestrator that answers knows; absent while somebody does.
    pub unserved_since: Option<DateTime<Utc>>,
}

/// Most processes named for one contract; beyond it they are counted.
pub const INSTANCES_SHOWN_MAX: usize = 100;

/// Who serves what, as one orchestrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkersView {
    /// When that orchestrator began to look; what was before it cannot know. Absent while it has not seen anything yet.
    pub watched_since: Option<DateTime<Utc>>,
    /// When it last looked.
    pub looked_at: Option<DateTime<Utc>>,
    /// Every contract of a definition that is served, and every one that a worker serves; by name.
    pub items: Vec<ContractPresence>,
}

/// The commands of one contract that are not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// The context.
    pub context: String,
    /// The contract.
    pub contract: ContractName,
    /// Commands that no worker has yet.
    pub waiting: u64,
    /// Commands that are with workers, or that a worker has given back for a while.
    pub with_workers: u64,
    /// Of those, how many were delivered more than once.
    pub redelivered: u64,
    /// When the oldest command that is not done was sent.
    pub oldest_at: Option<DateTime<Utc>>,
}

/// All queues at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuesView {
    /// When they were measured.
    pub measured_at: DateTime<Utc>,
    /// Every contract of a definition that is served, and every one that has commands or had workers; by name.
    pub items: Vec<QueueView>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_tells_what_is_served() {
        let ping = |metadata: &str| -> ServicePing {
            serde_json::from_str(&format!(
                r#"{{"type":"io.nats.micro.v1.ping_response","name":"payment","id":"i","version":"1.2.3","metadata":{metadata}}}"#
            ))
            .expect("a ping")
        };
        let served = ping(
            r#"{"contracts":"payment.capture@1, payment.refund@2,billing.invoice@1,x","started_at":"2026-01-02T10:00:00Z"}"#,
        );
        let names: Vec<String> = served.contracts().expect("ours").iter().map(ToString::to_string).collect();
        assert_eq!(names, ["payment.capture@1", "payment.refund@2"]);
        assert_eq!(served.started_at().map(|at| at.to_rfc3339()), Some("2026-01-02T10:00:00+00:00".to_owned()));
        assert_eq!(ping(r#"{"contracts":""}"#).contracts(), Some(Vec::new()));
        let foreign = ping(r#"{"color":"red"}"#);
        assert_eq!((foreign.contracts(), foreign.started_at()), (None, None));
    }
}
