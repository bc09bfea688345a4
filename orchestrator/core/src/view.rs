//! A saga as people read it.

use amends_schemas::command::{Operation, StepError};
use amends_schemas::contract::ContractName;
use amends_schemas::saga::{HistoryEntry, SagaStatus, SagaSummary, SagaView, StepStatus, StepView};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::decide::timeout_of;
use crate::definition::{Definition, OnUnknown, Step};
use crate::event::{Event, Fact};
use crate::mapping::rfc3339;
use crate::state::{ForwardStage, Pause, Phase, SagaState, StepState};
use crate::surroundings::Surroundings;

/// The whole saga.
pub fn view(definition: &Definition, state: &SagaState, around: &Surroundings) -> SagaView {
    SagaView {
        saga_id: state.saga_id,
        definition: state.definition.name.to_string(),
        version: state.definition.version,
        hash: state.definition.hash.to_string(),
        status: state.status,
        reason: state.reason,
        paused: state.paused,
        waiting_for: waiting_for(definition, state, around),
        steps: definition.steps.iter().zip(&state.steps).map(|(step, now)| step_view(step, now, state)).collect(),
        input: state.input.clone(),
        output: state.output.clone(),
        tags: state.tags.clone(),
        cancelled_by: state.cancel.as_ref().and_then(|cancel| cancel.forward.as_ref()).map(|forward| forward.saga_id),
        deadline_at: state.deadline_at,
        created_at: state.created_at,
        updated_at: state.updated_at,
        event_count: state.event_count,
    }
}

/// One line of a list.
pub fn summary(definition: &Definition, state: &SagaState, around: &Surroundings) -> SagaSummary {
    SagaSummary {
        saga_id: state.saga_id,
        definition: state.definition.name.to_string(),
        version: state.definition.version,
        status: state.status,
        paused: state.paused,
        waiting_for: waiting_for(definition, state, around),
        tags: state.tags.clone(),
        created_at: state.created_at,
        updated_at: state.updated_at,
    }
}

fn step_view(step: &Step, now: &StepState, state: &SagaState) -> StepView {
    let terminated = state.status == SagaStatus::Terminated;
    let (status, operation, until) = match now.phase {
        // A saga that turned back never comes to it.
        Phase::Pending if state.reason.is_some() || terminated => (StepStatus::Skipped, None, None),
        // Nobody waits for an answer any more.
        Phase::BackingOff { operation: Operation::Do, in_doubt: false, .. } if terminated => {
            (StepStatus::Failed, Some(Operation::Do), None)
        }
        Phase::InFlight { operation, .. } | Phase::BackingOff { operation, .. } if terminated => {
            (StepStatus::Unknown, Some(operation), None)
        }
        Phase::Pending => (StepStatus::Pending, None, None),
        Phase::Skipped => (StepStatus::Skipped, None, None),
        Phase::InFlight { operation, timeout_at, in_doubt } => {
            (underway(operation, in_doubt, StepStatus::Running), Some(operation), Some(timeout_at))
        }
        Phase::BackingOff { operation, until, in_doubt } => {
            (underway(operation, in_doubt, StepStatus::BackingOff), Some(operation), Some(until))
        }
        // What is waived is left as it is: it happened.
        Phase::Succeeded | Phase::Waived => (StepStatus::Succeeded, Some(Operation::Do), None),
        Phase::Failed => (StepStatus::Failed, Some(Operation::Do), None),
        Phase::Undone => (StepStatus::Undone, Some(Operation::Undo), None),
        Phase::Stuck { operation, .. } => (StepStatus::Stuck, Some(operation), None),
    };
    StepView {
        name: step.name.to_string(),
        call: step.call.clone(),
        status,
        operation,
        attempt: operation.map_or(0, |operation| now.attempts.of(operation)),
        outcome: now.outcome.clone(),
        error: now.error.clone(),
        output: now.output.clone(),
        started_at: now.started_at,
        ended_at: now.ended_at,
        until,
    }
}

