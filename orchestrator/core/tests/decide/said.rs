//! What a decision says, as text.

use std::fmt::Write as _;

use amends_core::decide::{Effect, command_of, resume};
use amends_core::event::{DoubtCause, Fact};
use amends_core::preview::preview;
use amends_schemas::command::Operation;
use chrono::{DateTime, Utc};

use crate::check::{Run, epoch, saga_id};

impl Run {
    pub fn fact(&self, fact: &Fact) -> String {
        let name = fact.step().map(|step| self.definition.steps[step].name.to_string()).unwrap_or_default();
        let doubt = |in_doubt: &bool| if *in_doubt { " in doubt" } else { "" };
        match fact {
            Fact::SagaStarted { .. } => "started".to_owned(),
            Fact::StepSkipped { .. } => format!("{name} skipped"),
            Fact::StartTimeReached {} => "start reached".to_owned(),
            Fact::StepQueued { operation, .. } => format!("{name} {operation} queued"),
            Fact::WaitStarted { until: Some(until), .. } => format!("{name} waits till {}", since_epoch(*until)),
            Fact::WaitStarted { until: None, .. } => format!("{name} waits"),
            Fact::SignalReceived { signal, outcome, taken, .. } => {
                let outcome = outcome.as_ref().map(|outcome| format!(":{outcome}")).unwrap_or_default();
                format!("signal {signal}{outcome} {}", if *taken { "taken" } else { "kept" })
            }
            Fact::ChildrenStarted { total, .. } => format!("{name} has {total}"),
            Fact::ChildrenDispatched { operation: Operation::Undo, children, .. } => {
                format!("{name} cancels {}", numbers(children))
            }
            Fact::ChildrenDispatched { children, .. } => format!("{name} starts {}", numbers(children)),
            Fact::ChildEnded { child, operation: Operation::Undo, error, .. } => match error {
                None => format!("{name}/{child} undone"),
                Some(error) => format!("{name}/{child} not undone {}", error.code),
            },
            Fact::ChildEnded { child, error, in_doubt, .. } => match error {
                None => format!("{name}/{child} ok"),
                Some(error) if *in_doubt => format!("{name}/{child} in doubt {}", error.code),
                Some(error) => format!("{name}/{child} failed {}", error.code),
            },
            Fact::ChildrenHalted { cancelled, .. } => {
                format!("{name} halted{}", if *cancelled { " and cancelled" } else { "" })
            }
            Fact::StepInterrupted { error, .. } => format!("{name} interrupted {}", error.code),
            Fact::CancellationAdopted { .. } => "cancel adopted".to_owned(),
            Fact::ParentTold {} => "parent told".to_owned(),
            Fact::InputEdited { .. } => format!("{name} input edited"),
            Fact::RewindOrdered { .. } => format!("{name} ordered back"),
            Fact::Rewound { steps } => {
                let names: Vec<&str> = steps.iter().map(|step| &*self.definition.steps[*step].name).collect();
                format!("rewound {}", names.join(","))
            }
            Fact::StepDispatched { operation, attempt, timeout_at, .. } => {
                format!("{name} {operation}#{attempt} till {}", since_epoch(*timeout_at))
            }
            Fact::StepSucceeded { outcome, pivot, .. } => {
                let outcome = outcome.as_ref().map(|outcome| format!(":{outcome}")).unwrap_or_default();
                format!("{name} ok{outcome}{}", if *pivot { " pivot" } else { "" })
            }
            Fact::StepFailed { error, .. } => format!("{name} failed {}", error.code),
            Fact::StepInDoubt { operation, cause, .. } => {
                let cause = match cause {
                    DoubtCause::TimedOut => "timed out",
                    DoubtCause::Reported => "reported",
                };
                format!("{name} in doubt, {operation} {cause}")
            }
            Fact::RetryScheduled { operation, until, in_doubt, .. } => {
                format!("{name} {operation} again at {}{}", since_epoch(*until), doubt(in_doubt))
            }
            Fact::StepUndone { .. } => format!("{name} undone"),
            Fact::CompensationWaived { .. } => format!("{name} waived"),
            Fact::StepStuck { operation, error, in_doubt, .. } => {
                format!("{name} stuck on {operation}{} {}", doubt(in_doubt), error.code)
            }
            Fact::CancelRequested { forward: None, .. } => "cancel requested".to_owned(),
            Fact::CancelRequested { forward: Some(_), .. } => "cancel requested forward".to_owned(),
            Fact::CancelRequestedAgain { by, .. } => format!("cancel requested again by {by}"),
            Fact::CancellationTurnedForward { .. } => "cancel turned forward".to_owned(),
            Fact::DeadlinePassed {} => "deadline passed".to_owned(),
            Fact::CompensationStarted { reason } => format!("back {}", reason.as_str()),
            Fact::ForwardCancellationDispatched { attempt, timeout_at, .. } => {
                format!("forward#{attempt} till {}", since_epoch(*timeout_at))
            }
            Fact::ForwardCancellationStarted { .. } => "forward started".to_owned(),
            Fact::ForwardCancellationRefused { error, .. } => format!("forward refused {}", error.code),
            Fact::SagaCompleted { .. } => "completed".to_owned(),
            Fact::SagaCompensated { reason } => format!("compensated {}", reason.as_str()),
            Fact::SagaPaused { .. } => "paused".to_owned(),
            Fact::SagaResumed { .. } => "resumed".to_owned(),
            Fact::RetryOrdered { operation, in_doubt, anew, .. } => {
                format!("{name} {operation} ordered{}{}", if *anew { " anew" } else { "" }, doubt(in_doubt))
            }
            Fact::StepPassedOver { operation, .. } => format!("{name} {operation} passed over"),
            Fact::StepResolved { operation, succeeded, .. } => {
                format!("{name} {operation} resolved as {}", if *succeeded { "succeeded" } else { "failed" })
            }
            Fact::SagaTerminated { .. } => "terminated".to_owned(),
        }
    }

