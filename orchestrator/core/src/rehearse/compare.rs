//! Two plays of one recording side by side.

use std::fmt;

use amends_schemas::problem::cut;
use serde_json::Value;

use super::play::{End, Play, play};
use super::recording::{Recording, RecordingError};
use crate::accept::accept;
use crate::definition::{Definition, Node};

/// Where a new definition would go another way than the old one.
#[derive(Debug, Clone, PartialEq)]
pub enum Divergence {
    /// It would not be started with this input.
    InputRefused {
        /// Why not.
        reason: String,
    },
    /// It takes a step that the old one did not, of which nothing can be known.
    Added {
        /// Which.
        step: String,
    },
    /// It does not take a step that the old one took.
    Dropped {
        /// Which.
        step: String,
    },
    /// A step does something else.
    OtherAction {
        /// Which.
        step: String,
        /// Such as `payment.capture@1`.
        was: String,
        /// Such as `payment.capture@2`.
        would_be: String,
    },
    /// A step is given another input.
    OtherInput {
        /// Which.
        step: String,
        /// The first place in it that differs.
        pointer: String,
        /// What stood there.
        was: Option<Value>,
        /// What would.
        would_be: Option<Value>,
    },
    /// A step comes in another order.
    OtherOrder {
        /// Which.
        step: String,
        /// Beside which other.
        other: String,
        /// How they stood.
        was: Order,
        /// How they would.
        would_be: Order,
    },
    /// A step had an outcome that it cannot have any more.
    OtherOutcome {
        /// Which.
        step: String,
        /// The outcome; none when it had none, and now has some.
        outcome: Option<String>,
    },
    /// It ends otherwise.
    OtherEnd {
        /// How it ended.
        was: End,
        /// How it would.
        would_be: End,
    },
    /// It answers something else.
    OtherOutput {
        /// The first place in it that differs.
        pointer: String,
        /// What stood there.
        was: Option<Value>,
        /// What would.
        would_be: Option<Value>,
    },
}

/// How a step stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is done before the other begins.
    Before,
    /// It begins when the other is done.
    After,
    /// Neither waits for the other.
    Beside,
}

/// Plays both definitions over a recording and says where they part. Empty when the new one does what the old one did, as far as
/// is recorded.
///
/// # Errors
/// [`RecordingError::Unfaithful`].
pub fn rehearse(old: &Definition, new: &Definition, recording: &Recording) -> Result<Vec<Divergence>, RecordingError> {
    let mut divergences = Vec::new();
    if let Err(problem) = accept(new, &recording.input, &recording.tags) {
        let places: Vec<String> =
            problem.errors.iter().map(|error| format!("{} {}", error.pointer, error.message)).collect();
        let reason = if places.is_empty() { problem.message } else { places.join("; ") };
        divergences.push(Divergence::InputRefused { reason });
    }
    let (old, new) = (play(old, recording), play(new, recording));
    if let Some(output) = &recording.completed
        && old.end != (End::Completed { output: output.clone() })
    {
        return Err(RecordingError::Unfaithful { end: old.end.to_string() });
    }
    for step in &new.definition.steps {
        compare_step(&old, &new, &step.name, &mut divergences);
    }
    for step in &old.definition.steps {
        let name: &str = &step.name;
        // A step that the new play did not come to may yet be taken.
        let gone = new.definition.step_index(name).is_none() || new.skipped.contains(name);
        if old.taken.contains_key(name) && gone {
            divergences.push(Divergence::Dropped { step: name.to_owned() });
        }
    }
    compare_order(&old, &new, &mut divergences);
    compare_end(&old, &new, &mut divergences);
    Ok(divergences)
}

fn compare_step(old: &Play<'_>, new: &Play<'_>, name: &str, divergences: &mut Vec<Divergence>) {
    let step = name.to_owned();
    match (old.taken.get(name), new.taken.get(name)) {
        (_, None) => return,
        (None, Some(_)) => divergences.push(Divergence::Added { step: step.clone() }),
        (Some(was), Some(would_be)) => {
            if was.what != would_be.what {
                let (was, would_be) = (was.what.clone(), would_be.what.clone());
                divergences.push(Divergence::OtherAction { step: step.clone(), was, would_be });
            }
            if let Some((pointer, was, would_be)) = first_difference(&was.input, &would_be.input) {
                divergences.push(Divergence::OtherInput { step: step.clone(), pointer, was, would_be });
            }
        }
    }
    if let Some(outcome) = new.unfit.get(name) {
        divergences.push(Divergence::OtherOutcome { step, outcome: outcome.clone() });
    }
}

/// Names each step that stands otherwise to one before it, once.
fn compare_order(old: &Play<'_>, new: &Play<'_>, divergences: &mut Vec<Divergence>) {
    let (old_places, new_places) = (places(old.definition), places(new.definition));
    let both: Vec<(&str, usize, usize)> = old
        .definition
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| (index, &*step.name))
        .filter(|(_, name)| old.taken.contains_key(name) && new.taken.contains_key(name))
        .filter_map(|(index, name)| Some((name, index, new.definition.step_index(name)?)))
        .collect();
    for (count, (name, old_index, new_index)) in both.iter().enumerate() {
        let moved = both[..count].iter().find_map(|(other, old_other, new_other)| {
            let was = order(&old_places[*old_index], &old_places[*old_other]);
            let would_be = order(&new_places[*new_index], &new_places[*new_other]);
            (was != would_be).then_some((other, was, would_be))
        });
        if let Some((other, was, would_be)) = moved {
            let (step, other) = ((*name).to_owned(), (*other).to_owned());
            divergences.push(Divergence::OtherOrder { step, other, was, would_be });
        }
    }
}

