//! A saga as people read it.

use amends_schemas::saga::{HistoryEntry, SagaSummary, SagaView};

use crate::definition::Definition;
use crate::event::Event;
use crate::state::SagaState;

/// The whole saga.
pub fn view(_definition: &Definition, _state: &SagaState) -> SagaView {
    unimplemented!()
}

/// One line of a list.
pub fn summary(_definition: &Definition, _state: &SagaState) -> SagaSummary {
    unimplemented!()
}

/// Why it is not moving, in one true sentence; `None` once it is final.
pub fn waiting_for(_definition: &Definition, _state: &SagaState) -> Option<String> {
    unimplemented!()
}

/// One fact for people; `sequence` is its place in the saga's history, from one.
pub fn history_entry(_definition: &Definition, _sequence: u64, _event: &Event) -> HistoryEntry {
    unimplemented!()
}