const fn underway(operation: Operation, in_doubt: bool, certain: StepStatus) -> StepStatus {
    match (operation, in_doubt) {
        (Operation::Undo, _) => StepStatus::Undoing,
        (Operation::Probe, _) | (Operation::Do, true) => StepStatus::Unknown,
        (Operation::Do, false) => certain,
    }
}

/// Why it is not moving, in one true sentence; `None` once it is final and nothing more is to come.
pub fn waiting_for(definition: &Definition, state: &SagaState, around: &Surroundings) -> Option<String> {
    if state.status == SagaStatus::Terminated {
        return None;
    }
    if state.status.is_final() {
        return forward_sentence(state);
    }
    if let Some(pause) = &state.by_hand.pause {
        return Some(paused_sentence(pause, state));
    }
    let mut underway = definition.steps.iter().zip(&state.steps);
    let sentence =
        underway.find_map(|(step, now)| step_sentence(step, now, around)).unwrap_or_else(|| match state.status {
            // Only a state of another definition comes here.
            SagaStatus::Running | SagaStatus::Compensating | SagaStatus::Stuck => "between two steps".to_owned(),
            SagaStatus::Completed | SagaStatus::Compensated | SagaStatus::Terminated => "nothing".to_owned(),
        });
    let turning = match state.turning_back() {
        Some(reason) if state.reason.is_none() => {
            format!("; turns back ({}) as soon as that is settled", reason.as_str())
        }
        Some(_) | None => String::new(),
    };
    Some(format!("{sentence}{turning}"))
}

/// The contracts that a saga of this definition may call.
pub fn contracts_called(definition: &Definition) -> impl Iterator<Item = &ContractName> {
    definition.steps.iter().map(|step| &step.call)
}

/// The contracts whose workers this saga waits for: they owe it an answer, or will be asked again.
pub fn contracts_asked<'a>(
    definition: &'a Definition,
    state: &'a SagaState,
) -> impl Iterator<Item = &'a ContractName> + 'a {
    let asked = definition.steps.iter().zip(&state.steps);
    let waits = |now: &StepState| matches!(now.phase, Phase::InFlight { .. } | Phase::BackingOff { .. });
    asked.filter(move |(_, now)| waits(now)).map(|(step, _)| &step.call)
}

fn paused_sentence(pause: &Pause, state: &SagaState) -> String {
    let who = if pause.by.is_empty() { "somebody" } else { &pause.by };
    let why = if pause.reason.is_empty() { "no reason was given" } else { &pause.reason };
    let turning = match state.turning_back() {
        Some(reason) if state.reason.is_none() => format!("; turns back ({}) once it is resumed", reason.as_str()),
        Some(_) | None => String::new(),
    };
    format!("paused by {who}: {why}{turning}")
}

