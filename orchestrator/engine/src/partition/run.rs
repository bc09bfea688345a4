//! The loop: await one input, drain what else is ready, decide each in memory, append **one** record, then act.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::DefinitionLibrary;
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use amends_schemas::saga::SagaView;
use chrono::Utc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::memory::{Batch, Memory};
use super::recover::take_over;
use super::round::Round;
use super::watches::Watches;
use crate::dispatcher::{self, Lanes, Sending, longer};
use crate::gate::{Gates, Membership};
use crate::ports::{JournalRecord, Presence, Recovered, Store, StoreError, Transport};
use crate::projector::{self, Projecting};
use crate::request::{Internal, Request};
use crate::retention::{self, Sweeping};
use crate::settings::EngineSettings;
use crate::status::{Role, StatusCell};
use crate::timers::Timers;

/// What a partition is made of.
pub(crate) struct PartitionParts {
    pub(crate) partition: PartitionId,
    pub(crate) partition_count: PartitionCount,
    pub(crate) owner: Arc<str>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) presence: Arc<dyn Presence>,
    pub(crate) library: Arc<DefinitionLibrary>,
    pub(crate) settings: Arc<EngineSettings>,
    pub(crate) status: StatusCell,
    pub(crate) internal: mpsc::UnboundedSender<Internal>,
    pub(crate) gates: Arc<Gates>,
    /// What was read of it already, if that is all there is.
    pub(crate) read: Option<Recovered>,
}

/// Why the loop ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It was asked to.
    Stopped,
    /// Somebody else owns the partition.
    Fenced { by: String, epoch: u64 },
    /// It cannot go on.
    Failed(StoreError),
}

impl From<StoreError> for Ending {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced { owner, epoch, .. } => Ending::Fenced { by: owner, epoch },
            error @ (StoreError::Unavailable(_)
            | StoreError::Damaged(_)
            | StoreError::Unread(_)
            | StoreError::PartitionCount { .. }
            | StoreError::Invalid(_)) => Ending::Failed(error),
        }
    }
}

/// A partition that this process owns.
pub(crate) struct Partition {
    pub(super) partition: PartitionId,
    pub(super) partition_count: PartitionCount,
    owner: Arc<str>,
    pub(super) epoch: u64,
    /// Of the last record written.
    pub(super) position: u64,
    pub(super) settings: Arc<EngineSettings>,
    pub(super) library: Arc<DefinitionLibrary>,
    pub(super) store: Arc<dyn Store>,
    pub(super) reply_to: String,
    /// Tells this owner's publications from those before.
    pub(super) dispatch_id: Arc<str>,
    pub(super) sweeps: u32,
    pub(super) memory: Memory,
    pub(super) presence: Arc<dyn Presence>,
    pub(super) timers: Timers,
    pub(super) watches: Watches,
    /// Requests about sagas that are being read from the view.
    pub(super) loading: HashMap<SagaId, Vec<Request>>,
    pub(super) lanes: Lanes,
    pub(super) gates: Membership,
    pub(super) changes: mpsc::Sender<SagaView>,
    batches: mpsc::Sender<Arc<Batch>>,
    internal: mpsc::UnboundedSender<Internal>,
    status: StatusCell,
    /// What the projector found out: somebody else owns this.
    fenced: Option<StoreError>,
    /// When the projector was given its last batch.
    projecting_since: Instant,
    /// Until when it gets no other.
    projector_rests_until: Instant,
    dispatcher: JoinHandle<()>,
    helpers: Vec<JoinHandle<()>>,
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.dispatcher.abort();
        self.helpers.iter().for_each(JoinHandle::abort);
    }
}

