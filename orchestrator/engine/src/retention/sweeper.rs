//! What lets go, in the background of a partition's loop: one slab of the journal, one page of moved facts, a few sagas at a time.

use std::path::PathBuf;
use std::sync::Arc;

use amends_core::definition::DefinitionLibrary;
use amends_core::event::Event;
use amends_schemas::ids::{PartitionId, SagaId};
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::archive;
use super::policy::RetentionPolicy;
use super::port::{Cut, Dropped, OldSaga, Retain, SlabBounds};
use crate::ports::{Store, StoreError, StoredSaga};
use crate::request::Internal;
use crate::settings::EngineSettings;
use crate::status::StatusCell;

/// Sagas removed at once. While it lasts, requests for them wait.
const FORGET_AT_ONCE: usize = 64;

/// Longest history that is dropped; a longer one is kept, and said so, rather than held in memory. A hundred times the longest that is
/// answered.
const FACTS_MAX: usize = 1_000_000;

/// What sweeping needs.
pub(crate) struct Sweeping {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) partition: PartitionId,
    pub(crate) epoch: u64,
    pub(crate) library: Arc<DefinitionLibrary>,
    pub(crate) settings: Arc<EngineSettings>,
    pub(crate) internal: mpsc::UnboundedSender<Internal>,
    pub(crate) status: StatusCell,
}

/// Starts it, if anything is to be let go at all. Abort it to end it: what it does is done in transactions.
pub(crate) fn spawn(sweeping: Sweeping) -> Option<JoinHandle<()>> {
    let policy = sweeping.settings.retention.clone()?;
    let sweeper = Sweeper { policy, kept_after: None, sweeping };
    Some(tokio::spawn(sweeper.run()))
}

/// Why a pass did not end well.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an archive cannot be written: {0}")]
    Archive(#[from] std::io::Error),
}

struct Sweeper {
    sweeping: Sweeping,
    policy: Arc<RetentionPolicy>,
    /// How far the facts that were moved have been looked through.
    kept_after: Option<SagaId>,
}

impl Sweeper {
    async fn run(mut self) {
        let partition = self.sweeping.partition;
        loop {
            let more = match self.pass(Utc::now()).await {
                Ok(more) => more,
                // The loop finds out by itself; whoever replaced us sweeps.
                Err(SweepError::Store(StoreError::Fenced { .. })) => return,
                Err(error @ SweepError::Store(StoreError::Unavailable(_))) => {
                    tracing::debug!(%partition, %error, "what is past keeping cannot be let go yet");
                    false
                }
                // Nothing is lost, but the journal grows: a person must look.
                Err(error) => {
                    tracing::error!(%partition, %error, "what is past keeping cannot be let go");
                    false
                }
            };
            let settings = &self.sweeping.settings;
            let pause = if more { settings.retention_pause } else { settings.retention_interval };
            tokio::time::sleep(pause).await;
        }
    }

    /// A little of everything; whether there is more.
    async fn pass(&mut self, now: DateTime<Utc>) -> Result<bool, SweepError> {
        let cut = self.cut_slab(now).await?;
        let kept = self.look_through_kept(now).await?;
        let forgotten = self.forget(now).await?;
        Ok(cut || kept || forgotten)
    }

    fn retain(&self) -> &dyn Retain {
        self.sweeping.store.retention()
    }

    async fn cut_slab(&self, now: DateTime<Utc>) -> Result<bool, SweepError> {
        let Sweeping { partition, epoch, settings, status, .. } = &self.sweeping;
        // The record at the checkpoint stays: it says position and epoch when nothing stands behind it.
        let Some(upto) = status.read().projected.checked_sub(1) else { return Ok(false) };
        let bounds = SlabBounds {
            before: self.policy.journal_before(now),
            records_max: settings.retention_records_max,
            bytes_max: settings.retention_bytes_max,
            sagas_max: settings.retention_sagas_max,
        };
        let Some(slab) = self.retain().oldest(*partition, upto, bounds).await? else { return Ok(false) };
        let (mut dropped, mut lines) = (Vec::new(), Vec::new());
        for OldSaga { saga, dropped_before } in &slab.settled {
            let Some(mut drop) = self.is_over(saga, now) else { continue };
            // Its archive, if any, has been written with the slab that held its first facts.
            if !dropped_before && self.policy.archive.is_some() {
                let Some(line) = self.line(saga).await? else { continue };
                lines.push(line);
            }
            drop.has_moved = !dropped_before && saga.positions.first().is_some_and(|first| *first < slab.from);
            dropped.push(drop);
        }
        self.archive(|folder| archive::slab_file(folder, *partition, slab.from), lines).await?;
        let cut = Cut { from: slab.from, upto: slab.upto, dropped: &dropped, gone: &slab.gone };
        self.retain().truncate(*partition, *epoch, cut).await?;
        status.update(|status| status.truncated = slab.upto);
        tracing::info!(%partition, from = slab.from, upto = slab.upto, dropped = dropped.len(),
            "took records out of the journal");
        Ok(true)
    }

