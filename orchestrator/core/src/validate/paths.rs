//! Kinds of steps along every combination of outcomes: at most one pivot, before it only what can be undone, after it only
//! what succeeds in the end. All branches of a `parallel` are taken, so the steps are walked one after the other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::finding::Reader;
use super::known::Known;
use super::tree::Place;
use crate::definition::{Action, Condition, Step, StepKind};

/// Most combinations of outcomes one definition may have: beyond this neither a person nor a checker sees through it.
pub const PATHS_MAX: usize = 4_096;

/// The slip of an `await` that may fail where nothing may fail any more.
const LATE_AFTER_PIVOT: &str = "timeout_after_pivot";

/// How a step stands on a path.
#[derive(Debug, Clone, PartialEq)]
enum Stand {
    Skipped,
    /// Taken; with its outcome when anything depends on it.
    Taken(Option<String>),
}

/// A walk over all paths.
struct Walk<'w> {
    steps: &'w [Step],
    /// The ways in which each step that a condition asks about may succeed; but one for the others.
    ends: Vec<Vec<Option<String>>>,
    /// The input fields that conditions ask about, each with one assumed value (`None` is any other).
    fields: BTreeMap<&'w str, Option<&'w Value>>,
    stands: Vec<Stand>,
    paths: usize,
    slips: BTreeSet<(usize, &'static str)>,
    messages: BTreeMap<(usize, &'static str), String>,
}

impl Reader<'_> {
    /// Checks kinds along every path and reports each slip once, with the first path that shows it.
    pub(super) fn check_paths(&mut self, steps: &[Step], known: &[Known<'_>]) {
        let asked = |index: usize| {
            let conditions = steps.iter().flat_map(|step| &step.when);
            conditions
                .filter_map(|condition| match condition {
                    Condition::Outcome { step, .. } => Some(*step),
                    Condition::Input { .. } => None,
                })
                .any(|step| step == index)
        };
        let ends = known.iter().enumerate();
        let ends = ends.map(|(index, step)| if asked(index) { step.ends() } else { vec![None] }).collect();
        let mut walk = Walk {
            steps,
            ends,
            fields: BTreeMap::new(),
            stands: Vec::new(),
            paths: 0,
            slips: BTreeSet::new(),
            messages: BTreeMap::new(),
        };
        if !walk.assume(&asked_fields(steps)) {
            let at = known.first().map_or(Place::START, |step| step.node.at);
            self.report::<()>(
                at,
                "too_many_paths",
                format!("its conditions make more than {PATHS_MAX} combinations; split it into several sagas"),
            );
        }
        for ((index, code), message) in walk.messages {
            let member = if code == LATE_AFTER_PIVOT { "timeout" } else { "kind" };
            let at = known.get(index).and_then(|step| step.node.get(member)).map(|node| node.at);
            self.report::<()>(at.unwrap_or(Place::START), code, message);
        }
    }
}

/// The fields of the input that conditions compare, with the values they are compared to.
fn asked_fields(steps: &[Step]) -> Vec<(&str, Vec<&Value>)> {
    let mut fields: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for condition in steps.iter().flat_map(|step| &step.when) {
        match condition {
            Condition::Outcome { .. } => {}
            Condition::Input { pointer, any_of } => {
                let values = fields.entry(pointer).or_default();
                for value in any_of {
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
            }
        }
    }
    fields.into_iter().collect()
}

impl<'w> Walk<'w> {
    /// Walks on for every value of the first field, and so forth. `false` when there are too many paths.
    fn assume(&mut self, fields: &[(&'w str, Vec<&'w Value>)]) -> bool {
        let Some(((field, values), rest)) = fields.split_first() else { return self.go_on() };
        let assumed = values.iter().copied().map(Some).chain([None]);
        for value in assumed {
            self.fields.insert(field, value);
            if !self.assume(rest) {
                return false;
            }
        }
        true
    }

    /// Walks on from the steps decided so far.
    fn go_on(&mut self) -> bool {
        let index = self.stands.len();
        if index == self.steps.len() {
            self.paths += 1;
            self.check();
            return self.paths < PATHS_MAX;
        }
        let stands = if !self.holds(index) {
            vec![Stand::Skipped]
        } else {
            self.ends[index].iter().cloned().map(Stand::Taken).collect()
        };
        for stand in stands {
            self.stands.push(stand);
            let few = self.go_on();
            self.stands.pop();
            if !few {
                return false;
            }
        }
        true
    }

    fn holds(&self, index: usize) -> bool {
        self.steps[index].when.iter().all(|condition| match condition {
            Condition::Outcome { step, any_of } => match self.stands.get(*step) {
                Some(Stand::Taken(Some(outcome))) => any_of.contains(outcome),
                Some(Stand::Taken(None) | Stand::Skipped) | None => false,
            },
            Condition::Input { pointer, any_of } => {
                matches!(self.fields.get(pointer.as_str()), Some(Some(value)) if any_of.contains(value))
            }
        })
    }

    /// Checks one path.
    fn check(&mut self) {
        let mut pivot: Option<usize> = None;
        for index in 0..self.steps.len() {
            if self.stands[index] == Stand::Skipped {
                continue;
            }
            let step = &self.steps[index];
            match (step.kind, pivot) {
                (StepKind::Compensable | StepKind::Wait, None) | (StepKind::Retriable, Some(_)) => {}
                (StepKind::Wait, Some(first)) => {
                    if let Action::Await(awaited) = &step.action
                        && awaited.timeout.is_some()
                        && awaited.on_timeout.is_none()
                    {
                        let first = &self.steps[first].name;
                        self.slip(index, LATE_AFTER_PIVOT, format!(
                            "`{}` comes after the pivot `{first}`, where nothing may fail, and would when its time is over; \
                             say what happens then with `on_timeout`, or leave `timeout` out",
                            step.name
                        ));
                    }
                }
                (StepKind::Pivot, None) => pivot = Some(index),
                (StepKind::Pivot, Some(first)) => {
                    let first = &self.steps[first].name;
                    self.slip(index, "second_pivot", format!(
                        "`{}` is a second pivot after `{first}`; there is one point of no return: make it `retriable`, or \
                         keep the two apart with `when`",
                        step.name
                    ));
                }
                (StepKind::Compensable, Some(first)) => {
                    let first = &self.steps[first].name;
                    self.slip(index, "not_retriable_after_pivot", format!(
                        "`{}` comes after the pivot `{first}` and cannot be compensable; make it `retriable`, or move it \
                         before `{first}`",
                        step.name
                    ));
                }
                (StepKind::Retriable, None) => {
                    self.slip(index, "retriable_before_pivot", format!(
                        "`{}` is retriable, but no pivot comes before it; make it `compensable`, or make the step that \
                         decides the `pivot`",
                        step.name
                    ));
                }
            }
        }
    }

    fn slip(&mut self, index: usize, code: &'static str, message: String) {
        if self.slips.insert((index, code)) {
            self.messages.insert((index, code), format!("{message}{}", self.path()));
        }
    }

    /// The choices that led here, for people.
    fn path(&self) -> String {
        let outcomes = self.steps.iter().zip(&self.stands).filter_map(|(step, stand)| match stand {
            Stand::Taken(Some(outcome)) => Some(format!("`{}` is `{outcome}`", step.name)),
            Stand::Taken(None) | Stand::Skipped => None,
        });
        let fields = self.fields.iter().map(|(field, value)| match value {
            Some(value) => format!("`{field}` is {value}"),
            None => format!("`{field}` is anything else"),
        });
        let choices: Vec<String> = fields.chain(outcomes).collect();
        if choices.is_empty() { String::new() } else { format!(" (when {})", choices.join(" and ")) }
    }
}
