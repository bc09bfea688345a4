//! A saga's facts as people read them.

use amends_schemas::saga::HistoryEntry;
use serde_json::{Map, Value};

use crate::definition::Definition;
use crate::event::{Event, Fact};

/// One fact for people; `sequence` is its place in the saga's history, from one.
pub fn history_entry(definition: &Definition, sequence: u64, event: &Event) -> HistoryEntry {
    // A fact is written `{"step_succeeded": {…}}`: the name people read is the one that is journaled.
    let written = serde_json::to_value(&event.fact).unwrap_or_default();
    let (name, mut data) = match written {
        Value::Object(fact) => fact.into_iter().next().unwrap_or_default(),
        Value::String(name) => (name, Value::Null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Default::default(),
    };
    if let Some(data) = data.as_object_mut() {
        data.remove("step");
        // Who and why stand beside the rest; what tells a repeat is of no use to people.
        if let Some(Value::Object(mut act)) = data.remove("act") {
            act.remove("fingerprint");
            data.append(&mut act);
        }
        // Steps have names.
        if let Fact::Rewound { steps } = &event.fact {
            let names = steps.iter().filter_map(|step| definition.steps.get(*step)).map(|step| step.name.to_string());
            data.insert("steps".to_owned(), names.collect());
        }
    }
    HistoryEntry {
        sequence,
        at: event.at,
        event: name,
        step: event.fact.step().and_then(|step| definition.steps.get(step)).map(|step| step.name.to_string()),
        data: if data.is_null() { Value::Object(Map::new()) } else { data },
    }
}

impl Fact {
    /// The index of the step it is about.
    pub const fn step(&self) -> Option<usize> {
        match self {
            Fact::StepSkipped { step }
            | Fact::StepQueued { step, .. }
            | Fact::WaitStarted { step, .. }
            | Fact::ChildrenStarted { step, .. }
            | Fact::ChildrenDispatched { step, .. }
            | Fact::ChildEnded { step, .. }
            | Fact::ChildrenHalted { step, .. }
            | Fact::StepInterrupted { step, .. }
            | Fact::InputEdited { step, .. }
            | Fact::RewindOrdered { step, .. }
            | Fact::StepDispatched { step, .. }
            | Fact::StepSucceeded { step, .. }
            | Fact::StepFailed { step, .. }
            | Fact::StepInDoubt { step, .. }
            | Fact::RetryScheduled { step, .. }
            | Fact::StepUndone { step }
            | Fact::CompensationWaived { step }
            | Fact::StepStuck { step, .. }
            | Fact::RetryOrdered { step, .. }
            | Fact::StepPassedOver { step, .. }
            | Fact::StepResolved { step, .. } => Some(*step),
            Fact::SagaStarted { .. }
            | Fact::StartTimeReached {}
            | Fact::SignalReceived { .. }
            | Fact::CancellationAdopted { .. }
            | Fact::ParentTold {}
            | Fact::Rewound { .. }
            | Fact::CancelRequested { .. }
            | Fact::CancelRequestedAgain { .. }
            | Fact::CancellationTurnedForward { .. }
            | Fact::DeadlinePassed {}
            | Fact::CompensationStarted { .. }
            | Fact::ForwardCancellationDispatched { .. }
            | Fact::ForwardCancellationStarted { .. }
            | Fact::ForwardCancellationRefused { .. }
            | Fact::SagaCompleted { .. }
            | Fact::SagaCompensated { .. }
            | Fact::SagaPaused { .. }
            | Fact::SagaResumed { .. }
            | Fact::SagaTerminated { .. } => None,
        }
    }
}
