//! What a cancel would do now, without doing it: operators look before they leap.

use amends_schemas::operate::{CancelPreview, CompensationPreview, PivotSide, UndoAction, UndoPreview};
use amends_schemas::saga::SagaStatus;
use chrono::{DateTime, Utc};

use crate::decide::cancels_backward;
use crate::definition::{Compensate, Definition, Step, StepKind};
use crate::state::{CancelRequest, Phase, SagaState, StepState};
use crate::uncertain::{uncertain, undecided_pivot};

/// What a cancel at `now` would do.
pub fn preview(definition: &Definition, state: &SagaState, now: DateTime<Utc>) -> CompensationPreview {
    let cancel = cancel_preview(definition, state, now);
    let steps = match &cancel {
        CancelPreview::Forward { .. } | CancelPreview::Refused { .. } => Vec::new(),
        CancelPreview::Compensate
        | CancelPreview::AwaitStep { .. }
        | CancelPreview::SettleDoubt { .. }
        | CancelPreview::Already => undo_previews(definition, state),
    };
    let irreversible = irreversible(
        definition,
        state,
        matches!(cancel, CancelPreview::Forward { .. } | CancelPreview::Refused { .. }),
    );
    let pivot = pivot_side(definition, state);
    let summary = summary(&cancel, &steps, pivot, state);
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
        return match uncertain(definition, state).first() {
            None => CancelPreview::Compensate,
            Some((_, step, phase)) if phase.in_doubt() => CancelPreview::SettleDoubt { step: step.name.to_string() },
            Some((_, step, _)) => CancelPreview::AwaitStep { step: step.name.to_string() },
        };
    }
    let Some(cancel_with) = &definition.cancel_with else {
        return CancelPreview::Refused { code: "past_pivot".to_owned() };
    };
    // As it would be if somebody asked now, unless somebody has.
    let mut asked = state.clone();
    asked.cancel.get_or_insert_with(|| CancelRequest {
        requested_at: now,
        by: String::new(),
        reason: String::new(),
        forward: None,
        parent: None,
    });
    CancelPreview::Forward {
        forward_saga_id: state.saga_id.forward_cancellation(),
        definition: cancel_with.saga.clone(),
        input: cancel_with.input.resolve(&asked).unwrap_or_default(),
        now: state.status == SagaStatus::Completed,
    }
}

/// First the steps whose ends are not known, then what has succeeded, backwards.
fn undo_previews(definition: &Definition, state: &SagaState) -> Vec<UndoPreview> {
    let open = if state.status.is_final() { Vec::new() } else { uncertain(definition, state) };
    let mut previews: Vec<UndoPreview> =
        open.into_iter().map(|(index, step, _)| undo_preview(step, state, index, true)).collect();
    for &index in state.succeeded.iter().rev() {
        let Some((step, now)) = definition.steps.get(index).zip(state.steps.get(index)) else { continue };
        if !matches!(now.phase, Phase::Undone | Phase::Waived) && !is_idle(step, now) {
            previews.push(undo_preview(step, state, index, false));
        }
    }
    previews
}

/// Whether it has done nothing that could be undone: a wait, or a step of whose children none has completed.
fn is_idle(step: &Step, now: &StepState) -> bool {
    step.kind == StepKind::Wait || now.children.as_ref().is_some_and(|children| children.completed.is_empty())
}

fn undo_preview(step: &Step, state: &SagaState, index: usize, if_it_happened: bool) -> UndoPreview {
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

fn summary(cancel: &CancelPreview, steps: &[UndoPreview], pivot: PivotSide, state: &SagaState) -> String {
    let undone: Vec<String> = steps
        .iter()
        .filter(|preview| matches!(preview.action, UndoAction::Undo | UndoAction::CancelChildren))
        .map(|preview| format!("{}{}", preview.step, if preview.if_it_happened { " (if it happened)" } else { "" }))
        .collect();
    let amends = if undone.is_empty() { "undo nothing".to_owned() } else { format!("undo {}", undone.join(", then ")) };
    let otherwise = if pivot == PivotSide::Undecided {
        "; if it turns out to have happened, the saga goes forward instead"
    } else {
        ""
    };
    let resumed = if state.paused { "; nothing of it happens before the saga is resumed" } else { "" };
    match cancel {
        CancelPreview::Compensate => format!("a cancel would {amends}{resumed}"),
        CancelPreview::AwaitStep { step } => {
            format!("a cancel would wait for the end of `{step}` and then {amends}{otherwise}{resumed}")
        }
        CancelPreview::SettleDoubt { step } => {
            format!("a cancel would first settle whether `{step}` happened and then {amends}{otherwise}{resumed}")
        }
        CancelPreview::Forward { definition, now: true, .. } => {
            format!("past the point of no return: a cancel would start the saga {definition}")
        }
        CancelPreview::Forward { definition, now: false, .. } => {
            format!(
                "past the point of no return: a cancel would start the saga {definition} once this one is completed"
            )
        }
        CancelPreview::Already if state.status.is_final() => {
            "amends have been made; a cancel would change nothing".to_owned()
        }
        CancelPreview::Already => format!("amends are being made; what is left is to {amends}"),
        CancelPreview::Refused { code } => format!("a cancel would be refused: {code}"),
    }
}
