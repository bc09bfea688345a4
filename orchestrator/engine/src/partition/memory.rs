//! The sagas a partition has in memory, and which of them the view does not know yet.

use std::collections::hash_map::Entry::Occupied;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use amends_core::definition::{Definition, DefinitionLibrary, Step};
use amends_core::standing::{Standing, standing};
use amends_core::state::{SagaState, StepState};
use amends_core::surroundings::Surroundings;
use amends_core::view::{contracts_asked, waiting_for};
use amends_schemas::ids::SagaId;
use chrono::{DateTime, Utc};

use crate::ports::{ParkedFacts, StoredSaga, UnreadSaga};
use crate::status::ParkedSaga;

/// One saga in memory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) state: SagaState,
    /// `None` when this binary lacks the definition: the saga is parked.
    pub(crate) definition: Option<Arc<Definition>>,
    /// Positions of the records that hold its facts, ascending.
    pub(crate) positions: Vec<u64>,
    /// The wake-up in the heap that counts.
    pub(crate) armed: Option<DateTime<Utc>>,
    /// The trace of the input that moved it last, so that what a timer causes joins it.
    pub(crate) traceparent: Option<Arc<str>>,
    /// Whether the view does not know its last change yet.
    pub(crate) dirty: bool,
    /// Whether this owner has begun it and never given it to a projector.
    unwritten: bool,
    /// Whether any of its steps calls a contract with limits.
    pub(crate) limited: bool,
    /// Whether the view has its facts, but an old sentence.
    stale: bool,
    /// Which sentence the view has, as [`hash_of`] tells them apart.
    said: u64,
}

/// Tells sentences apart in eight bytes each. Two that collide would leave an old one in a list until the saga moves.
fn hash_of(sentence: Option<&String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    sentence.hash(&mut hasher);
    hasher.finish()
}

impl Entry {
    /// One that may have a row.
    pub(crate) fn new(state: SagaState, definition: Option<Arc<Definition>>, positions: Vec<u64>) -> Self {
        let limited = definition.as_ref().is_some_and(|definition| {
            definition.steps.iter().filter_map(Step::call).any(|call| call.contract.limits.is_some())
        });
        Self {
            state,
            definition,
            positions,
            armed: None,
            traceparent: None,
            dirty: false,
            unwritten: false,
            limited,
            stale: false,
            said: 0,
        }
    }

    /// A saga that begins now.
    pub(crate) fn begun(state: SagaState, definition: Option<Arc<Definition>>) -> Self {
        Self { unwritten: true, ..Self::new(state, definition, Vec::new()) }
    }

    /// A saga as the view has it. One whose definition is found again after it was parked from the journal gets its steps
    /// counted right.
    pub(crate) fn of_stored(stored: StoredSaga, library: &DefinitionLibrary) -> Self {
        let mut state = stored.state;
        let definition = library.resolve(&state.definition).map(Arc::clone);
        if let Some(definition) = &definition {
            // The same, and not its words once more for each saga.
            state.definition.clone_from(&definition.reference);
            state.steps.resize(definition.steps.len(), StepState::pending());
        }
        let said = hash_of(stored.waiting_for.as_ref());
        Self { said, ..Self::new(state, definition, stored.positions) }
    }

    /// What its definition lacks here, when there is a document of it.
    pub(crate) fn lacks<'l>(&self, library: &'l DefinitionLibrary) -> Option<&'l str> {
        library.lacks(&self.state.definition.name, Some(self.state.definition.version))
    }

    /// A copy for the view, whose sentence it has from then on.
    fn stored(&mut self, around: &Surroundings) -> StoredSaga {
        let (waiting_for, standing) = (self.waiting_for(around), self.standing());
        self.said = hash_of(waiting_for.as_ref());
        let is_new = std::mem::take(&mut self.unwritten);
        StoredSaga { state: self.state.clone(), positions: self.positions.clone(), waiting_for, standing, is_new }
    }

    fn into_stored(self, around: &Surroundings) -> StoredSaga {
        let (waiting_for, standing) = (self.waiting_for(around), self.standing());
        let is_new = self.unwritten;
        StoredSaga { state: self.state, positions: self.positions, waiting_for, standing, is_new }
    }

    fn standing(&self) -> Vec<Standing> {
        self.definition.as_ref().map(|definition| standing(definition, &self.state)).unwrap_or_default()
    }

    fn waiting_for(&self, around: &Surroundings) -> Option<String> {
        match &self.definition {
            Some(definition) => waiting_for(definition, &self.state, around),
            None => Some(format!(
                "This orchestrator lacks {} with hash {}; start one that has it.",
                self.state.definition, self.state.definition.hash
            )),
        }
    }
}

