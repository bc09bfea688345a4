//! Children and the parent of the saga under test.

use amends_core::decide::{Decision, Effect, Input, child_cancel, child_ended, child_request};
use amends_core::event::Fact;
use amends_schemas::command::Operation;
use amends_schemas::family::{ChildEnded, ParentLink};
use amends_schemas::saga::SagaStatus;
use serde_json::json;

use crate::check::{Run, parent, saga_id};

impl Run {
    /// Effects on children follow from facts; nobody at work is forgotten.
    pub fn take_children(&mut self, decision: &Decision) {
        let mut started = Vec::new();
        let mut cancelled = Vec::new();
        for effect in &decision.effects {
            match effect {
                Effect::StartChildren { step, children } => {
                    started.extend(children.iter().map(|child| (*step, *child)))
                }
                Effect::CancelChildren { step, children } => {
                    cancelled.extend(children.iter().map(|child| (*step, *child)));
                }
                Effect::Dispatch { .. }
                | Effect::Queue { .. }
                | Effect::TellParent
                | Effect::StartForward { .. }
                | Effect::WakeAt { .. } => {}
            }
        }
        let mut wanted = (Vec::new(), Vec::new());
        for event in &decision.events {
            match &event.fact {
                Fact::ChildrenDispatched { step, operation, children } => {
                    let children = children.iter().map(|child| (*step, *child));
                    if *operation == Operation::Undo { wanted.1.extend(children) } else { wanted.0.extend(children) }
                }
                Fact::ChildrenHalted { step, cancelled: true } => {
                    wanted.1.extend(self.at_work.iter().filter(|(of, _)| of == step));
                }
                Fact::ChildEnded { step, child, operation: Operation::Do, .. } => {
                    self.at_work.remove(&(*step, *child));
                    wanted.1.retain(|cancelled| *cancelled != (*step, *child));
                }
                _ => {}
            }
        }
        assert_eq!((&started, &cancelled), (&wanted.0, &wanted.1), "{:#?}", decision.events);
        for (step, child) in started {
            self.at_work.insert((step, child));
            let request = child_request(&self.definition, &self.state, step, child).expect("a request");
            let ids = self.children.entry((step, child)).or_default();
            assert!(!ids.contains(&request.saga_id), "a child that is started anew is another saga");
            ids.push(request.saga_id);
        }
        for (step, child) in cancelled {
            let cancel = child_cancel(&self.definition, &self.state, step, child).expect("a request");
            assert_eq!(Some(&cancel.saga_id), self.children[&(step, child)].last());
            assert_eq!(cancel.parent.map(|parent| parent.operation), Some(Operation::Undo));
        }
    }

    /// What starts a child.
    pub fn request(&self, step: &str, child: &str) -> String {
        let index = self.definition.step_index(step).expect("a step of the definition");
        let child: u32 = child.parse().expect("a number");
        let Some(request) = child_request(&self.definition, &self.state, index, child) else { return "-".to_owned() };
        let parent = request.parent.expect("it has a parent");
        assert_eq!((parent.saga_id, &*parent.step, parent.child), (saga_id(), step, child));
        let version = request.version.map(|version| format!("@{version}")).unwrap_or_default();
        format!("{}{version} {}", request.definition, request.input)
    }

    /// What the parent is told.
    pub fn tell(&self) -> String {
        let Some(told) = child_ended(&self.definition, &self.state) else { return "-".to_owned() };
        assert_eq!((&told.parent, told.saga_id), (&parent(), saga_id()));
        match told.error {
            None => format!("{} {}", told.status.as_str(), told.output),
            Some(error) => format!("{} {}: {}", told.status.as_str(), error.code, error.message),
        }
    }

    /// `child STEP CHILD[~START] [STATUS]`, the end of a child, or of the saga that cancels it.
    pub fn child(&self, step: &str, child: &str, operation: Operation, how: &[&str]) -> Input {
        let index = self.definition.step_index(step).expect("a step of the definition");
        let (child, start) = match child.split_once('~') {
            Some((child, start)) => (child, Some(start.parse::<usize>().expect("a number"))),
            None => (child, None),
        };
        let child: u32 = child.parse().expect("a number");
        let ids = &self.children[&(index, child)];
        let id = ids[start.unwrap_or(ids.len() - 1)];
        let status = match how {
            [] => SagaStatus::Completed,
            ["compensated"] => SagaStatus::Compensated,
            ["terminated"] => SagaStatus::Terminated,
            other => panic!("no end {other:?}"),
        };
        Input::ChildEnded(ChildEnded {
            parent: ParentLink { saga_id: saga_id(), step: step.to_owned(), child, operation },
            saga_id: if operation == Operation::Undo { id.forward_cancellation() } else { id },
            status,
            output: json!({"of": child}),
            error: None,
        })
    }
}
