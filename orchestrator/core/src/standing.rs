//! At which steps a saga stands, for whoever searches for it.

use amends_schemas::command::StepError;
use serde::{Deserialize, Serialize};

use crate::definition::Definition;
use crate::state::{Phase, SagaState, StepState};

/// Steps that a saga is found by; one that stands at more than these at once is found by the first.
pub const STANDING_MAX: usize = 8;

/// A step at which a saga waits, or which cleanly failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    pub step: String,
    /// Its last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
}

/// The steps that are under way, wait, are stuck or have failed, in the definition's order.
pub fn standing(definition: &Definition, state: &SagaState) -> Vec<Standing> {
    let steps = definition.steps.iter().zip(&state.steps);
    let found = steps.filter(|(_, now)| stands(now)).take(STANDING_MAX);
    found.map(|(step, now)| Standing { step: step.name.to_string(), error: now.error.as_deref().cloned() }).collect()
}

const fn stands(now: &StepState) -> bool {
    match now.phase {
        Phase::Queued { .. }
        | Phase::Waiting { .. }
        | Phase::Children { .. }
        | Phase::InFlight { .. }
        | Phase::BackingOff { .. }
        | Phase::Stuck { .. }
        | Phase::Interrupted
        | Phase::Failed => true,
        Phase::Pending | Phase::Skipped | Phase::Succeeded | Phase::Undone | Phase::Waived => false,
    }
}
