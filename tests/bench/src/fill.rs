//! Sagas put into a store in bulk: decided by the engine's own core, journaled and projected by the store's own code. Only the way there is
//! left out: no broker, no workers, and large batches.

use std::path::Path;
use std::sync::Arc;

use amends_core::decide::{Input, Start, decide, start};
use amends_core::definition::Definition;
use amends_core::standing::standing;
use amends_core::surroundings::Surroundings;
use amends_core::view::waiting_for;
use amends_database::{Database, Location};
use amends_engine::ports::{JournalEntry, JournalRecord, Rekeyed, Store, StoredSaga};
use amends_schemas::command::{Operation, StepResult};
use amends_schemas::ids::{PartitionCount, PartitionId, SagaId};
use amends_store::SurrealStore;
use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::job;

/// Sagas in one journal record: some 300 KB.
const RECORD_SAGAS: usize = 200;

/// Records for one projection: as many sagas as the engine writes into the view at most at once.
const PROJECTION_RECORDS: usize = 10;

/// Sagas that share a tag, as the registrations of one event do.
const TAG_SAGAS: usize = 1_000;

/// Between the starts of two finished sagas.
const APART: TimeDelta = TimeDelta::milliseconds(20);

/// In which state they are left.
#[derive(Debug, Clone, Copy)]
pub enum Left {
    /// All four steps have succeeded.
    Finished,
    /// Their first step sleeps until then.
    WaitingUntil(DateTime<Utc>),
}

impl Left {
    const fn definition(self) -> &'static str {
        match self {
            Left::Finished => job::DEFINITION,
            Left::WaitingUntil(_) => job::SLEEPING,
        }
    }

    fn input(self, saga_id: SagaId) -> Value {
        let mut input = job::input(saga_id);
        if let Left::WaitingUntil(until) = self {
            input["begin_at"] = Value::String(until.to_rfc3339());
        }
        input
    }
}

/// The tag of the n-th saga.
pub fn tag(number: usize) -> String {
    format!("event_{}", number / TAG_SAGAS)
}

/// Puts `count` sagas into a new store in the folder, and closes it.
pub async fn fill(data: &Path, count: usize, left: Left) -> anyhow::Result<()> {
    let database = Database::open(&Location::Embedded(data.to_owned()), "amends", "orchestrator").await?;
    let store = Arc::new(SurrealStore::open(database).await?);
    let partitions = store.establish(None, store.default_partition_count()).await?;
    // Also as an owner does: an empty view is of this version, and so is what is written from then on.
    ensure!(store.rekey(&|_| Vec::new()).await? == Rekeyed::Done, "the store is new");
    let library = job::library()?;
    let definition = library.find(left.definition(), Some(1)).context("the definition")?;
    let mut filling = JoinSet::new();
    for partition in partitions.iter() {
        // As an owner does, which keeps for the next one which sagas there are.
        store.recover(partition).await?;
        let filler = Filler { definition: Arc::clone(definition), partitions, partition, count, left, now: Utc::now() };
        filling.spawn(filler.run(Arc::clone(&store)));
    }
    while let Some(filled) = filling.join_next().await {
        filled??;
    }
    Ok(())
}

struct Filler {
    definition: Arc<Definition>,
    partitions: PartitionCount,
    partition: PartitionId,
    /// Of all partitions together.
    count: usize,
    left: Left,
    now: DateTime<Utc>,
}

impl Filler {
    /// Every partition takes its share of the numbers, so that tags and times are spread over all.
    async fn run(self, store: Arc<SurrealStore>) -> anyhow::Result<()> {
        let mine = (usize::from(self.partition.0)..self.count).step_by(usize::from(self.partitions.get()));
        let numbers: Vec<usize> = mine.collect();
        let mut position = 0;
        for records in numbers.chunks(RECORD_SAGAS * PROJECTION_RECORDS) {
            let mut projected = Vec::with_capacity(records.len());
            for numbers in records.chunks(RECORD_SAGAS) {
                position += 1;
                let mut entries = Vec::with_capacity(numbers.len());
                for &number in numbers {
                    let (entry, saga) = self.saga(number, position)?;
                    entries.push(entry);
                    projected.push(saga);
                }
                let owner = "filled".to_owned();
                let record = JournalRecord {
                    partition: self.partition,
                    position,
                    epoch: 1,
                    owner,
                    at: self.now,
                    entries,
                    unread: Vec::new(),
                };
                store.append(&record).await?;
            }
            store.project(self.partition, 1, position, &projected).await?;
        }
        Ok(())
    }

    fn saga(&self, number: usize, position: u64) -> anyhow::Result<(JournalEntry, StoredSaga)> {
        let saga_id = std::iter::repeat_with(SagaId::generate)
            .find(|saga_id| saga_id.partition(self.partitions) == self.partition)
            .context("ids do not end")?;
        let at = match self.left {
            Left::Finished => self.now - APART * i32::try_from(self.count - number)?,
            Left::WaitingUntil(_) => self.now,
        };
        let tags = ["bench".to_owned(), tag(number)].into();
        let begin = Start { input: self.left.input(saga_id), tags, ..Start::default() };
        let (mut state, decision) = start(&self.definition, saga_id, begin, at);
        let mut events = decision.events;
        let steps: &[&str] = if matches!(self.left, Left::Finished) { &job::STEPS } else { &[] };
        for step in steps {
            let result = StepResult::Succeeded { outcome: None, output: job::output() };
            let reply = Input::Reply { step: (*step).to_owned(), operation: Operation::Do, attempt: 1, result };
            events.extend(decide(&self.definition, &mut state, reply, at).events);
        }
        let finished = matches!(self.left, Left::Finished);
        ensure!(state.status.is_final() == finished, "saga {number} is left {}", state.status.as_str());
        let standing = standing(&self.definition, &state);
        let waiting_for = waiting_for(&self.definition, &state, &Surroundings::default());
        let saga = StoredSaga { state, positions: vec![position], waiting_for, standing, is_new: true };
        Ok((JournalEntry { saga_id, events }, saga))
    }
}