fn compare_end(old: &Play<'_>, new: &Play<'_>, divergences: &mut Vec<Divergence>) {
    match (&old.end, &new.end) {
        (End::Completed { output: was }, End::Completed { output: would_be }) => {
            if let Some((pointer, was, would_be)) = first_difference(was, would_be) {
                divergences.push(Divergence::OtherOutput { pointer, was, would_be });
            }
        }
        // It stops at a step that the old one did not take, which has been said, or where the record stops for both.
        (_, End::Waits { .. }) => {}
        (was, would_be) if was == would_be => {}
        (was, would_be) => {
            divergences.push(Divergence::OtherEnd { was: was.clone(), would_be: would_be.clone() });
        }
    }
}

/// For each step its place in the flow: the place in a sequence, the branch, the place in that branch's sequence, and so forth.
fn places(definition: &Definition) -> Vec<Vec<usize>> {
    fn go_on(flow: &[Node], path: &mut Vec<usize>, places: &mut [Vec<usize>]) {
        for (place, node) in flow.iter().enumerate() {
            path.push(place);
            match node {
                Node::Step(index) => places[*index].clone_from(path),
                Node::Parallel(branches) => {
                    for (branch, flow) in branches.iter().enumerate() {
                        path.push(branch);
                        go_on(flow, path, places);
                        path.pop();
                    }
                }
            }
            path.pop();
        }
    }
    let mut places = vec![Vec::new(); definition.steps.len()];
    go_on(&definition.flow, &mut Vec::new(), &mut places);
    places
}

fn order(step: &[usize], other: &[usize]) -> Order {
    let parting = step.iter().zip(other).enumerate().find(|(_, (step, other))| step != other);
    match parting {
        // Places in sequences and branches take turns.
        Some((depth, (step, other))) if depth % 2 == 0 => {
            if step < other {
                Order::Before
            } else {
                Order::After
            }
        }
        Some(_) | None => Order::Beside,
    }
}

/// The first place where two values differ, as a JSON Pointer, with what stands there.
fn first_difference(was: &Value, would_be: &Value) -> Option<(String, Option<Value>, Option<Value>)> {
    fn go_on(
        was: Option<&Value>,
        would_be: Option<&Value>,
        path: &mut String,
    ) -> Option<(String, Option<Value>, Option<Value>)> {
        if was == would_be {
            return None;
        }
        let keys: Vec<String> = match (was, would_be) {
            (Some(Value::Object(was)), Some(Value::Object(would_be))) => {
                was.keys().chain(would_be.keys().filter(|key| !was.contains_key(*key))).cloned().collect()
            }
            (Some(Value::Array(was)), Some(Value::Array(would_be))) => {
                (0..was.len().max(would_be.len())).map(|place| place.to_string()).collect()
            }
            _ => return Some((path.clone(), was.cloned(), would_be.cloned())),
        };
        keys.into_iter().find_map(|key| {
            let length = path.len();
            let token = key.replace('~', "~0").replace('/', "~1");
            path.push('/');
            path.push_str(&token);
            let pointer = format!("/{token}");
            let of = |value: Option<&'_ Value>| value.and_then(|value| value.pointer(&pointer)).cloned();
            let found = go_on(of(was).as_ref(), of(would_be).as_ref(), path);
            path.truncate(length);
            found
        })
    }
    go_on(Some(was), Some(would_be), &mut String::new())
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Divergence::InputRefused { reason } => write!(f, "would not be started with this input: {reason}"),
            Divergence::Added { step } => write!(f, "`{step}` would be taken; nothing is recorded of it"),
            Divergence::Dropped { step } => write!(f, "`{step}` would not be taken"),
            Divergence::OtherAction { step, was, would_be } => write!(f, "`{step}` was {was}, would be {would_be}"),
            Divergence::OtherInput { step, pointer, was, would_be } => {
                write!(
                    f,
                    "`{step}` would be given another input: {}",
                    changed(pointer, was.as_ref(), would_be.as_ref())
                )
            }
            Divergence::OtherOrder { step, other, was, would_be } => {
                write!(f, "`{step}` came {was} `{other}`, would come {would_be} it")
            }
            Divergence::OtherOutcome { step, outcome: Some(outcome) } => {
                write!(f, "`{step}` was `{outcome}`, which it cannot be any more")
            }
            Divergence::OtherOutcome { step, outcome: None } => {
                write!(f, "`{step}` had no outcome, and would need one")
            }
            Divergence::OtherEnd { was, would_be } => write!(f, "was {was}, would be {would_be}"),
            Divergence::OtherOutput { pointer, was, would_be } => {
                write!(f, "would answer something else: {}", changed(pointer, was.as_ref(), would_be.as_ref()))
            }
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::Before => "before",
            Order::After => "after",
            Order::Beside => "at the same time as",
        })
    }
}

fn changed(pointer: &str, was: Option<&Value>, would_be: Option<&Value>) -> String {
    let said = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), |value| cut(value.to_string()));
    let place = if pointer.is_empty() { "all of it" } else { pointer };
    format!("{place} was {}, would be {}", said(was), said(would_be))
}
