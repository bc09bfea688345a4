//! What is true around sagas when somebody reads them: who serves the contracts they wait for. Seen from outside, never journaled,
//! without any bearing on what is decided.

use std::collections::BTreeMap;

use amends_schemas::contract::ContractName;
use chrono::{DateTime, Utc};

use crate::mapping::rfc3339;

/// What is known about the world at one moment. By default nothing is, and then nothing is claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Since when workers are looked for; `None` while nobody can say anything.
    pub watched_since: Option<DateTime<Utc>>,
    /// Every contract that has been served since: `None` while it is, otherwise when it was last seen to be.
    pub contracts: BTreeMap<ContractName, Option<DateTime<Utc>>>,
}

/// How long nobody has served a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    /// It was last seen to be served then.
    Since(DateTime<Utc>),
    /// It has not been since then, when the looking began; nobody knows about before.
    SinceAtLeast(DateTime<Utc>),
}

impl Surroundings {
    /// Since when nobody serves a contract; `None` when somebody does, or nobody can say.
    pub fn unserved(&self, contract: &ContractName) -> Option<Unserved> {
        match self.contracts.get(contract) {
            Some(last_seen) => last_seen.map(Unserved::Since),
            None => self.watched_since.map(Unserved::SinceAtLeast),
        }
    }
}

impl std::fmt::Display for Unserved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unserved::Since(at) => write!(f, "since {}", rfc3339(*at)),
            Unserved::SinceAtLeast(at) => write!(f, "since {} at least", rfc3339(*at)),
        }
    }
}
