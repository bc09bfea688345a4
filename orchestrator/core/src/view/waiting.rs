//! Why a saga is not moving, in one sentence.

use amends_schemas::command::{Operation, StepError};
use amends_schemas::saga::SagaStatus;
use chrono::{DateTime, TimeDelta, Utc};

use crate::children::ChildrenState;
use crate::decide::{child_id, timeout_of};
use crate::definition::{Action, Definition, OnUnknown};
use crate::mapping::rfc3339;
use crate::state::{ForwardStage, Pause, Phase, SagaState};
use crate::surroundings::Surroundings;
use crate::uncertain::undecided_pivot;

/// Why it is not moving, in one true sentence; `None` once it is final and nothing more is to come.
pub fn waiting_for(definition: &Definition, state: &SagaState, around: &Surroundings) -> Option<String> {
    if state.status.is_final() {
        let untold = state.parent.as_ref().filter(|parent| !parent.told);
        let telling = untold.map(|parent| format!("telling the saga {} of its end", parent.link.saga_id));
        let forward = if state.status == SagaStatus::Terminated { None } else { forward_sentence(state) };
        return telling.or(forward);
    }
    if let Some(pause) = &state.by_hand.pause {
        return Some(paused_sentence(pause, definition, state));
    }
    if let Some(at) = state.start_at {
        return Some(format!("its first step begins at {}", rfc3339(at)));
    }
    let sentence = open_sentence(definition, state, around).unwrap_or_else(|| match state.status {
        // Only a state of another definition comes here.
        SagaStatus::Running | SagaStatus::Compensating | SagaStatus::Stuck => "between two steps".to_owned(),
        SagaStatus::Completed | SagaStatus::Compensated | SagaStatus::Terminated => "nothing".to_owned(),
    });
    let back = state.rewind.and_then(|step| definition.steps.get(step));
    let sentence = match back {
        Some(step) => format!("going back to step `{}`: {sentence}", step.name),
        None => sentence,
    };
    let turning = match (state.turning_back(), undecided_pivot(definition, state)) {
        (Some(reason), Some(pivot)) => {
            format!("; turns back ({}) unless `{}` turns out to have happened", reason.as_str(), pivot.name)
        }
        (Some(reason), None) if state.reason.is_none() => {
            format!("; turns back ({}) as soon as that is settled", reason.as_str())
        }
        (Some(_), None) | (None, _) => String::new(),
    };
    Some(format!("{sentence}{turning}"))
}

/// Branches that are named in one sentence; a longer one would not be read.
const BRANCHES_SAID_MAX: usize = 3;

/// What the open steps wait for: the stuck ones first, for they need a person.
fn open_sentence(definition: &Definition, state: &SagaState, around: &Surroundings) -> Option<String> {
    let mut open: Vec<(bool, String)> = state
        .open_steps()
        .filter_map(|index| {
            let stuck = matches!(state.steps.get(index)?.phase, Phase::Stuck { .. });
            Some((!stuck, step_sentence(definition, state, index, around)?))
        })
        .collect();
    open.sort_by_key(|(free, _)| *free);
    let more = open.len().saturating_sub(BRANCHES_SAID_MAX);
    let said: Vec<String> = open.into_iter().take(BRANCHES_SAID_MAX).map(|(_, sentence)| sentence).collect();
    if said.is_empty() {
        return None;
    }
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    Some(format!("{}{more}", said.join("; and ")))
}

fn children_sentence(
    name: &str,
    operation: Operation,
    children: &ChildrenState,
    state: &SagaState,
    definition: &Definition,
    step: usize,
) -> String {
    let named = |child: Option<&u32>| {
        child
            .and_then(|child| Some((child, child_id(state, definition, step, *child)?)))
            .map(|(child, saga_id)| format!("child {} of {} (saga {saga_id})", child + 1, children.total))
    };
    match operation {
        Operation::Undo => {
            let which = named(children.undoing.iter().next()).unwrap_or_else(|| "its children".to_owned());
            let left = children.completed.count();
            format!("undoing step `{name}`: cancelling {which}, {left} still to be undone")
        }
        Operation::Do | Operation::Probe => {
            let which = named(children.running.iter().next()).unwrap_or_else(|| "its children".to_owned());
            let ended = children.completed.count() + children.failed.count() + children.in_doubt.count();
            let (others, cancelled) = match (children.running.len(), children.cancelled) {
                (0 | 1, false) => (String::new(), ""),
                (0 | 1, true) => (String::new(), ", which is being cancelled"),
                (running, false) => (format!(" and {} more", running - 1), ""),
                (running, true) => (format!(" and {} more", running - 1), ", which are being cancelled"),
            };
            let halted = halted_sentence(children, state);
            format!(
                "step `{name}`: waiting for {which}{others}{cancelled}; {ended} of {} have ended{halted}",
                children.total
            )
        }
    }
}

