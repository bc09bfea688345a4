//! Telling the gates of limited contracts how sagas stand.

use amends_schemas::ids::SagaId;

use super::run::Partition;

impl Partition {
    /// Tells how a saga's limited steps stand.
    pub(super) fn tell_gates(&self, saga_id: SagaId) {
        if let Some(entry) = self.memory.get(saga_id)
            && let Some(definition) = entry.definition.as_deref()
        {
            self.gates.tell(definition, &entry.state);
        }
    }

    /// Tells that a saga has decided about a turn: taken, or given back.
    pub(super) fn turn_decided(&self, saga_id: SagaId, step: usize) {
        self.tell_gates(saga_id);
        if let Some(definition) = self.memory.get(saga_id).and_then(|entry| entry.definition.as_deref()) {
            self.gates.decided(definition, saga_id, step);
        }
    }

    /// Tells of every saga, after a takeover: first what is with the workers, then what waits.
    pub(super) fn tell_all_gates(&self) {
        let limited = || {
            let entries = self.memory.iter().map(|(_, entry)| entry).filter(|entry| entry.limited);
            entries.filter_map(|entry| Some((entry.definition.as_deref()?, &entry.state)))
        };
        limited().for_each(|(definition, state)| self.gates.tell_places(definition, state));
        limited().for_each(|(definition, state)| self.gates.tell(definition, state));
    }
}
