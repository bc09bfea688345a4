//! A new owner: the view's unfinished sagas, the journal's tail on top, and a record of an epoch of its own, which fences
//! whoever owned the partition before.

use std::collections::HashMap;

use amends_core::definition::DefinitionLibrary;
use amends_core::event::{Event, Fact};
use amends_core::evolve::{begin, begin_with, evolve};
use amends_core::state::SagaState;
use amends_schemas::ids::{PartitionId, SagaId};
use amends_schemas::limits::STEPS_MAX;
use chrono::Utc;

use super::memory::{Entry, Memory};
use crate::ports::{
    JournalEntry, JournalRecord, ParkedFacts, Recovered, Store, StoreError, StoredSaga, UnreadEntry, UnreadSaga,
};

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

/// Records read at once to see whether a parked saga can be read now.
const PARKED_RECORDS_AT_ONCE: usize = 64;

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
    read: Option<Recovered>,
) -> Result<Taken, StoreError> {
    let recovered = match read {
        Some(read) => read,
        None => store.recover(partition).await?,
    };
    let mut memory = Memory::default();
    memory.set_checkpoint(recovered.tail.first().map_or(recovered.last_position, |first| first.position - 1));
    memory.reserve(recovered.sagas.len());
    for stored in recovered.sagas {
        // A copy: what was read lies scattered among what the database needed to read it, and would keep that memory from being given back.
        let state = stored.state.clone();
        memory.insert(Entry::of_stored(StoredSaga { state, ..stored }, library));
    }
    for saga in recovered.unread {
        memory.set_aside(saga, Vec::new());
    }
    let mut replay = Replay { store, library, memory, left: HashMap::new() };
    let (had_parked, returned) =
        (!recovered.parked.is_empty(), replay.apply_parked(partition, recovered.parked).await?);
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
        unread: Vec::new(),
    };
    let mut attempt = 1;
    loop {
        let fenced = match store.append(&record).await {
            Ok(()) => break,
            Err(error @ StoreError::Fenced { epoch, .. }) if epoch < record.epoch => error,
            Err(error) => return Err(error),
        };
        if attempt == TAKEOVER_ATTEMPTS_MAX {
            return Err(fenced);
        }
        attempt += 1;
        record.position = replay.catch_up(partition, record.position, record.epoch).await?;
    }
    // Before the first projection moves the checkpoint past what could not be read.
    let parked: Vec<ParkedFacts> = replay.memory.facts_aside().chain(returned).collect();
    if had_parked || !parked.is_empty() {
        store.park(partition, record.epoch, &parked).await?;
    }
    Ok(Taken { memory: replay.memory, position: record.position, epoch: record.epoch })
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
        for entry in record.unread {
            self.set_aside(record.position, entry).await?;
        }
        Ok(())
    }

    /// Reads again what an owner before could not. Handed back is what is in memory now and in no row yet: it stays in the list
    /// until a later takeover finds it projected.
    async fn apply_parked(
        &mut self,
        partition: PartitionId,
        parked: Vec<ParkedFacts>,
    ) -> Result<Vec<ParkedFacts>, StoreError> {
        let mut returned = Vec::new();
        for facts in parked {
            let saga_id = facts.saga_id;
            if let Some(aside) = self.memory.aside_mut(saga_id) {
                aside.positions = facts.positions;
                continue;
            }
            let stored = match self.store.load(saga_id).await {
                Ok(stored) => stored,
                Err(StoreError::Unread(saga)) => {
                    self.memory.set_aside(*saga, facts.positions);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let known = stored.as_ref().and_then(|stored| stored.positions.last().copied());
            if known >= facts.positions.last().copied() {
                continue;
            }
            if let Some(stored) = stored {
                self.memory.insert(Entry::of_stored(stored, self.library));
            }
            self.read_again(partition, &facts).await?;
            if self.memory.aside(saga_id).is_none() {
                returned.push(facts);
            }
        }
        Ok(returned)
    }

    async fn read_again(&mut self, partition: PartitionId, facts: &ParkedFacts) -> Result<(), StoreError> {
        let mut found = 0;
        for positions in facts.positions.chunks(PARKED_RECORDS_AT_ONCE) {
            for record in self.store.records(partition, positions).await? {
                found += 1;
                for entry in record.entries.into_iter().filter(|entry| entry.saga_id == facts.saga_id) {
                    self.apply(record.position, entry).await?;
                }
                for entry in record.unread.into_iter().filter(|entry| entry.saga_id == facts.saga_id) {
                    self.set_aside(record.position, entry).await?;
                }
            }
        }
        if found < facts.positions.len() {
            return Err(StoreError::Damaged(format!("records of the parked saga {} are missing", facts.saga_id)));
        }
        Ok(())
    }

    /// Leaves a saga alone of which a newer version wrote a fact, unless its row, which can be read, contains that fact.
    async fn set_aside(&mut self, position: u64, entry: UnreadEntry) -> Result<(), StoreError> {
        let UnreadEntry { saga_id, why } = entry;
        if let Some(aside) = self.memory.aside_mut(saga_id) {
            aside.note(position);
            return Ok(());
        }
        let stored = match self.store.load(saga_id).await {
            Ok(stored) => stored,
            Err(StoreError::Unread(saga)) => {
                self.memory.set_aside(*saga, vec![position]);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let known = stored.as_ref().and_then(|stored| stored.positions.last().copied()).unwrap_or_default();
        if position <= known {
            return Ok(());
        }
        let entry = self.memory.get(saga_id);
        let mut positions: Vec<u64> = entry.map(|entry| entry.positions.clone()).unwrap_or_default();
        positions.retain(|position| *position > known);
        positions.push(position);
        let definition = entry.map(|entry| entry.state.definition.clone());
        self.memory.set_aside(UnreadSaga { saga_id, definition, why }, positions);
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
        if let Some(aside) = self.memory.aside_mut(saga_id) {
            aside.note(position);
            return Ok(());
        }
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
                // The owner before may write its row while this one reads: nobody can say that there is none.
                self.memory.insert(Entry::new(state, definition, Vec::new()));
                self.memory.touch(saga_id, position);
                return Ok(());
            }
            let stored = match self.store.load(saga_id).await {
                Err(StoreError::Unread(saga)) => {
                    self.memory.set_aside(*saga, vec![position]);
                    return Ok(());
                }
                stored => stored?,
            };
            let stored = stored.ok_or_else(|| {
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
        let damaged = || StoreError::Damaged(format!("saga {saga_id} does not begin with its start"));
        let Fact::SagaStarted { definition: reference, .. } = &event.fact else { return Err(damaged()) };
        if let Some(definition) = self.library.resolve(reference)
            && let Some(state) = begin(definition, saga_id, event)
        {
            return Ok(state);
        }
        begin_with(STEPS_MAX, saga_id, event).ok_or_else(damaged)
    }
}
