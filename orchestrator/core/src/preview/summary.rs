//! All of a preview in one sentence.

use amends_schemas::command::Operation;
use amends_schemas::operate::{CancelPreview, UndoAction, UndoPreview};
use amends_schemas::saga::SagaStatus;

use super::forward_of;
use crate::definition::Definition;
use crate::state::{ForwardStage, Phase, SagaState};
use crate::uncertain::{uncertain, undecided_pivot};

pub(super) fn summary(
    cancel: &CancelPreview,
    steps: &[UndoPreview],
    definition: &Definition,
    state: &SagaState,
) -> String {
    let amends = amends(steps, definition, state);
    let otherwise = match undecided_pivot(definition, state) {
        Some(_) => "; if it turns out to have happened, the saga goes forward instead",
        None => "",
    };
    let resumed = if state.paused { "; nothing of it happens before the saga is resumed" } else { "" };
    let then = match first(definition, state) {
        Some(first) => format!("{first} and then {amends}{otherwise}{resumed}"),
        None => format!("{amends}{otherwise}{resumed}"),
    };
    let passed = if state.pivot_passed { "past the point of no return" } else { "completed" };
    match cancel {
        CancelPreview::Compensate | CancelPreview::AwaitStep { .. } | CancelPreview::SettleDoubt { .. } => {
            format!("a cancel would {then}")
        }
        CancelPreview::Forward { definition, now: true, .. } => {
            format!("{passed}: a cancel would start the saga {definition}")
        }
        CancelPreview::Forward { definition, now: false, .. } => {
            format!("{passed}: a cancel would start the saga {definition} once this one is completed")
        }
        CancelPreview::Already => match forward_of(state).map(|forward| (forward.saga_id, &forward.stage)) {
            Some((saga_id, ForwardStage::Waiting)) => {
                format!("it has been cancelled already: the saga {saga_id} cancels it once it is completed")
            }
            Some((saga_id, ForwardStage::Dispatched { .. })) => {
                format!("it has been cancelled already: the saga {saga_id}, which cancels it, is being asked for")
            }
            Some((saga_id, ForwardStage::Started | ForwardStage::Refused { .. })) => {
                format!("it has been cancelled already: the saga {saga_id} cancels it")
            }
            None if state.status.is_final() => "amends have been made; a cancel would change nothing".to_owned(),
            None if state.reason.is_some() => format!("amends are being made; what is left is to {then}"),
            None => format!("it has been cancelled already; what is left is to {then}"),
        },
        CancelPreview::Refused { code } => {
            let why = if state.status == SagaStatus::Terminated {
                "an operator has ended it as it stood".to_owned()
            } else {
                format!("it is {passed}, and its definition names no `cancel_with` saga")
            };
            format!("a cancel would be refused: {code}: {why}")
        }
    }
}

/// What comes before any amends: what is in doubt is settled, what is under way comes to its end.
fn first(definition: &Definition, state: &SagaState) -> Option<String> {
    let (mut doubts, mut flights, mut parents) = (Vec::new(), Vec::new(), Vec::new());
    for (index, step, phase) in uncertain(definition, state) {
        let name = format!("`{}`", step.name);
        if phase.in_doubt() {
            doubts.push(name);
        } else if matches!(phase, Phase::Children { .. }) {
            let children = state.steps.get(index).and_then(|now| now.children.as_ref());
            parents.push(if children.is_some_and(|children| children.cancelled) {
                format!("wait for the ends of the children of {name} (they are being cancelled)")
            } else {
                format!("cancel the children of {name} that are at work, start no more, wait for their ends")
            });
        } else {
            flights.push(name);
        }
    }
    let mut first = Vec::new();
    if !doubts.is_empty() {
        first.push(format!("first settle whether {} happened", doubts.join(" and ")));
    }
    match flights.len() {
        0 => {}
        1 => first.push(format!("wait for the end of {}", flights.join(" and "))),
        _ => first.push(format!("wait for the ends of {}", flights.join(" and "))),
    }
    first.append(&mut parents);
    (!first.is_empty()).then(|| first.join(", "))
}

/// What is undone, one after the other and at the same time.
fn amends(steps: &[UndoPreview], definition: &Definition, state: &SagaState) -> String {
    let undone: Vec<&UndoPreview> = steps
        .iter()
        .filter(|preview| matches!(preview.action, UndoAction::Undo | UndoAction::CancelChildren))
        .collect();
    let stages: Vec<String> = undone
        .chunk_by(|one, next| one.order == next.order)
        .map(|stage| {
            let names: Vec<String> = stage.iter().map(|preview| named(preview, definition, state)).collect();
            match names.len() {
                0 | 1 => names.concat(),
                _ => format!("{} at the same time", names.join(" and ")),
            }
        })
        .collect();
    if stages.is_empty() { "undo nothing".to_owned() } else { format!("undo {}", stages.join(", then ")) }
}

fn named(preview: &UndoPreview, definition: &Definition, state: &SagaState) -> String {
    let phase = definition.step_index(&preview.step).and_then(|index| state.steps.get(index)).map(|now| &now.phase);
    match phase {
        Some(Phase::Children { operation: Operation::Do | Operation::Probe }) => {
            format!("{} (what of it has completed)", preview.step)
        }
        _ if preview.if_it_happened => format!("{} (if it happened)", preview.step),
        _ => preview.step.clone(),
    }
}