impl Partition {
    /// Reads the partition's journal, takes it over and sets everything under way going again.
    pub(crate) async fn take(parts: PartitionParts) -> Result<Self, StoreError> {
        let began = Instant::now();
        let taken = take_over(&*parts.store, &parts.library, parts.partition, &parts.owner, parts.read).await?;
        let sending = Sending {
            transport: Arc::clone(&parts.transport),
            partition_count: parts.partition_count,
            internal: parts.internal.clone(),
            settings: Arc::clone(&parts.settings),
        };
        let (lanes, dispatcher) = dispatcher::spawn(sending);
        let gates = parts.gates.join(parts.partition, parts.internal.clone());
        let (batches, projector) = projector::spawn(Projecting {
            store: Arc::clone(&parts.store),
            partition: parts.partition,
            epoch: taken.epoch,
            settings: Arc::clone(&parts.settings),
            internal: parts.internal.clone(),
            status: parts.status.clone(),
        });
        let (changes, announcer) = announce(Arc::clone(&parts.transport), parts.settings.changes_waiting_max);
        let sweeper = retention::spawn(Sweeping {
            store: Arc::clone(&parts.store),
            partition: parts.partition,
            epoch: taken.epoch,
            library: Arc::clone(&parts.library),
            settings: Arc::clone(&parts.settings),
            internal: parts.internal.clone(),
            status: parts.status.clone(),
        });
        let parked = taken.memory.parked(&parts.library);
        for saga in &parked {
            tracing::error!(saga.id = %saga.saga_id, saga.definition = saga.definition, hash = saga.hash,
                "a saga is parked: {}", saga.reason);
        }
        parts.status.update(|status| {
            status.role = Role::Owner;
            status.epoch = taken.epoch;
            status.position = taken.position;
            status.projected = taken.memory.checkpoint();
            status.saga_count = taken.memory.len();
            status.parked = parked;
        });
        tracing::info!(partition = %parts.partition, epoch = taken.epoch, position = taken.position,
            saga_count = taken.memory.len(), took = ?began.elapsed(), "took a partition over");
        let mut partition = Self {
            partition: parts.partition,
            partition_count: parts.partition_count,
            owner: parts.owner,
            epoch: taken.epoch,
            position: taken.position,
            reply_to: parts.transport.reply_to(parts.partition),
            settings: parts.settings,
            library: parts.library,
            store: parts.store,
            dispatch_id: format!("e{}", taken.epoch).into(),
            sweeps: 0,
            memory: taken.memory,
            presence: parts.presence,
            timers: Timers::default(),
            watches: Watches::default(),
            loading: HashMap::new(),
            lanes,
            gates,
            changes,
            batches,
            internal: parts.internal,
            status: parts.status,
            fenced: None,
            projecting_since: Instant::now(),
            projector_rests_until: Instant::now(),
            dispatcher,
            helpers: [projector, announcer].into_iter().chain(sweeper).collect(),
        };
        partition.tell_all_gates();
        partition.resume_all();
        Ok(partition)
    }

