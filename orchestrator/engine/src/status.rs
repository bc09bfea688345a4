//! How the partitions of this process stand, for readiness and for people.

use std::sync::{Arc, Mutex, PoisonError};

use amends_schemas::ids::{PartitionId, SagaId};

/// What this process is to a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Not looked at yet.
    Starting,
    /// Somebody else owns it, or nobody can say.
    Standby {
        /// Who, if known.
        owner: Option<String>,
    },
    /// Reading the journal.
    Recovering,
    /// Deciding its sagas.
    Owner,
    /// Was its owner and has been replaced without having given it up: two owners were at work, which the journal has
    /// stopped. Tried again only with a lease acquired afresh.
    Fenced {
        /// By whom.
        by: String,
        /// In which epoch.
        epoch: u64,
    },
    /// Stopped on an error; will be tried again.
    Failed {
        /// Which.
        error: String,
    },
    /// Given up, because the process ends.
    Stopped,
}

/// A saga whose definition this binary lacks, or of whose record it does not know all: left as it is until a binary that does comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedSaga {
    /// Which.
    pub saga_id: SagaId,
    /// `name@version`; `unknown` when not even that can be read.
    pub definition: String,
    /// The hash it was started on; empty when that cannot be read.
    pub hash: String,
    /// What is lacking.
    pub reason: String,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Which.
    pub partition: PartitionId,
    /// What this process is to it.
    pub role: Role,
    /// The epoch it is or was owned in; zero when never.
    pub epoch: u64,
    /// The last position written.
    pub position: u64,
    /// The checkpoint last written.
    pub projected: u64,
    /// The last position taken out of the journal by this process; zero when none was.
    pub truncated: u64,
    /// Sagas in memory.
    pub saga_count: usize,
    /// Sagas left untouched.
    pub parked: Vec<ParkedSaga>,
    /// What the database last said against a projection or a record, until one succeeds.
    pub trouble: Option<String>,
}

/// All partitions of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStatus {
    /// As it calls itself in the journal.
    pub owner: String,
    /// Each, in order.
    pub partitions: Vec<PartitionStatus>,
}

impl EngineStatus {
    /// Whether every partition is owned by somebody who can serve it, as far as this process can tell.
    pub fn is_ready(&self) -> bool {
        self.partitions.iter().all(|partition| match partition.role {
            Role::Owner | Role::Standby { owner: Some(_) } => true,
            Role::Starting
            | Role::Standby { owner: None }
            | Role::Recovering
            | Role::Fenced { .. }
            | Role::Failed { .. }
            | Role::Stopped => false,
        })
    }

    /// Every parked saga.
    pub fn parked(&self) -> impl Iterator<Item = &ParkedSaga> {
        self.partitions.iter().flat_map(|partition| &partition.parked)
    }
}

/// Where a partition writes how it stands.
#[derive(Debug, Clone)]
pub(crate) struct StatusCell(Arc<Mutex<PartitionStatus>>);

impl StatusCell {
    pub(crate) fn new(partition: PartitionId) -> Self {
        Self(Arc::new(Mutex::new(PartitionStatus {
            partition,
            role: Role::Starting,
            epoch: 0,
            position: 0,
            projected: 0,
            truncated: 0,
            saga_count: 0,
            parked: Vec::new(),
            trouble: None,
        })))
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut PartitionStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn read(&self) -> PartitionStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