/// A saga whose row or facts a newer version wrote: it is in nobody's memory until one that can read them comes.
#[derive(Debug)]
pub(crate) struct SetAside {
    pub(crate) saga: UnreadSaga,
    /// Positions of its facts that its row does not contain, ascending.
    pub(crate) positions: Vec<u64>,
}

impl SetAside {
    /// Notes one of its facts, unless it is noted.
    pub(crate) fn note(&mut self, position: u64) {
        if self.positions.last().is_none_or(|last| *last < position) {
            self.positions.push(position);
        }
    }
}

/// What the projector is given.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Every saga touched at or before this position is here or was written before.
    pub(crate) checkpoint: u64,
    pub(crate) sagas: Vec<StoredSaga>,
    /// Where those stand that have left memory.
    settled: HashMap<SagaId, usize>,
}

/// The sagas of one partition.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    sagas: HashMap<SagaId, Entry>,
    /// Sagas that the view does not know yet, by the position that first touched them since it did.
    touched: VecDeque<(u64, SagaId)>,
    /// Sagas whose sentence in the view is old; each is here once, behind those above.
    stale: VecDeque<SagaId>,
    /// What sentences are made with.
    around: Arc<Surroundings>,
    projecting: Option<Arc<Batch>>,
    /// Sagas read back from the view or the projector's queue in this round; they leave again unless something changed.
    visiting: Vec<SagaId>,
    /// Sagas that this version cannot read.
    set_aside: BTreeMap<SagaId, SetAside>,
    checkpoint: u64,
}

impl Memory {
    pub(crate) fn get(&self, saga_id: SagaId) -> Option<&Entry> {
        self.sagas.get(&saga_id)
    }

    pub(crate) fn get_mut(&mut self, saga_id: SagaId) -> Option<&mut Entry> {
        self.sagas.get_mut(&saga_id)
    }

    pub(crate) fn len(&self) -> usize {
        self.sagas.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SagaId, &Entry)> {
        self.sagas.iter()
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.sagas.reserve(additional);
    }

    pub(crate) fn insert(&mut self, entry: Entry) {
        self.sagas.insert(entry.state.saga_id, entry);
    }

    /// Lets a saga go without its row being written: what is known of it here is not all there is.
    pub(crate) fn set_aside(&mut self, saga: UnreadSaga, positions: Vec<u64>) {
        self.sagas.remove(&saga.saga_id);
        self.set_aside.insert(saga.saga_id, SetAside { saga, positions });
    }

    pub(crate) fn aside(&self, saga_id: SagaId) -> Option<&SetAside> {
        self.set_aside.get(&saga_id)
    }

    pub(crate) fn aside_mut(&mut self, saga_id: SagaId) -> Option<&mut SetAside> {
        self.set_aside.get_mut(&saga_id)
    }

    /// The facts of sagas set aside.
    pub(crate) fn facts_aside(&self) -> impl Iterator<Item = ParkedFacts> {
        let with_facts = self.set_aside.values().filter(|aside| !aside.positions.is_empty());
        with_facts.map(|aside| ParkedFacts { saga_id: aside.saga.saga_id, positions: aside.positions.clone() })
    }

    /// Whether a saga is in memory, on its way into the view, or set aside.
    pub(crate) fn has(&self, saga_id: SagaId) -> bool {
        let projecting = self.projecting.as_ref().is_some_and(|batch| batch.settled.contains_key(&saga_id));
        projecting || self.sagas.contains_key(&saga_id) || self.set_aside.contains_key(&saga_id)
    }

    /// Makes a saga be in memory, from the projector's queue if it is there. `false` when only the view may have it.
    pub(crate) fn recall(&mut self, saga_id: SagaId, library: &DefinitionLibrary) -> bool {
        if self.sagas.contains_key(&saga_id) {
            return true;
        }
        let stored = self
            .projecting
            .as_ref()
            .and_then(|batch| batch.settled.get(&saga_id).and_then(|&place| batch.sagas.get(place)))
            .cloned();
        match stored {
            Some(stored) => {
                self.visit(Entry::of_stored(stored, library));
                true
            }
            None => false,
        }
    }

    /// Puts a settled saga into memory for the round.
    pub(crate) fn visit(&mut self, entry: Entry) {
        self.visiting.push(entry.state.saga_id);
        self.insert(entry);
    }

    /// Lets those go that were only visiting.
    pub(crate) fn end_visits(&mut self) {
        for saga_id in std::mem::take(&mut self.visiting) {
            if self.sagas.get(&saga_id).is_some_and(|entry| !entry.dirty && entry.state.is_settled()) {
                self.sagas.remove(&saga_id);
            }
        }
    }

    /// Notes that the record at `position` changed a saga.
    pub(crate) fn touch(&mut self, saga_id: SagaId, position: u64) {
        if let Some(entry) = self.sagas.get_mut(&saga_id) {
            entry.positions.push(position);
            if !entry.dirty {
                entry.dirty = true;
                self.touched.push_back((position, saga_id));
            }
        }
    }

