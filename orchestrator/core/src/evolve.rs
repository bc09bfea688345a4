//! Applies one fact to a saga.

mod step;

use std::collections::BTreeMap;

use amends_schemas::command::Operation;
use amends_schemas::ids::SagaId;
use amends_schemas::operate::OperatorVerb;
use amends_schemas::saga::SagaStatus;
use serde_json::Value;

use self::step::evolve_step;
use crate::definition::Definition;
use crate::event::{Act, Event, Fact};
use crate::state::{
    ByHand, CancelRequest, DoneByHand, ForwardCancellation, ForwardStage, Parent, Pause, Phase, SagaState, Signal,
    StepState,
};

/// The saga that begins with `event`, which must be its `SagaStarted`; `None` for any other.
pub fn begin(definition: &Definition, saga_id: SagaId, event: &Event) -> Option<SagaState> {
    begin_with(definition.steps.len(), saga_id, event)
}

/// The same for a definition of which only the number of steps is known.
pub fn begin_with(step_count: usize, saga_id: SagaId, event: &Event) -> Option<SagaState> {
    let Fact::SagaStarted { definition: reference, input, tags, deadline_at, start_at, priority, parent } = &event.fact
    else {
        return None;
    };
    Some(SagaState {
        saga_id,
        definition: reference.clone(),
        input: input.clone(),
        tags: tags.clone(),
        status: SagaStatus::Running,
        reason: None,
        paused: false,
        deadline_at: *deadline_at,
        deadline_passed: false,
        pivot_passed: false,
        cancel: None,
        steps: vec![StepState::pending(); step_count],
        succeeded: Vec::new(),
        output: None,
        created_at: event.at,
        updated_at: event.at,
        event_count: 1,
        by_hand: ByHand::default(),
        start_at: *start_at,
        asked_start_at: *start_at,
        priority: *priority,
        parent: parent.clone().map(|link| Box::new(Parent { link, told: false })),
        signals: BTreeMap::new(),
        rewind: None,
    })
}

/// Applies one fact. Total: replaying the same history always gives the same state. A fact about a step the saga does not
/// have, or a second `SagaStarted`, is only counted.
pub fn evolve(state: &mut SagaState, event: &Event) {
    state.updated_at = event.at;
    state.event_count = state.event_count.saturating_add(1);
    match &event.fact {
        Fact::SagaStarted { .. } | Fact::CancelRequestedAgain { .. } => {}
        Fact::StepSkipped { step }
        | Fact::StepQueued { step, .. }
        | Fact::WaitStarted { step, .. }
        | Fact::ChildrenStarted { step, .. }
        | Fact::ChildrenDispatched { step, .. }
        | Fact::ChildEnded { step, .. }
        | Fact::ChildrenHalted { step, .. }
        | Fact::StepInterrupted { step, .. }
        | Fact::StepDispatched { step, .. }
        | Fact::StepSucceeded { step, .. }
        | Fact::StepFailed { step, .. }
        | Fact::StepInDoubt { step, .. }
        | Fact::RetryScheduled { step, .. }
        | Fact::StepUndone { step }
        | Fact::CompensationWaived { step }
        | Fact::StepStuck { step, .. } => evolve_step(state, *step, event),
        Fact::StartTimeReached {} => state.start_at = None,
        Fact::SignalReceived { signal, signal_id, outcome, data, taken, .. } => {
            let given = Signal {
                signal_id: *signal_id,
                outcome: outcome.clone(),
                data: data.clone(),
                taken: *taken,
                at: event.at,
                sequence: state.event_count,
            };
            state.signals.entry(signal.clone()).or_insert(given);
        }
        Fact::ParentTold {} => {
            if let Some(parent) = &mut state.parent {
                parent.told = true;
            }
        }
        Fact::CancelRequested { by, reason, forward, parent } => {
            state.cancel = Some(Box::new(CancelRequest {
                requested_at: event.at,
                by: by.clone(),
                reason: reason.clone(),
                forward: forward.map(waiting),
                parent: parent.clone(),
            }));
        }
        Fact::CancellationAdopted { parent } => {
            if let Some(cancel) = &mut state.cancel {
                cancel.parent = Some(parent.clone());
            }
        }
        Fact::CancellationTurnedForward { saga_id } => {
            if let Some(cancel) = &mut state.cancel {
                cancel.forward = Some(waiting(*saga_id));
            }
        }
        Fact::DeadlinePassed {} => state.deadline_passed = true,
        Fact::CompensationStarted { reason } => {
            state.reason = Some(*reason);
            state.status = SagaStatus::Compensating;
            // There is no way forward any more to which it could go back.
            state.rewind = None;
        }
        Fact::ForwardCancellationDispatched { saga_id, attempt, timeout_at } => {
            set_stage(state, *saga_id, ForwardStage::Dispatched { attempt: *attempt, timeout_at: *timeout_at });
        }
        Fact::ForwardCancellationStarted { saga_id } => set_stage(state, *saga_id, ForwardStage::Started),
        Fact::ForwardCancellationRefused { saga_id, error } => {
            set_stage(state, *saga_id, ForwardStage::Refused { error: error.clone() });
        }
        Fact::SagaCompleted { output } => {
            state.status = SagaStatus::Completed;
            state.output = something(output);
        }
        Fact::SagaCompensated { reason } => {
            state.status = SagaStatus::Compensated;
            state.reason = Some(*reason);
        }
        Fact::SagaPaused { act } => {
            remember(state, event, act, OperatorVerb::Pause, None);
            state.paused = true;
            state.by_hand.pause =
                Some(Box::new(Pause { by: act.by.clone(), reason: act.reason.clone(), at: event.at }));
        }
        Fact::SagaResumed { act } => {
            remember(state, event, act, OperatorVerb::Resume, None);
            end_pause(state);
        }
        Fact::RetryOrdered { step, act, .. } => {
            remember(state, event, act, OperatorVerb::Retry, Some(*step));
            evolve_step(state, *step, event);
        }
        Fact::InputEdited { step, act, .. } => {
            remember(state, event, act, OperatorVerb::EditInput, Some(*step));
            evolve_step(state, *step, event);
        }
        Fact::RewindOrdered { step, act } => {
            remember(state, event, act, OperatorVerb::RetryFrom, Some(*step));
            state.rewind = Some(*step);
        }
        Fact::Rewound { steps } => rewind(state, steps),
        Fact::StepPassedOver { step, act, .. } => {
            remember(state, event, act, OperatorVerb::Skip, Some(*step));
            evolve_step(state, *step, event);
        }
        // What was said is carried out by the fact that follows.
        Fact::StepResolved { step, act, .. } => remember(state, event, act, OperatorVerb::Resolve, Some(*step)),
        Fact::SagaTerminated { act } => {
            remember(state, event, act, OperatorVerb::Terminate, None);
            end_pause(state);
            state.status = SagaStatus::Terminated;
        }
    }
}