    pub fn command(&self, step: &str) -> String {
        let index = self.definition.step_index(step).expect("a step of the definition");
        let Some(command) = command_of(&self.definition, &self.state, index, "reply") else { return "-".to_owned() };
        let mut text = format!("{}#{} {} {}", command.operation, command.attempt, command.contract, command.input);
        // The key of the first round is that of every saga so far.
        let key = command.key.strip_prefix(&format!("{}/{step}", saga_id())).expect("names saga and step");
        let (round, operation) = key.split_once('/').expect("names the operation");
        assert_eq!(operation == "undo", command.operation == Operation::Undo);
        if !round.is_empty() {
            write!(text, " {round}").expect("writes to a text");
        }
        if let Some(output) = command.output {
            write!(text, " of {output}").expect("writes to a text");
        }
        if let Some(reason) = command.reason {
            write!(text, " because {}", reason.as_str()).expect("writes to a text");
        }
        assert_eq!(command.reply_to, "reply");
        text
    }

    pub fn preview(&self) -> String {
        let preview = preview(&self.definition, &self.state, self.now);
        let steps = preview.steps.iter().map(|step| {
            let uncertain = if step.if_it_happened { "?" } else { "" };
            let action = serde_json::to_value(step.action).expect("json");
            format!("{} {} {}{uncertain}", step.order, action.as_str().expect("text"), step.step)
        });
        let steps: Vec<String> = steps.collect();
        let side = serde_json::to_value(preview.pivot).expect("json");
        let stays = preview.irreversible.join(",");
        format!("{}: {} | {} | stays {stays}", side.as_str().expect("text"), preview.summary, steps.join(", "))
            .trim_end()
            .to_owned()
    }

    pub fn resumed(&self) -> String {
        let effects = resume(&self.definition, &self.state);
        let told = effects.iter().map(|effect| match effect {
            Effect::Dispatch { step } => format!("dispatch {}", self.definition.steps[*step].name),
            Effect::StartForward { request } => format!("start {} {}", request.definition, request.input),
            Effect::Queue { step } => format!("queue {}", self.definition.steps[*step].name),
            Effect::StartChildren { step, children } => {
                format!("start {} {}", self.definition.steps[*step].name, numbers(children))
            }
            Effect::CancelChildren { step, children } => {
                format!("cancel {} {}", self.definition.steps[*step].name, numbers(children))
            }
            Effect::TellParent => "tell parent".to_owned(),
            Effect::WakeAt { at } => format!("wake {}", since_epoch(*at)),
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

/// `0,1,2`, or `0..99` of many.
fn numbers(numbers: &[u32]) -> String {
    match numbers {
        [first, .., last] if numbers.len() > 9 => format!("{first}..{last}"),
        numbers => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

pub fn since_epoch(at: DateTime<Utc>) -> String {
    format!("{}s", (at - epoch()).num_milliseconds() as f64 / 1000.0)
}
