//! A definition played over a recording.

use std::collections::{BTreeMap, BTreeSet};

use amends_schemas::saga::Priority;
use serde_json::{Value, json};

use super::recording::{Recorded, Recording};
use crate::definition::{Action, Children, Compensate, Definition, Node, Sleep, Step, StepKind};
use crate::event::{Event, Fact};
use crate::evolve::{begin, evolve};
use crate::mapping::{Each, Mapping};
use crate::state::SagaState;

/// Of so many children of one step the inputs are compared: what differs differs in the first, mostly.
pub const REHEARSED_CHILDREN_MAX: usize = 100;

/// How a definition was played.
#[derive(Debug)]
pub(super) struct Play<'p> {
    pub(super) definition: &'p Definition,
    /// Each step that was taken.
    pub(super) taken: BTreeMap<&'p str, Taken>,
    /// Each step whose condition did not hold.
    pub(super) skipped: BTreeSet<&'p str>,
    /// Recorded outcomes that the step cannot have.
    pub(super) unfit: BTreeMap<&'p str, Option<String>>,
    pub(super) end: End,
}

/// A step that was taken.
#[derive(Debug, PartialEq)]
pub(super) struct Taken {
    /// What it does.
    pub(super) what: String,
    /// What it was given.
    pub(super) input: Value,
}

/// Where a play ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// All steps were taken.
    Completed {
        /// What the saga answers.
        output: Value,
    },
    /// A step failed before the pivot: amends are made.
    Compensated {
        /// Which.
        failed: String,
        /// What is undone, the last first.
        undone: Vec<String>,
    },
    /// A step failed behind the pivot: a person is needed.
    Stuck {
        /// Which.
        step: String,
    },
    /// Nothing is recorded of these.
    Waits {
        /// In the order of the document.
        steps: Vec<String>,
    },
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Completed { .. } => f.write_str("completed"),
            End::Compensated { failed, undone } if undone.is_empty() => {
                write!(f, "compensated after `{failed}` failed, with nothing to undo")
            }
            End::Compensated { failed, undone } => {
                write!(f, "compensated after `{failed}` failed, undoing {}", undone.join(", "))
            }
            End::Stuck { step } => write!(f, "stuck at `{step}`"),
            End::Waits { steps } => write!(f, "still at {}", steps.join(", ")),
        }
    }
}

/// A play under way.
struct Player<'p> {
    recording: &'p Recording,
    state: SagaState,
    play: Play<'p>,
    failed: Vec<&'p str>,
    unrecorded: Vec<String>,
}

/// Plays `definition` over `recording`.
pub(super) fn play<'p>(definition: &'p Definition, recording: &'p Recording) -> Play<'p> {
    let started = Event {
        at: recording.started_at,
        fact: Fact::SagaStarted {
            definition: definition.reference.clone(),
            input: recording.input.clone(),
            tags: recording.tags.clone(),
            deadline_at: None,
            start_at: None,
            priority: Priority::default(),
            parent: None,
        },
    };
    let state = begin(definition, recording.saga_id, &started).expect("the event is a SagaStarted");
    let play = Play {
        definition,
        taken: BTreeMap::new(),
        skipped: BTreeSet::new(),
        unfit: BTreeMap::new(),
        end: End::Waits { steps: Vec::new() },
    };
    let mut player = Player { recording, state, play, failed: Vec::new(), unrecorded: Vec::new() };
    let through = player.sequence(&definition.flow);
    let end = player.end(through);
    Play { end, ..player.play }
}

impl<'p> Player<'p> {
    /// Whether it came to the end of these.
    fn sequence(&mut self, flow: &'p [Node]) -> bool {
        flow.iter().all(|node| match node {
            Node::Step(index) => self.step(*index),
            // All of them are begun, whatever becomes of the others.
            Node::Parallel(branches) => branches.iter().filter(|branch| !self.sequence(branch)).count() == 0,
        })
    }

