//! One round of the loop: what was decided, and what is to be done once it is committed.

use std::collections::HashMap;
use std::sync::Arc;

use amends_core::decide::Effect;
use amends_core::event::Event;
use amends_schemas::ids::SagaId;
use amends_schemas::operate::{CompensationPreview, Operated};
use amends_schemas::problem::Problem;
use amends_schemas::saga::{Cancellation, HistoryPage, HistoryQuery, SagaView};
use amends_schemas::signal::SignalReceipt;
use chrono::{DateTime, Utc};

use crate::ports::JournalEntry;
use crate::request::Respond;

/// What is to be done after the commit.
pub(crate) enum After {
    /// Execute effects.
    Effects { saga_id: SagaId, effects: Vec<Effect>, traceparent: Option<Arc<str>> },
    /// Answer with the saga as it then stands.
    View { saga_id: SagaId, respond: Respond<SagaView> },
    /// Answer with some of its facts.
    History { query: HistoryQuery, respond: Respond<HistoryPage> },
    /// Tell what cancelling did.
    Cancelled { result: Result<Cancellation, Problem>, respond: Respond<Cancellation> },
    /// Tell what became of a signal.
    Signalled { result: Result<SignalReceipt, Problem>, respond: Respond<SignalReceipt> },
    /// Tell the gates how a saga's limited steps stand.
    Gates { saga_id: SagaId },
    /// Tell the gate that a saga has decided about a step's turn.
    Turn { saga_id: SagaId, step: usize },
    /// Tell what an operator's act did.
    Operated { result: Result<Operated, Problem>, respond: Respond<Operated> },
    /// Say what cancelling would do, as the saga then stands.
    Preview { saga_id: SagaId, at: DateTime<Utc>, respond: Respond<CompensationPreview> },
    /// Say that it is committed.
    Committed { respond: Respond<()> },
}

/// A round.
pub(crate) struct Round {
    /// The time of everything decided in it.
    pub(crate) now: DateTime<Utc>,
    /// The record's content.
    pub(crate) entries: Vec<JournalEntry>,
    places: HashMap<SagaId, usize>,
    /// In the order of the inputs.
    pub(crate) after: Vec<After>,
    pub(crate) input_count: usize,
    pub(crate) bytes: usize,
    /// A record is to be written even if nothing was decided.
    pub(crate) must_write: bool,
}

impl Round {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            entries: Vec::new(),
            places: HashMap::new(),
            after: Vec::new(),
            input_count: 0,
            bytes: 0,
            must_write: false,
        }
    }

    /// Adds a saga's new facts behind those it already has in this round.
    pub(crate) fn add(&mut self, saga_id: SagaId, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        if let Some(entry) = self.places.get(&saga_id).and_then(|&place| self.entries.get_mut(place)) {
            entry.events.extend(events);
        } else {
            self.places.insert(saga_id, self.entries.len());
            self.entries.push(JournalEntry { saga_id, events });
        }
    }
}
