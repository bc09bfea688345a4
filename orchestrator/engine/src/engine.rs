//! All partitions of a process: tries for their leases, owns what it gets, gives it back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use amends_core::definition::DefinitionLibrary;
use amends_schemas::ids::{PartitionCount, PartitionId};
use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::ahead::Ahead;
use crate::chore::{self, CHORES_PARTITION, Chore};
use crate::gate::Gates;
use crate::handle::PartitionHandle;
use crate::partition::{Ending, Partition, PartitionParts};
use crate::ports::{Hold, Leases, Presence, Store, StoreError, Transport};
use crate::request::Internal;
use crate::settings::EngineSettings;
use crate::status::{EngineStatus, Role, StatusCell};

/// Brings requests to a partition for as long as this process owns it.
#[async_trait]
pub trait Front: Send + Sync + 'static {
    /// Takes requests from outside and submits them to `handle` until `stop` is cancelled; what was taken by then is still
    /// submitted.
    async fn serve(&self, handle: PartitionHandle, stop: CancellationToken);
}

/// What an engine is made of.
pub struct EngineParts {
    /// Holds the journal.
    pub store: Arc<dyn Store>,
    /// Sends commands.
    pub transport: Arc<dyn Transport>,
    /// Says who tries.
    pub leases: Arc<dyn Leases>,
    /// Brings requests.
    pub front: Arc<dyn Front>,
    /// Says who serves which contract.
    pub presence: Arc<dyn Presence>,
    /// What can be run.
    pub library: Arc<DefinitionLibrary>,
    /// Bounds and delays.
    pub settings: EngineSettings,
    /// How this process calls itself in the journal; must differ from every other process, earlier runs included.
    pub owner: String,
    /// As [`Store::establish`] has said.
    pub partition_count: PartitionCount,
    /// Done by whoever owns [`CHORES_PARTITION`].
    pub chores: Vec<Arc<dyn Chore>>,
}

/// Runs every partition whose lease it gets.
pub struct Engine {
    owner: String,
    slots: Vec<Arc<Slot>>,
    supervisors: Mutex<Vec<JoinHandle<()>>>,
    /// Lets attempts through that only a rate kept waiting.
    doorkeeper: AbortOnDrop<()>,
    stop: CancellationToken,
}

/// Where a partition is reached while it is owned.
struct Slot {
    status: StatusCell,
    owned: Mutex<Option<Owned>>,
}

#[derive(Clone)]
struct Owned {
    handle: PartitionHandle,
    internal: mpsc::UnboundedSender<Internal>,
}

impl Slot {
    fn owned(&self) -> Option<Owned> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_owned(&self, owned: Option<Owned>) {
        *self.owned.lock().unwrap_or_else(PoisonError::into_inner) = owned;
    }
}

impl Engine {
    /// Starts trying for every partition. Must be called within a tokio runtime.
    pub fn start(parts: EngineParts) -> Self {
        let owner = parts.owner.clone();
        let stop = CancellationToken::new();
        let gates = Arc::new(Gates::new(parts.partition_count, parts.settings.gates_settle));
        let shared = Arc::new(Shared {
            store: parts.store,
            transport: parts.transport,
            leases: parts.leases,
            front: parts.front,
            presence: parts.presence,
            library: parts.library,
            takeovers: Semaphore::new(parts.settings.takeovers_at_once.max(1)),
            settings: Arc::new(parts.settings),
            owner: parts.owner.into(),
            partition_count: parts.partition_count,
            chores: parts.chores,
            stop: stop.clone(),
            gates: Arc::clone(&gates),
        });
        let mut slots = Vec::new();
        let mut supervisors = Vec::new();
        for partition in parts.partition_count.iter() {
            let slot = Arc::new(Slot { status: StatusCell::new(partition), owned: Mutex::new(None) });
            let supervisor = Supervisor { shared: Arc::clone(&shared), slot: Arc::clone(&slot), partition };
            slots.push(slot);
            supervisors.push(tokio::spawn(supervisor.run()));
        }
        let doorkeeper = AbortOnDrop(tokio::spawn(gates.run()));
        Self { owner, slots, supervisors: Mutex::new(supervisors), doorkeeper, stop }
    }

    /// How every partition stands.
    pub fn status(&self) -> EngineStatus {
        EngineStatus {
            owner: self.owner.clone(),
            partitions: self.slots.iter().map(|slot| slot.status.read()).collect(),
        }
    }

    /// The way into a partition, while this process owns it.
    pub fn partition(&self, partition: PartitionId) -> Option<PartitionHandle> {
        self.slots.get(usize::from(partition.0))?.owned().map(|owned| owned.handle)
    }

    /// Has every owned partition dispatch what is in flight again: to be called when a stream has lost what it held.
    pub fn redispatch(&self) {
        for owned in self.slots.iter().filter_map(|slot| slot.owned()) {
            // Gone only when the partition is lost; its next owner dispatches everything anyway.
            let _ = owned.internal.send(Internal::Redispatch);
        }
    }

