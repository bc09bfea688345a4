//! A saga that ran is played as it ran: over its own definition a rehearsal finds nothing, and ends where the saga did.

use amends_core::rehearse::{Recording, rehearse};
use amends_core::view::history_entry;
use amends_schemas::saga::HistoryEntry;

use crate::definitions::saga_id;
use crate::watched::Watched;

/// Rehearses the definition over what has happened. That the play ends as a completed saga did is checked by the rehearsal itself.
pub fn check(watched: &Watched) {
    let entry = |(event, sequence)| history_entry(&watched.definition, sequence, event);
    let history: Vec<HistoryEntry> = watched.events.iter().zip(1..).map(entry).collect();
    let recording = Recording::read(&watched.definition, saga_id(), &history).expect("a whole history");
    let divergences = rehearse(&watched.definition, &watched.definition, &recording);
    assert_eq!(divergences, Ok(Vec::new()), "{history:#?}\n{}", watched.definition.source);
}