/// Why no more children are started, and what that leads to.
fn halted_sentence(children: &ChildrenState, state: &SagaState) -> String {
    let ended_by_hand = if children.in_doubt.is_empty() {
        ""
    } else {
        "; of one that was ended by hand a person has to say how it ended"
    };
    // A saga that turns back says so itself.
    let failed = match children.failures.iter().next() {
        Some((child, error)) if children.halted && state.turning_back().is_none() => {
            let then = if state.pivot_passed { "a person is needed" } else { "the saga turns back" };
            format!(
                "; no more are started, for child {} failed ({}), and then {then}",
                child.saturating_add(1),
                error.code
            )
        }
        Some(_) | None => String::new(),
    };
    format!("{ended_by_hand}{failed}")
}

fn paused_sentence(pause: &Pause, definition: &Definition, state: &SagaState) -> String {
    let who = if pause.by.is_empty() { "somebody" } else { &pause.by };
    let why = if pause.reason.is_empty() { "no reason was given" } else { &pause.reason };
    let turning = match state.turning_back() {
        Some(reason) if state.reason.is_none() => {
            let unless = undecided_pivot(definition, state)
                .map(|pivot| format!(", unless `{}` turns out to have happened", pivot.name))
                .unwrap_or_default();
            format!("; turns back ({}) once it is resumed{unless}", reason.as_str())
        }
        Some(_) | None => String::new(),
    };
    format!("paused by {who}: {why}{turning}")
}

fn step_sentence(definition: &Definition, state: &SagaState, index: usize, around: &Surroundings) -> Option<String> {
    let (step, now) = (definition.steps.get(index)?, state.steps.get(index)?);
    let name = &step.name;
    let call = step.call();
    let attempt = |operation: Operation| now.attempts.of(operation);
    let unserved = call.and_then(|call| {
        around.unserved(&call.name).map(|unserved| format!("no worker has served {} {unserved}", call.name))
    });
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
        Phase::Pending
        | Phase::Skipped
        | Phase::Interrupted
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Undone
        | Phase::Waived => return None,
        Phase::Queued { operation, .. } => {
            let contract = call.map(|call| call.name.to_string()).unwrap_or_default();
            let what = match operation {
                Operation::Do => "step",
                Operation::Undo => "undoing step",
                Operation::Probe => "probing step",
            };
            format!("{what} `{name}`: limited by {contract}, waiting for its turn")
        }
        Phase::Waiting { until } => match (&step.action, until) {
            (Action::Await(awaited), Some(until)) => {
                format!("step `{name}`: waiting for the signal `{}` until {}", awaited.signal, rfc3339(*until))
            }
            (Action::Await(awaited), None) => format!("step `{name}`: waiting for the signal `{}`", awaited.signal),
            (Action::Call(_) | Action::Sleep(_) | Action::Children(_), until) => {
                let until = until.map(|until| format!(" until {}", rfc3339(until))).unwrap_or_default();
                format!("step `{name}`: sleeping{until}")
            }
        },
        Phase::Children { operation } => {
            let children = now.children.as_deref()?;
            children_sentence(name, *operation, children, state, definition, index)
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
            after(now.error.as_deref()),
            // Of the budget: attempts that ended in doubt do not spend it.
            now.retries.saturating_add(1),
            call.map_or(0, |call| call.retry.attempts),
            nobody()
        ),
        Phase::BackingOff { operation: Operation::Do, until, in_doubt: true } => {
            let why = if call.is_some_and(|call| call.on_unknown == OnUnknown::Probe) {
                "the probe finds no trace of it".to_owned()
            } else {
                format!("asking again under the same key{}", after(now.error.as_deref()))
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
            after(now.error.as_deref()),
            rfc3339(*until),
            attempt(Operation::Probe).saturating_add(1),
            nobody()
        ),
        Phase::BackingOff { operation: Operation::Undo, until, .. } => format!(
            "undoing step `{name}`: backing off until {}{} (attempt {}){}",
            rfc3339(*until),
            after(now.error.as_deref()),
            attempt(Operation::Undo).saturating_add(1),
            nobody()
        ),
        Phase::Stuck { operation, in_doubt } => {
            let what = match (operation, in_doubt) {
                (Operation::Do | Operation::Probe, true) => "nobody knows whether it happened",
                (Operation::Do | Operation::Probe, false) => "it cannot go on",
                (Operation::Undo, _) => "its undo cannot be carried out",
            };
            format!("stuck: step `{name}` needs a person, {what}: {}", said(now.error.as_deref()))
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