    /// Whether what follows is reached.
    fn step(&mut self, index: usize) -> bool {
        let Some(step) = self.play.definition.steps.get(index) else { return false };
        let name: &str = &step.name;
        if !step.when.iter().all(|condition| condition.holds(&self.state)) {
            self.play.skipped.insert(name);
            self.record(Fact::StepSkipped { step: index });
            return true;
        }
        let edited = self.recording.edited.get(name).cloned();
        let input = edited.unwrap_or_else(|| input_of(step, &self.state));
        self.play.taken.insert(name, Taken { what: what(step), input });
        match self.recorded(step) {
            Some(Recorded::Succeeded { outcome, output }) => {
                let outcomes = step.action.outcomes();
                let fits = match &outcome {
                    Some(outcome) => outcomes.contains(outcome),
                    None => {
                        matches!(&step.action, Action::Await(awaited) if awaited.outcomes.is_empty())
                            || outcomes.is_empty()
                    }
                };
                if !fits {
                    self.play.unfit.insert(name, outcome.clone());
                }
                let pivot = step.kind == StepKind::Pivot;
                self.record(Fact::StepSucceeded { step: index, outcome, output, pivot });
                true
            }
            Some(Recorded::PassedOver) => {
                self.record(Fact::StepSkipped { step: index });
                true
            }
            Some(Recorded::Failed(_)) => {
                self.failed.push(name);
                false
            }
            None => {
                self.unrecorded.push(name.to_owned());
                false
            }
        }
    }

    /// What was recorded of a step. A sleep that nothing is known of is simply over.
    fn recorded(&self, step: &Step) -> Option<Recorded> {
        let known = self.recording.results.get(&*step.name).cloned();
        match &step.action {
            Action::Call(_) | Action::Children(_) => known,
            Action::Await(awaited) => known.or_else(|| self.recording.signals.get(&*awaited.signal).cloned()),
            Action::Sleep(_) => Some(match known {
                Some(Recorded::Failed(error)) => Recorded::Failed(error),
                Some(Recorded::Succeeded { .. } | Recorded::PassedOver) | None => {
                    Recorded::Succeeded { outcome: None, output: Value::Null }
                }
            }),
        }
    }

    fn record(&mut self, fact: Fact) {
        evolve(&mut self.state, &Event { at: self.recording.started_at, fact });
    }

    fn end(&self, through: bool) -> End {
        if through {
            return End::Completed { output: self.play.definition.output.resolve(&self.state).unwrap_or_default() };
        }
        match self.failed.first() {
            Some(step) if self.state.pivot_passed => End::Stuck { step: (*step).to_owned() },
            Some(failed) => End::Compensated { failed: (*failed).to_owned(), undone: self.undone() },
            None => End::Waits { steps: self.unrecorded.clone() },
        }
    }

    fn undone(&self) -> Vec<String> {
        let steps = self.state.succeeded.iter().rev().filter_map(|index| self.play.definition.steps.get(*index));
        steps
            .filter(|step| match step.compensate {
                Compensate::Undo { .. } | Compensate::Cancel => true,
                Compensate::Waived { .. } | Compensate::None => false,
            })
            .map(|step| step.name.to_string())
            .collect()
    }
}

/// What a step does, in a word or two.
fn what(step: &Step) -> String {
    match &step.action {
        Action::Call(call) => call.name.to_string(),
        Action::Await(awaited) => format!("await {}", awaited.signal),
        Action::Sleep(_) => "sleep".to_owned(),
        Action::Children(children) => {
            let each = if children.each.is_some() { "for each " } else { "" };
            match children.version {
                Some(version) => format!("{each}{}@{version}", children.saga),
                None => format!("{each}{}", children.saga),
            }
        }
    }
}

/// What a step is given of what the saga knows.
fn input_of(step: &Step, state: &SagaState) -> Value {
    let resolved = |mapping: &Mapping| mapping.resolve(state).unwrap_or_default();
    match &step.action {
        Action::Call(call) => resolved(&call.input),
        Action::Await(_) | Action::Sleep(Sleep::For(_)) => Value::Null,
        Action::Sleep(Sleep::Until { at, time_zone, before }) => {
            json!({"until": resolved(at), "time_zone": time_zone.as_ref().map(resolved), "before_ms": before.as_millis() as u64})
        }
        Action::Children(children) => inputs_of(children, state),
    }
}

fn inputs_of(children: &Children, state: &SagaState) -> Value {
    let Some(each) = &children.each else { return children.input.resolve(state).unwrap_or_default() };
    let (total, items): (u64, &[Value]) = match each.items.look(state) {
        Some(Value::Array(items)) => (items.len() as u64, items),
        Some(count) => (count.as_u64().unwrap_or(0), &[]),
        None => (0, &[]),
    };
    let input = |index: usize| {
        let each = Each { index: u32::try_from(index).unwrap_or(u32::MAX), item: items.get(index) };
        children.input.resolve_for(state, Some(each)).unwrap_or_default()
    };
    let shown = usize::try_from(total).unwrap_or(usize::MAX).min(REHEARSED_CHILDREN_MAX);
    json!({"children": total, "inputs": (0..shown).map(input).collect::<Vec<_>>()})
}