    /// Ends: takes nothing more, finishes what was taken, writes the view, gives the leases back. Bounded by the settings'
    /// patience for each partition, all at once.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let supervisors = std::mem::take(&mut *self.supervisors.lock().unwrap_or_else(PoisonError::into_inner));
        for supervisor in supervisors {
            if let Err(error) = supervisor.await {
                tracing::error!(%error, "a partition did not end well");
            }
        }
    }
}

impl Engine {
    /// Ends at once, as if the process was killed: nothing is finished, and nothing is lost.
    pub fn kill(&self) {
        self.doorkeeper.0.abort();
        for supervisor in self.supervisors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            supervisor.abort();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    transport: Arc<dyn Transport>,
    leases: Arc<dyn Leases>,
    front: Arc<dyn Front>,
    presence: Arc<dyn Presence>,
    library: Arc<DefinitionLibrary>,
    pub(crate) takeovers: Semaphore,
    settings: Arc<EngineSettings>,
    owner: Arc<str>,
    partition_count: PartitionCount,
    chores: Vec<Arc<dyn Chore>>,
    stop: CancellationToken,
    gates: Arc<Gates>,
}

/// Tries for one partition, for ever.
struct Supervisor {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    partition: PartitionId,
}

/// Whether a lease that we hold already may be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Yes.
    Held,
    /// No: we were fenced while we held it, so somebody owns the partition without it. Only one that was free in between says
    /// that they are gone.
    OnlyFresh,
}

impl Supervisor {
    async fn run(self) {
        let mut trust = Trust::Held;
        let mut ahead = Ahead::begin(&self.shared, self.partition);
        loop {
            match self.shared.leases.hold(self.partition).await {
                Ok(Hold::Acquired) => trust = self.own(ahead.take()).await,
                Ok(Hold::Kept) if trust == Trust::Held => trust = self.own(ahead.take()).await,
                Ok(Hold::Kept) => {}
                Ok(Hold::Other { owner }) => {
                    // Whoever fenced us holds it now; once it is free it can be had afresh.
                    if trust == Trust::Held {
                        self.slot.status.update(|status| status.role = Role::Standby { owner: Some(owner) });
                    }
                }
                Err(error) => {
                    tracing::debug!(partition = %self.partition, %error, "nobody can say whose the partition is");
                    if trust == Trust::Held {
                        self.slot.status.update(|status| status.role = Role::Standby { owner: None });
                    }
                }
            }
            ahead = ahead.filter(Ahead::is_fresh);
            let stop = &self.shared.stop;
            if stop.is_cancelled()
                || stop.run_until_cancelled(tokio::time::sleep(self.shared.settings.lease_poll)).await.is_none()
            {
                break;
            }
        }
        self.shared.leases.release(self.partition).await;
        self.slot.status.update(|status| status.role = Role::Stopped);
    }

    /// Owns the partition until something ends it.
    async fn own(&self, ahead: Option<Ahead>) -> Trust {
        let stop = self.shared.stop.child_token();
        let (internal_sender, internal) = mpsc::unbounded_channel();
        let reacquired = Arc::new(AtomicBool::new(false));
        let keeper = LeaseKeeper {
            shared: Arc::clone(&self.shared),
            partition: self.partition,
            internal: internal_sender.clone(),
            stop: stop.clone(),
            reacquired: Arc::clone(&reacquired),
        };
        // On a task of its own: replaying a long journal must not let the lease lapse.
        let keeping = AbortOnDrop(tokio::spawn(keeper.run()));
        let ending = self.own_while(ahead, internal_sender, internal, stop).await;
        drop(keeping);
        self.slot.set_owned(None);
        match ending {
            Ending::Stopped => {
                self.slot.status.update(|status| status.role = Role::Standby { owner: None });
                Trust::Held
            }
            Ending::Fenced { by, epoch } => {
                tracing::error!(partition = %self.partition, owner = by, epoch, "fenced by {by} in epoch {epoch}");
                self.slot.status.update(|status| status.role = Role::Fenced { by, epoch });
                if reacquired.load(Ordering::Acquire) { Trust::Held } else { Trust::OnlyFresh }
            }
            Ending::Failed(error) => {
                tracing::error!(partition = %self.partition, %error, "a partition stops; it will be tried again");
                self.slot.status.update(|status| status.role = Role::Failed { error: error.to_string() });
                let pause = tokio::time::sleep(self.shared.settings.failure_pause);
                self.shared.stop.run_until_cancelled(pause).await;
                Trust::Held
            }
        }
    }