fn remember(state: &mut SagaState, event: &Event, act: &Act, verb: OperatorVerb, step: Option<usize>) {
    state.by_hand.remember(DoneByHand {
        operation_id: act.operation_id,
        fingerprint: act.fingerprint.clone(),
        verb,
        step,
        at: event.at,
        sequence: state.event_count,
    });
}

fn end_pause(state: &mut SagaState) {
    state.paused = false;
    state.by_hand.pause = None;
}

/// Null is nothing, as it is once a checkpoint has been written and read again.
fn something(output: &Value) -> Option<Value> {
    Some(output.clone()).filter(|output| !output.is_null())
}

/// The status of a saga whose steps have moved: stuck as long as any of them is.
fn moving_status(state: &SagaState) -> SagaStatus {
    match state.status {
        SagaStatus::Completed | SagaStatus::Compensated | SagaStatus::Terminated => state.status,
        SagaStatus::Running | SagaStatus::Compensating | SagaStatus::Stuck => {
            if state.steps.iter().any(|step| matches!(step.phase, Phase::Stuck { .. })) {
                SagaStatus::Stuck
            } else if state.reason.is_some() {
                SagaStatus::Compensating
            } else {
                SagaStatus::Running
            }
        }
    }
}

/// These steps are as if their turn had never come, but for their rounds and what was counted.
fn rewind(state: &mut SagaState, steps: &[usize]) {
    for &index in steps {
        let Some(step) = state.steps.get_mut(index) else { continue };
        // One that asked to be tried again keeps its key: should a copy of its command still be carried out somewhere, it is the one thing
        // that is asked for. Any other begins anew, also one that has no attempts: its children have ids by its round.
        let asked_again = matches!(step.phase, Phase::BackingOff { operation: Operation::Do, in_doubt: false, .. });
        let (round, earlier) =
            if asked_again { (step.round, step.earlier) } else { (step.round.saturating_add(1), step.attempts) };
        *step = StepState { round, earlier, attempts: step.attempts, renewed: step.attempts, ..StepState::pending() };
    }
    state.succeeded.retain(|index| !steps.contains(index));
    state.rewind = None;
    state.status = moving_status(state);
}

const fn waiting(saga_id: SagaId) -> ForwardCancellation {
    ForwardCancellation { saga_id, stage: ForwardStage::Waiting }
}

fn set_stage(state: &mut SagaState, saga_id: SagaId, stage: ForwardStage) {
    if let Some(forward) = state.cancel.as_mut().and_then(|cancel| cancel.forward.as_mut())
        && forward.saga_id == saga_id
    {
        forward.stage = stage;
    }
}
