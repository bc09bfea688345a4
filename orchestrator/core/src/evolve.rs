//! Applies one fact to a saga.

use amends_schemas::ids::SagaId;

use crate::definition::Definition;
use crate::event::Event;
use crate::state::SagaState;

/// The saga that begins with `event`, which must be its `SagaStarted`; `None` for any other.
pub fn begin(_definition: &Definition, _saga_id: SagaId, _event: &Event) -> Option<SagaState> {
    unimplemented!()
}

/// Applies one fact. Total: replaying the same history always gives the same state.
pub fn evolve(_state: &mut SagaState, _event: &Event) {
    unimplemented!()
}
