//! A new owner: the view's unfinished sagas, the journal's tail on top, and a record of an epoch of its own, which fences
//! whoever owned the partition before.

use std::collections::HashMap;

use amends_core::definition::DefinitionLibrary;
use amends_core::event::{Event, Fact};
use amends_core::evolve::{begin, evolve};
use amends_core::state::{ByHand, SagaState};
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::saga::SagaStatus;
use chrono::Utc;

use super::memory::{Entry, Memory, stand_in_steps};
use crate::ports::{JournalEntry, JournalRecord, Store, StoreError};

/// What recovery leads to.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) memory: Memory,
    /// Of the record that took the partition over.
    pub(crate) position: u64,
    /// Of this owner.
    pub(crate) epoch: u64,
}

/// How often a takeover is tried while the owner before still writes. Each try reads only what was written since the last
/// and takes about as long as one record of the other's, so that a few suffice; an owner without its lease stops by itself
/// meanwhile.
const TAKEOVER_ATTEMPTS_MAX: u32 = 1000;

/// Records read at once to catch up with an owner that still writes.
const CATCH_UP_RECORDS: u64 = 16;

/// Reads a partition and takes it over. An owner that still writes may be faster to a position; what it wrote there is read
/// and the next position tried.
///
/// # Errors
/// [`StoreError::Fenced`] when another process took the partition over at the same moment.
pub(super) async fn take_over(
    store: &dyn Store,
    library: &DefinitionLibrary,
    partition: PartitionId,
    owner: &str,
) -> Result<Taken, StoreError> {
    let recovered = store.recover(partition).await?;
    let mut memory = Memory::default();
    memory.set_checkpoint(recovered.tail.first().map_or(recovered.last_position, |first| first.position - 1));
    for stored in recovered.sagas {
        memory.insert(Entry::of_stored(stored, library));
    }
    let mut replay = Replay { store, library, memory, left: HashMap::new() };
    for record in recovered.tail {
        replay.apply_record(record).await?;
    }
    let mut record = JournalRecord {
        partition,
        position: recovered.last_position + 1,
        epoch: recovered.last_epoch + 1,
        owner: owner.to_owned(),
        at: Utc::now(),
        entries: Vec::new(),
    };
    let mut attempt = 1;
    loop {
        let fenced = match store.append(&record).await {
            Ok(()) => return Ok(Taken { memory: replay.memory, position: record.position, epoch: record.epoch }),
            Err(error @ StoreError::Fenced { epoch, .. }) if epoch < record.epoch => error,
            Err(error) => return Err(error),
        };
        if attempt == TAKEOVER_ATTEMPTS_MAX {
            return Err(fenced);
        }
        attempt += 1;
        record.position = replay.catch_up(partition, record.position, record.epoch).await?;
    }
}

/// The tail on its way into memory.
struct Replay<'a> {
    store: &'a dyn Store,
    library: &'a DefinitionLibrary,
    memory: Memory,
    /// Settled sagas that the view has newer than the checkpoint: up to which position their facts are in it.
    left: HashMap<SagaId, u64>,
}

impl Replay<'_> {
    async fn apply_record(&mut self, record: JournalRecord) -> Result<(), StoreError> {
        for entry in record.entries {
            self.apply(record.position, entry).await?;
        }
        Ok(())
    }

    /// Reads on from a position until there is nothing more; the first free one. `epoch` is the one we want for ourselves.
    async fn catch_up(&mut self, partition: PartitionId, mut position: u64, epoch: u64) -> Result<u64, StoreError> {
        loop {
            let positions: Vec<u64> = (position..position + CATCH_UP_RECORDS).collect();
            let records = self.store.records(partition, &positions).await?;
            let more = records.len() == positions.len();
            for record in records {
                if record.position != position {
                    return Err(StoreError::Damaged(format!(
                        "position {position} of partition {partition} is missing"
                    )));
                }
                if record.epoch >= epoch {
                    let (owner, epoch) = (record.owner, record.epoch);
                    return Err(StoreError::Fenced { partition, position, owner, epoch });
                }
                position += 1;
                self.apply_record(record).await?;
            }
            if !more {
                return Ok(position);
            }
        }
    }

    async fn apply(&mut self, position: u64, entry: JournalEntry) -> Result<(), StoreError> {
        let saga_id = entry.saga_id;
        if self.memory.get(saga_id).is_none() {
            if self.left.get(&saga_id).is_some_and(|known| position <= *known) {
                return Ok(());
            }
            let mut events = entry.events.into_iter();
            let first = events.next();
            if let Some(first) = &first
                && matches!(first.fact, Fact::SagaStarted { .. })
            {
                let mut state = self.begin(saga_id, first)?;
                events.for_each(|event| evolve(&mut state, &event));
                let definition = self.library.resolve(&state.definition).cloned();
                self.memory.insert(Entry::new(state, definition, Vec::new()));
                self.memory.touch(saga_id, position);
                return Ok(());
            }
            let stored = self.store.load(saga_id).await?.ok_or_else(|| {
                StoreError::Damaged(format!("position {position} is about saga {saga_id}, which is nowhere begun"))
            })?;
            let known = stored.positions.last().copied().unwrap_or_default();
            if position <= known {
                self.left.insert(saga_id, known);
                return Ok(());
            }
            self.memory.insert(Entry::of_stored(stored, self.library));
            let events = first.into_iter().chain(events).collect();
            self.evolve_known(position, JournalEntry { saga_id, events });
            return Ok(());
        }
        self.evolve_known(position, entry);
        Ok(())
    }

    /// Applies facts to a saga in memory, unless it has them: the view may be newer than the checkpoint.
    fn evolve_known(&mut self, position: u64, entry: JournalEntry) {
        let Some(known) = self.memory.get_mut(entry.saga_id) else { return };
        if known.positions.last().is_some_and(|last| position <= *last) {
            return;
        }
        for event in &entry.events {
            evolve(&mut known.state, event);
        }
        self.memory.touch(entry.saga_id, position);
    }

    /// A saga from its first fact. One whose definition is not known is kept whole all the same, to be parked.
    fn begin(&self, saga_id: SagaId, event: &Event) -> Result<SagaState, StoreError> {
        let Fact::SagaStarted { definition: reference, input, tags, deadline_at } = &event.fact else {
            return Err(StoreError::Damaged(format!("saga {saga_id} does not begin with its start")));
        };
        if let Some(definition) = self.library.resolve(reference)
            && let Some(state) = begin(definition, saga_id, event)
        {
            return Ok(state);
        }
        Ok(SagaState {
            saga_id,
            definition: reference.clone(),
            input: input.clone(),
            tags: tags.clone(),
            status: SagaStatus::Running,
            reason: None,
            paused: false,
            deadline_at: *deadline_at,
            deadline_passed: false,
            pivot_passed: false,
            cancel: None,
            steps: stand_in_steps(),
            succeeded: Vec::new(),
            output: None,
            created_at: event.at,
            updated_at: event.at,
            event_count: 1,
            by_hand: ByHand::default(),
        })
    }
}