fn step_sentence(step: &Step, now: &StepState, around: &Surroundings) -> Option<String> {
    let name = &step.name;
    let attempt = |operation: Operation| now.attempts.of(operation);
    let unserved = around.unserved(&step.call).map(|unserved| format!("no worker has served {} {unserved}", step.call));
    let sent = |operation: Operation, timeout_at: DateTime<Utc>| {
        let timeout = TimeDelta::from_std(timeout_of(step, operation)).unwrap_or_default();
        let at = rfc3339(timeout_at.checked_sub_signed(timeout).unwrap_or(timeout_at));
        match &unserved {
            Some(unserved) => format!("{unserved}; sent at {at}"),
            None => format!("sent to its workers at {at} and not answered yet"),
        }
    };
    let nobody = || unserved.as_ref().map(|unserved| format!("; {unserved}")).unwrap_or_default();
    Some(match &now.phase {
        Phase::Pending | Phase::Skipped | Phase::Succeeded | Phase::Failed | Phase::Undone | Phase::Waived => {
            return None;
        }
        Phase::InFlight { operation: Operation::Do, timeout_at, in_doubt: false } => format!(
            "step `{name}`: {}, attempt {}, times out at {}",
            sent(Operation::Do, *timeout_at),
            attempt(Operation::Do),
            rfc3339(*timeout_at)
        ),
        Phase::InFlight { operation: Operation::Do, timeout_at, in_doubt: true } => format!(
            "in doubt whether `{name}` happened: asked again under the same key (attempt {}), times out at {}{}",
            attempt(Operation::Do),
            rfc3339(*timeout_at),
            nobody()
        ),
        Phase::InFlight { operation: Operation::Probe, timeout_at, .. } => format!(
            "in doubt whether `{name}` happened: probing (attempt {}), times out at {}{}",
            attempt(Operation::Probe),
            rfc3339(*timeout_at),
            nobody()
        ),
        Phase::InFlight { operation: Operation::Undo, timeout_at, in_doubt: false } => format!(
            "undoing step `{name}`: {}, attempt {}, times out at {}",
            sent(Operation::Undo, *timeout_at),
            attempt(Operation::Undo),
            rfc3339(*timeout_at)
        ),
        Phase::InFlight { operation: Operation::Undo, timeout_at, in_doubt: true } => format!(
            "no trace of `{name}`: barring it with its undo, attempt {}, times out at {}{}",
            attempt(Operation::Undo),
            rfc3339(*timeout_at),
            nobody()
        ),
        Phase::BackingOff { operation: Operation::Do, until, in_doubt: false } => format!(
            "step `{name}`: backing off until {}{} (attempt {} of {}){}",
            rfc3339(*until),
            after(now.error.as_ref()),
            // Of the budget: attempts that ended in doubt do not spend it.
            now.retries.saturating_add(1),
            step.retry.attempts,
            nobody()
        ),
        Phase::BackingOff { operation: Operation::Do, until, in_doubt: true } => {
            let why = if step.on_unknown == OnUnknown::Probe {
                "the probe finds no trace of it".to_owned()
            } else {
                format!("asking again under the same key{}", after(now.error.as_ref()))
            };
            format!(
                "in doubt whether `{name}` happened: {why}; attempt {} at {}{}",
                attempt(Operation::Do).saturating_add(1),
                rfc3339(*until),
                nobody()
            )
        }
        Phase::BackingOff { operation: Operation::Probe, until, .. } => format!(
            "in doubt whether `{name}` happened{}: probing at {} (attempt {}){}",
            after(now.error.as_ref()),
            rfc3339(*until),
            attempt(Operation::Probe).saturating_add(1),
            nobody()
        ),
        Phase::BackingOff { operation: Operation::Undo, until, .. } => format!(
            "undoing step `{name}`: backing off until {}{} (attempt {}){}",
            rfc3339(*until),
            after(now.error.as_ref()),
            attempt(Operation::Undo).saturating_add(1),
            nobody()
        ),
        Phase::Stuck { operation, in_doubt } => {
            let what = match (operation, in_doubt) {
                (Operation::Do | Operation::Probe, true) => "nobody knows whether it happened",
                (Operation::Do | Operation::Probe, false) => "it cannot go on",
                (Operation::Undo, _) => "its undo cannot be carried out",
            };
            format!("stuck: step `{name}` needs a person, {what}: {}", said(now.error.as_ref()))
        }
    })
}

/// Of a completed saga that somebody cancels forward.
fn forward_sentence(state: &SagaState) -> Option<String> {
    let forward = state.cancel.as_ref()?.forward.as_ref()?;
    match &forward.stage {
        ForwardStage::Dispatched { attempt, timeout_at } => Some(format!(
            "asking for the saga {} that cancels this one (attempt {attempt}), asked again at {}",
            forward.saga_id,
            rfc3339(*timeout_at)
        )),
        ForwardStage::Refused { error } => {
            Some(format!("a person is needed: the saga that cancels this one was refused: {}", said(Some(error))))
        }
        ForwardStage::Waiting | ForwardStage::Started => None,
    }
}

fn after(error: Option<&StepError>) -> String {
    error.map(|error| format!(" after {}", said(Some(error)))).unwrap_or_default()
}

fn said(error: Option<&StepError>) -> String {
    // A message is a sentence of its own; here it is part of one.
    error.map_or_else(
        || "no error was given".to_owned(),
        |error| format!("{}: {}", error.code, error.message.trim_end_matches('.')),
    )
}

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
            | Fact::CancelRequested { .. }
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