    /// What sentences are made with.
    pub(crate) fn around(&self) -> &Surroundings {
        &self.around
    }

    /// Takes in what is true around the sagas now. Answers whose sentences it may change; where it does, the view is given them again.
    /// After a takeover every saga that waits for workers is looked at, for an owner before may have written it when other things were true.
    pub(crate) fn look_around(&mut self, around: Arc<Surroundings>) -> Vec<SagaId> {
        if around.watched_since.is_none() || Arc::ptr_eq(&around, &self.around) {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.around, around);
        let is_first = before.watched_since.is_none();
        let mut changed = Vec::new();
        for (saga_id, entry) in &mut self.sagas {
            let Some(definition) = &entry.definition else { continue };
            let mut asked = contracts_asked(definition, &entry.state);
            if !asked.any(|contract| is_first || before.unserved(contract) != self.around.unserved(contract)) {
                continue;
            }
            changed.push(*saga_id);
            if !entry.dirty && !entry.stale && hash_of(entry.waiting_for(&self.around).as_ref()) != entry.said {
                entry.stale = true;
                self.stale.push_back(*saga_id);
            }
        }
        changed
    }

    /// How many changed sagas the view does not know.
    pub(crate) fn backlog(&self) -> usize {
        self.touched.len()
    }

    pub(crate) fn is_projecting(&self) -> bool {
        self.projecting.is_some()
    }

    pub(crate) const fn checkpoint(&self) -> u64 {
        self.checkpoint
    }

    /// Sets what the checkpoint was at recovery.
    pub(crate) fn set_checkpoint(&mut self, checkpoint: u64) {
        self.checkpoint = checkpoint;
    }

    /// What is to be written next: sagas first touched at or before `upto`, at most `most`. Settled ones leave memory with it,
    /// others are copied. `None` when nothing would be gained.
    pub(crate) fn pick(&mut self, upto: u64, most: usize) -> Option<Arc<Batch>> {
        debug_assert!(self.projecting.is_none(), "one batch at a time");
        let mut batch = Batch::default();
        while batch.sagas.len() < most
            && let Some(&(position, saga_id)) = self.touched.front()
            && position <= upto
        {
            self.touched.pop_front();
            let Occupied(mut entry) = self.sagas.entry(saga_id) else { continue };
            if entry.get().state.is_settled() {
                batch.settled.insert(saga_id, batch.sagas.len());
                batch.sagas.push(entry.remove().into_stored(&self.around));
            } else {
                entry.get_mut().dirty = false;
                batch.sagas.push(entry.get_mut().stored(&self.around));
            }
        }
        while batch.sagas.len() < most
            && let Some(saga_id) = self.stale.pop_front()
        {
            let Some(entry) = self.sagas.get_mut(&saga_id) else { continue };
            entry.stale = false;
            // One that has changed meanwhile is written with its change.
            if !entry.dirty {
                batch.sagas.push(entry.stored(&self.around));
            }
        }
        batch.checkpoint = match self.touched.front() {
            Some((position, _)) => upto.min(position - 1),
            None => upto,
        };
        if batch.sagas.is_empty() && batch.checkpoint <= self.checkpoint {
            return None;
        }
        let batch = Arc::new(batch);
        self.projecting = Some(Arc::clone(&batch));
        Some(batch)
    }

    /// The batch is in the view.
    pub(crate) fn projected(&mut self) {
        if let Some(batch) = self.projecting.take() {
            self.checkpoint = batch.checkpoint;
        }
    }

    /// Sagas whose definition this binary lacks, and those it cannot read.
    pub(crate) fn parked(&self, library: &DefinitionLibrary) -> Vec<ParkedSaga> {
        let lacking = self.sagas.values().filter(|entry| entry.definition.is_none()).map(|entry| ParkedSaga {
            saga_id: entry.state.saga_id,
            definition: entry.state.definition.to_string(),
            hash: entry.state.definition.hash.to_string(),
            reason: match entry.lacks(library) {
                Some(lacks) => format!("this binary cannot run its definition: {lacks}"),
                None => "this binary lacks its definition".to_owned(),
            },
        });
        let unread = self.set_aside.values().map(|SetAside { saga, .. }| ParkedSaga {
            saga_id: saga.saga_id,
            definition: saga.definition.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string),
            hash: saga.definition.as_ref().map(|definition| definition.hash.to_string()).unwrap_or_default(),
            reason: format!("its record was written by a newer version: {}", saga.why),
        });
        let mut parked: Vec<ParkedSaga> = lacking.chain(unread).collect();
        parked.sort_by_key(|saga| saga.saga_id);
        parked
    }
}