    async fn own_while(
        &self,
        ahead: Option<Ahead>,
        internal_sender: mpsc::UnboundedSender<Internal>,
        internal: mpsc::UnboundedReceiver<Internal>,
        stop: CancellationToken,
    ) -> Ending {
        self.slot.status.update(|status| status.role = Role::Recovering);
        let partition = match self.take(ahead, &internal_sender, &stop).await {
            Ok(Some(partition)) => partition,
            Ok(None) => return Ending::Stopped,
            Err(error) => return error.into(),
        };
        let (requests_sender, requests) = mpsc::channel(self.shared.settings.requests_waiting_max);
        let handle = PartitionHandle::new(self.partition, requests_sender, self.slot.status.clone());
        self.slot.set_owned(Some(Owned { handle: handle.clone(), internal: internal_sender }));
        // The front ends first, so that the loop still decides what it has taken.
        let (front_stop, loop_stop) = (CancellationToken::new(), CancellationToken::new());
        let front = {
            let (shared, front_stop) = (Arc::clone(&self.shared), front_stop.clone());
            AbortOnDrop(tokio::spawn(async move { shared.front.serve(handle, front_stop).await }))
        };
        let chores = if self.partition == CHORES_PARTITION { chore::start(&self.shared.chores) } else { Vec::new() };
        // On a task of its own: the loop must not wait for whatever else this one awaits.
        let mut running = AbortOnDrop(tokio::spawn(partition.run(requests, internal, loop_stop.clone())));
        let ended = tokio::select! {
            ended = &mut running.0 => Some(ended),
            () = stop.cancelled() => None,
        };
        drop(chores);
        self.slot.set_owned(None);
        front_stop.cancel();
        let ended = match ended {
            Some(ended) => ended,
            None => {
                let _ = tokio::time::timeout(self.shared.settings.shutdown_patience, front.done()).await;
                loop_stop.cancel();
                (&mut running.0).await
            }
        };
        ended.unwrap_or_else(|error| Ending::Failed(StoreError::Damaged(format!("the partition loop ended: {error}"))))
    }

    /// Takes the partition over, waiting for a database that is away.
    async fn take(
        &self,
        ahead: Option<Ahead>,
        internal: &mpsc::UnboundedSender<Internal>,
        stop: &CancellationToken,
    ) -> Result<Option<Partition>, StoreError> {
        let mut read = match ahead {
            Some(ahead) => match stop.run_until_cancelled(ahead.take(&self.shared, self.partition)).await {
                Some(read) => read,
                None => return Ok(None),
            },
            None => None,
        };
        let mut delay = self.shared.settings.store_retry_min;
        loop {
            let parts = PartitionParts {
                partition: self.partition,
                partition_count: self.shared.partition_count,
                owner: Arc::clone(&self.shared.owner),
                store: Arc::clone(&self.shared.store),
                transport: Arc::clone(&self.shared.transport),
                presence: Arc::clone(&self.shared.presence),
                library: Arc::clone(&self.shared.library),
                settings: Arc::clone(&self.shared.settings),
                status: self.slot.status.clone(),
                internal: internal.clone(),
                gates: Arc::clone(&self.shared.gates),
                read: read.take(),
            };
            let taking = async {
                // Never closed: without a permit nothing would be wrong but the memory taken.
                let _permit = self.shared.takeovers.acquire().await;
                Partition::take(parts).await
            };
            match stop.run_until_cancelled(taking).await {
                None => return Ok(None),
                Some(Err(error @ StoreError::Unavailable(_))) => {
                    tracing::warn!(partition = %self.partition, %error, "the journal cannot be read; trying again");
                    if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                        return Ok(None);
                    }
                    delay = crate::dispatcher::longer(delay, self.shared.settings.store_retry_max);
                }
                Some(taken) => return taken.map(Some),
            }
        }
    }
}

/// Extends the lease of an owned partition, and notices when it went to somebody else.
struct LeaseKeeper {
    shared: Arc<Shared>,
    partition: PartitionId,
    internal: mpsc::UnboundedSender<Internal>,
    /// Cancelled when somebody else holds the lease.
    stop: CancellationToken,
    /// Set when it was free for a moment and is ours again.
    reacquired: Arc<AtomicBool>,
}

impl LeaseKeeper {
    async fn run(self) {
        loop {
            tokio::time::sleep(self.shared.settings.lease_renewal).await;
            match self.shared.leases.hold(self.partition).await {
                Ok(Hold::Kept) => {}
                Ok(Hold::Acquired) => {
                    tracing::warn!(partition = %self.partition, "the lease had lapsed and is ours again");
                    self.reacquired.store(true, Ordering::Release);
                    let _ = self.internal.send(Internal::ProveOwnership);
                }
                Ok(Hold::Other { owner }) => {
                    tracing::warn!(partition = %self.partition, owner,
                        "somebody else holds the lease; giving the partition up");
                    self.stop.cancel();
                    return;
                }
                // The journal fences: without NATS nobody else can be told apart from nobody.
                Err(error) => tracing::debug!(partition = %self.partition, %error, "the lease cannot be extended"),
            }
        }
    }
}

/// A task that does not outlive whoever started it.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn done(mut self) {
        let _ = (&mut self.0).await;
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
