//! What a cancel would do now, without doing it: operators look before they leap.

use amends_schemas::operate::{CancelPreview, CompensationPreview, PivotSide, UndoAction, UndoPreview};
use amends_schemas::saga::SagaStatus;
use chrono::{DateTime, Utc};

mod summary;

use summary::summary;

use crate::decide::{cancels_backward, stages};
use crate::definition::{Compensate, Definition, Step, StepKind};
use crate::state::{CancelRequest, ForwardCancellation, ForwardStage, Phase, SagaState, StepState};
use crate::uncertain::{is_uncertain, uncertain, undecided_pivot};

/// What a cancel at `now` would do.
pub fn preview(definition: &Definition, state: &SagaState, now: DateTime<Utc>) -> CompensationPreview {
    let cancel = cancel_preview(definition, state, now);
    let goes_forward = state.pivot_passed || state.status == SagaStatus::Completed;
    let steps = match &cancel {
        CancelPreview::Forward { .. } | CancelPreview::Refused { .. } => Vec::new(),
        CancelPreview::Already if goes_forward => Vec::new(),
        CancelPreview::Compensate
        | CancelPreview::AwaitStep { .. }
        | CancelPreview::SettleDoubt { .. }
        | CancelPreview::Already => undo_previews(definition, state),
    };
    let irreversible = irreversible(definition, state, goes_forward || matches!(cancel, CancelPreview::Refused { .. }));
    let pivot = pivot_side(definition, state);
    let summary = summary(&cancel, &steps, definition, state);
    CompensationPreview {
        saga_id: state.saga_id,
        status: state.status,
        paused: state.paused,
        pivot,
        cancel,
        steps,
        irreversible,
        summary,
    }
}

fn pivot_side(definition: &Definition, state: &SagaState) -> PivotSide {
    if state.pivot_passed {
        return PivotSide::After;
    }
    if undecided_pivot(definition, state).is_some() { PivotSide::Undecided } else { PivotSide::Before }
}

fn cancel_preview(definition: &Definition, state: &SagaState, now: DateTime<Utc>) -> CancelPreview {
    match state.status {
        SagaStatus::Terminated => return CancelPreview::Refused { code: "illegal_here".to_owned() },
        SagaStatus::Compensating | SagaStatus::Compensated => return CancelPreview::Already,
        SagaStatus::Stuck if state.reason.is_some() => return CancelPreview::Already,
        SagaStatus::Stuck | SagaStatus::Running | SagaStatus::Completed => {}
    }
    if cancels_backward(state) {
        if state.cancel.is_some() {
            return CancelPreview::Already;
        }
        return match uncertain(definition, state).first() {
            None => CancelPreview::Compensate,
            Some((_, step, phase)) if phase.in_doubt() => CancelPreview::SettleDoubt { step: step.name.to_string() },
            Some((_, step, _)) => CancelPreview::AwaitStep { step: step.name.to_string() },
        };
    }
    match forward_of(state).map(|forward| &forward.stage) {
        Some(ForwardStage::Waiting | ForwardStage::Dispatched { .. } | ForwardStage::Started) => {
            return CancelPreview::Already;
        }
        // Whoever asks again after a refusal has it tried again.
        Some(ForwardStage::Refused { .. }) | None => {}
    }
    let Some(cancel_with) = &definition.cancel_with else {
        return CancelPreview::Refused { code: "past_pivot".to_owned() };
    };
    // As it would be if somebody asked now, unless somebody has.
    let mut asked = state.clone();
    asked.cancel.get_or_insert_with(|| {
        let (by, reason) = (String::new(), String::new());
        Box::new(CancelRequest { requested_at: now, by, reason, forward: None, parent: None })
    });
    CancelPreview::Forward {
        forward_saga_id: state.saga_id.forward_cancellation(),
        definition: cancel_with.saga.clone(),
        input: cancel_with.input.resolve(&asked).unwrap_or_default(),
        now: state.status == SagaStatus::Completed,
    }
}

/// What a turn back would come to, as it would come to it.
fn undo_previews(definition: &Definition, state: &SagaState) -> Vec<UndoPreview> {
    if state.status.is_final() {
        return Vec::new();
    }
    let shown = stages(definition, state).into_iter().filter_map(|(order, index)| {
        let (step, now) = definition.steps.get(index).zip(state.steps.get(index))?;
        let if_it_happened = is_uncertain(&now.phase);
        (if_it_happened || !is_idle(step, now)).then(|| undo_preview(step, state, index, order, if_it_happened))
    });
    shown.collect()
}

/// Whether it has done nothing that could be undone: a wait, or a step of whose children none has completed.
fn is_idle(step: &Step, now: &StepState) -> bool {
    step.kind == StepKind::Wait || now.children.as_ref().is_some_and(|children| children.completed.is_empty())
}

fn undo_preview(step: &Step, state: &SagaState, index: usize, order: u32, if_it_happened: bool) -> UndoPreview {
    let (action, reason) = match &step.compensate {
        Compensate::Undo { .. } => (UndoAction::Undo, None),
        Compensate::Cancel => (UndoAction::CancelChildren, None),
        Compensate::Waived { reason } => (UndoAction::Waive, Some(reason.clone())),
        Compensate::None => (UndoAction::None, None),
    };
    UndoPreview {
        step: step.name.to_string(),
        call: step.call().map(|call| call.name.clone()),
        action,
        order,
        if_it_happened,
        input: input_of(step, state, index),
        output: state.steps.get(index).and_then(|now| now.output.clone()),
        reason,
    }
}

/// The input it was done with, as its undo gets it; null of a step that calls no contract.
fn input_of(step: &Step, state: &SagaState, index: usize) -> serde_json::Value {
    let edited = state.steps.get(index).and_then(|now| now.input.clone());
    edited.or_else(|| step.call()?.input.resolve(state)).unwrap_or_default()
}

/// What has happened and stays: behind the pivot everything, before it what is waived.
fn irreversible(definition: &Definition, state: &SagaState, everything: bool) -> Vec<String> {
    let stays = |index: &usize| {
        let (step, now) = definition.steps.get(*index).zip(state.steps.get(*index))?;
        if is_idle(step, now) {
            return None;
        }
        let undoable = matches!(step.compensate, Compensate::Undo { .. } | Compensate::Cancel);
        let stays = match now.phase {
            Phase::Undone => false,
            Phase::Waived => true,
            Phase::Succeeded
            | Phase::Pending
            | Phase::Skipped
            | Phase::Failed
            | Phase::Interrupted
            | Phase::Waiting { .. }
            | Phase::Queued { .. }
            | Phase::Children { .. }
            | Phase::InFlight { .. }
            | Phase::BackingOff { .. }
            | Phase::Stuck { .. } => everything || !undoable,
        };
        stays.then(|| step.name.to_string())
    };
    state.succeeded.iter().filter_map(stays).collect()
}

fn forward_of(state: &SagaState) -> Option<&ForwardCancellation> {
    state.cancel.as_ref()?.forward.as_ref()
}
