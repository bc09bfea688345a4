//! The command of a step in flight, built from the state alone, so that recovery builds the same one.

use amends_schemas::command::{Command, Operation, idempotency_key};

use super::turn::fits;
use crate::definition::Definition;
use crate::state::{Phase, SagaState};

/// The command of a step that is in flight, `None` when it is not. `reply_to` is where its answer goes.
pub fn command_of(definition: &Definition, state: &SagaState, step: usize, reply_to: &str) -> Option<Command> {
    if !fits(definition, state) || state.status.is_final() {
        return None;
    }
    let (declared, current) = (definition.steps.get(step)?, state.steps.get(step)?);
    let call = declared.call()?;
    let Phase::InFlight { operation, timeout_at, .. } = current.phase else { return None };
    let undo = operation == Operation::Undo;
    Some(Command {
        saga_id: state.saga_id,
        definition: definition.reference.to_string(),
        step: declared.name.to_string(),
        contract: call.name.clone(),
        operation,
        attempt: current.attempts.of(operation),
        key: idempotency_key(state.saga_id, &declared.name, current.round, operation),
        input: current.input.clone().or_else(|| call.input.resolve(state)).unwrap_or_default(),
        output: current.output.clone().filter(|_| undo),
        reason: state.turning_back().filter(|_| undo),
        reply_to: reply_to.to_owned(),
        expires_at: timeout_at,
    })
}