    /// Runs until it is stopped or replaced.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut internal: mpsc::UnboundedReceiver<Internal>,
        stop: CancellationToken,
    ) -> Ending {
        let mut tick = tokio::time::interval(self.settings.projection_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What was written before the last tick is projected at this one: most of it has settled meanwhile.
        let mut projectable = self.position;
        loop {
            let accepting = self.is_accepting();
            let mut round = Round::new(Utc::now());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(first) = internal.recv() => self.internal(&mut round, first),
                _ = tick.tick() => {
                    self.look_around();
                    self.project(projectable).await;
                    projectable = self.position;
                    self.prune_timers();
                }
                () = tokio::time::sleep(self.until_timer()), if self.timers.next().is_some() => {}
                Some(first) = requests.recv(), if accepting => {
                    round.now = Utc::now();
                    self.request(&mut round, first);
                }
            }
            round.now = round.now.max(Utc::now());
            self.drain(&mut round, &mut requests, &mut internal);
            if let Err(ending) = self.finish(round, &stop).await {
                return ending;
            }
        }
        self.close(requests, internal, &stop).await
    }

    /// Takes what else is ready, within the round's bounds.
    fn drain(
        &mut self,
        round: &mut Round,
        requests: &mut mpsc::Receiver<Request>,
        internal: &mut mpsc::UnboundedReceiver<Internal>,
    ) {
        self.timers_due(round);
        while let Ok(next) = internal.try_recv() {
            round.input_count += 1;
            self.internal(round, next);
            if self.is_full(round) {
                return;
            }
        }
        while !self.is_full(round) && self.is_accepting() {
            let Ok(next) = requests.try_recv() else { return };
            self.request(round, next);
        }
    }

    fn is_full(&self, round: &Round) -> bool {
        round.input_count >= self.settings.batch_inputs_max || round.bytes >= self.settings.batch_bytes_max
    }

    /// Whether requests are taken: not while too much waits to be read from or written into the view.
    fn is_accepting(&self) -> bool {
        self.loading.len() < self.settings.loads_max && self.memory.backlog() < self.settings.projection_backlog_max
    }

    /// Commits a round and acts on it.
    async fn finish(&mut self, mut round: Round, stop: &CancellationToken) -> Result<(), Ending> {
        // The view says that somebody else owns this; the journal says who.
        let fenced = self.fenced.take();
        if !round.entries.is_empty() || round.must_write || fenced.is_some() {
            let record = JournalRecord {
                partition: self.partition,
                position: self.position + 1,
                epoch: self.epoch,
                owner: self.owner.to_string(),
                at: round.now,
                entries: std::mem::take(&mut round.entries),
                unread: Vec::new(),
            };
            self.append(&record, stop).await?;
            if let Some(error) = fenced {
                return Err(error.into());
            }
            self.position = record.position;
            self.committed(&record.entries);
        }
        for after in round.after {
            self.act(after);
        }
        self.memory.end_visits();
        self.status.update(|status| {
            status.position = self.position;
            status.saga_count = self.memory.len();
        });
        Ok(())
    }

    /// Appends until the record is in or somebody else's is. While the database is away the partition waits; it is asked
    /// to stop, it waits only a while longer.
    async fn append(&mut self, record: &JournalRecord, stop: &CancellationToken) -> Result<(), Ending> {
        let mut delay = self.settings.store_retry_min;
        let mut give_up = None;
        loop {
            let error = match self.store.append(record).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !matches!(error, StoreError::Unavailable(_)) {
                return Err(error.into());
            }
            tracing::warn!(partition = %self.partition, %error, "the journal cannot be written; trying again");
            self.status.update(|status| status.trouble = Some(error.to_string()));
            if stop.is_cancelled() {
                let limit = *give_up.get_or_insert_with(|| Instant::now() + self.settings.shutdown_patience);
                if Instant::now() > limit {
                    return Err(error.into());
                }
            }
            tokio::time::sleep(delay).await;
            delay = longer(delay, self.settings.store_retry_max);
        }
    }

    fn until_timer(&self) -> Duration {
        let wait = self.timers.next().map(|at| (at - Utc::now()).to_std().unwrap_or_default());
        wait.unwrap_or(Duration::MAX).min(self.settings.timer_check_max)
    }

    fn prune_timers(&mut self) {
        if self.timers.is_overgrown(self.memory.len()) {
            let armed = self.memory.iter().filter_map(|(saga_id, entry)| Some((entry.armed?, *saga_id)));
            self.timers.rebuild(armed);
        }
    }

    /// Has a saga read from the view; the request waits for it.
    pub(super) fn load(&mut self, saga_id: SagaId, request: Request) {
        self.loading.insert(saga_id, vec![request]);
        let (store, internal) = (Arc::clone(&self.store), self.internal.clone());
        tokio::spawn(async move {
            let result = store.load(saga_id).await.map(|found| found.map(Box::new));
            // The partition may be lost by now.
            let _ = internal.send(Internal::Loaded { saga_id, result });
        });
    }

    /// Hands the projector its next batch, if it is idle and has rested.
    async fn project(&mut self, upto: u64) {
        if self.memory.is_projecting() || Instant::now() < self.projector_rests_until {
            return;
        }
        if let Some(batch) = self.memory.pick(upto, self.settings.projection_sagas_max) {
            self.projecting_since = Instant::now();
            if self.batches.send(batch).await.is_err() {
                tracing::debug!(partition = %self.partition, "the projector has ended");
            }
        }
    }

    pub(super) fn projection_ended(&mut self, result: Result<(), StoreError>) {
        match result {
            Ok(()) => {
                self.memory.projected();
                self.projector_rests_until = Instant::now() + self.projection_rest();
            }
            Err(error) => self.fenced = Some(error),
        }
    }

    /// How long the projector rests now: sagas that move meanwhile are written once for all of it. Not while so many are changed that
    /// requests would have to wait for it.
    fn projection_rest(&self) -> Duration {
        if self.memory.backlog() >= self.settings.projection_backlog_max / 2 {
            return Duration::ZERO;
        }
        (self.projecting_since.elapsed() * self.settings.projection_rest).min(self.settings.projection_rest_max)
    }

    /// Decides what has been taken in, lets the dispatcher and the projector finish, each within patience.
    async fn close(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut internal: mpsc::UnboundedReceiver<Internal>,
        stop: &CancellationToken,
    ) -> Ending {
        let deadline = Instant::now() + self.settings.shutdown_patience;
        requests.close();
        loop {
            let mut round = Round::new(Utc::now());
            self.drain(&mut round, &mut requests, &mut internal);
            let more = round.input_count > 0;
            if let Err(ending) = self.finish(round, stop).await {
                return ending;
            }
            if (!more && self.loading.is_empty()) || Instant::now() > deadline {
                break;
            }
            if !more && let Ok(Some(next)) = tokio::time::timeout_at(deadline, internal.recv()).await {
                let mut round = Round::new(Utc::now());
                self.internal(&mut round, next);
                if let Err(ending) = self.finish(round, stop).await {
                    return ending;
                }
            }
        }
        self.flush(&mut internal, deadline).await;
        // Without its last sender the dispatcher ends when every command is sent; what is not is sent by the next owner.
        self.lanes = Lanes::closed();
        let _ = tokio::time::timeout_at(deadline, &mut self.dispatcher).await;
        Ending::Stopped
    }

    /// Projects everything, so that the next owner has nothing to replay.
    async fn flush(&mut self, internal: &mut mpsc::UnboundedReceiver<Internal>, deadline: Instant) {
        self.projector_rests_until = Instant::now();
        loop {
            self.project(self.position).await;
            if !self.memory.is_projecting() {
                return;
            }
            match tokio::time::timeout_at(deadline, internal.recv()).await {
                Ok(Some(Internal::Projected { result: Ok(()) })) => self.memory.projected(),
                Ok(Some(Internal::Projected { result: Err(_) }) | None) | Err(_) => return,
                // Comes too late to be decided; the next owner sees to it.
                Ok(Some(_)) => {}
            }
        }
    }
}

/// Publishes changes for watchers, one after the other.
fn announce(transport: Arc<dyn Transport>, most: usize) -> (mpsc::Sender<SagaView>, JoinHandle<()>) {
    let (sender, mut receiver) = mpsc::channel::<SagaView>(most);
    let task = tokio::spawn(async move {
        while let Some(view) = receiver.recv().await {
            transport.publish_change(&view).await;
        }
    });
    (sender, task)
}