    async fn look_through_kept(&mut self, now: DateTime<Utc>) -> Result<bool, SweepError> {
        let (partition, epoch) = (self.sweeping.partition, self.sweeping.epoch);
        let page = self.retain().kept(partition, self.kept_after).await?;
        let (mut dropped, mut lines) = (Vec::new(), Vec::new());
        for saga in &page.settled {
            let Some(drop) = self.is_over(saga, now) else { continue };
            // Read even if it is not archived: what this version cannot read is not dropped.
            let Some(line) = self.line(saga).await? else { continue };
            lines.push(line);
            dropped.push(Dropped { has_moved: true, ..drop });
        }
        if let Some(first) = dropped.first() {
            if self.policy.archive.is_none() {
                lines.clear();
            }
            self.archive(|folder| archive::kept_file(folder, partition, first.saga_id), lines).await?;
            self.retain().drop_kept(partition, epoch, &dropped).await?;
            tracing::info!(%partition, dropped = dropped.len(), "dropped histories that were kept longer");
        }
        self.kept_after = page.next;
        Ok(page.next.is_some())
    }

    /// Removes sagas. The loop is asked first, and keeps their requests waiting meanwhile: a saga that is moved again must not lose
    /// its row under a decision.
    async fn forget(&self, now: DateTime<Utc>) -> Result<bool, SweepError> {
        let Sweeping { partition, epoch, store, internal, .. } = &self.sweeping;
        let cutoffs = self.policy.saga_cutoffs(now);
        let mut expired = self.retain().expired(*partition, &cutoffs, FORGET_AT_ONCE).await?;
        let more = expired.len() == FORGET_AT_ONCE;
        if expired.is_empty() {
            return Ok(false);
        }
        let (free, freed) = oneshot::channel();
        let saga_ids = expired.iter().map(|saga| saga.saga_id).collect();
        if internal.send(Internal::Forgetting { saga_ids, free }).is_err() {
            return Ok(false);
        }
        let Ok(freed) = freed.await else { return Ok(false) };
        expired.retain(|saga| freed.contains(&saga.saga_id));
        let forgotten = self.retain().forget(*partition, *epoch, &expired).await;
        for saga_id in freed {
            let result = store.load(saga_id).await.map(|found| found.map(Box::new));
            // The partition may be lost by now.
            let _ = internal.send(Internal::Loaded { saga_id, result });
        }
        forgotten?;
        tracing::info!(%partition, removed = expired.len(), "removed sagas that are past keeping");
        Ok(more)
    }

    /// Whether a settled saga's facts may go. Those of a definition that this binary lacks do not.
    fn is_over(&self, saga: &StoredSaga, now: DateTime<Utc>) -> Option<Dropped> {
        let state = &saga.state;
        let definition = self.sweeping.library.resolve(&state.definition)?.reference.name.to_string();
        let over = self.policy.is_history_over(&definition, state.updated_at, now);
        over.then_some(Dropped { saga_id: state.saga_id, definition, settled_at: state.updated_at, has_moved: false })
    }

    /// Its line in an archive; none when its facts must stay.
    async fn line(&self, saga: &StoredSaga) -> Result<Option<Vec<u8>>, SweepError> {
        let state = &saga.state;
        let read = self.retain().history(self.sweeping.partition, state.saga_id, &saga.positions, FACTS_MAX).await;
        let events: Vec<Event> = match read {
            Ok(events) => events,
            Err(StoreError::Unread(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if events.len() > FACTS_MAX {
            tracing::error!(saga.id = %state.saga_id, "a history of more than {FACTS_MAX} facts is kept");
            return Ok(None);
        }
        let Some(definition) = self.sweeping.library.resolve(&state.definition) else { return Ok(None) };
        Ok(Some(archive::line(definition, state, &events).map_err(std::io::Error::other)?))
    }

    async fn archive(
        &self,
        name: impl FnOnce(&std::path::Path) -> PathBuf,
        lines: Vec<Vec<u8>>,
    ) -> Result<(), SweepError> {
        if let Some(folder) = &self.policy.archive
            && !lines.is_empty()
        {
            archive::write(name(folder), lines).await?;
        }
        Ok(())
    }
}
