//! A saga with all its facts, and what must hold after every one.

use std::collections::BTreeSet;

use amends_core::decide::{
    Decision, Effect, Input, child_cancel, child_ended, child_request, command_of, decide, next_wakeup, start,
};
use amends_core::definition::{Compensate, Definition, Node, OnUnknown};
use amends_core::event::{Event, Fact};
use amends_core::evolve::{begin, evolve};
use amends_core::state::{Phase, SagaState};
use amends_core::surroundings::Surroundings;
use amends_core::view::{history_entry, summary, view, waiting_for};
use amends_schemas::command::Operation;
use amends_schemas::ids::SagaId;
use amends_schemas::saga::{Cancellation, SagaStatus};
use chrono::{DateTime, Utc};

use crate::definitions::{Choices, epoch, saga_id, written};

pub struct Watched {
    pub definition: Definition,
    pub state: SagaState,
    pub events: Vec<Event>,
    pub now: DateTime<Utc>,
    /// How many acts there were.
    pub operations: u128,
    /// Every id under which a child was started.
    started: BTreeSet<SagaId>,
    /// Whether somebody who cancelled was told that amends are made.
    amends_promised: bool,
}

impl Drop for Watched {
    /// What led there, for whoever has to mend it: proptest prints the smallest case last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let facts: Vec<String> = self.events.iter().map(|event| format!("{:?}", event.fact)).collect();
            eprintln!("{}\n{:?}\n{}\n", self.definition.source, self.state.input, facts.join("\n"));
        }
    }
}

impl Watched {
    pub fn start(choices: &mut Choices<'_>) -> Self {
        let (definition, given) = written(choices);
        let (state, decision) = start(&definition, saga_id(), given, epoch());
        let before = begin(&definition, saga_id(), &decision.events[0]).expect("begins");
        let mut watched = Self {
            definition,
            state,
            events: Vec::new(),
            now: epoch(),
            operations: 0,
            started: BTreeSet::new(),
            amends_promised: false,
        };
        watched.take(before, decision);
        watched
    }

    /// The steps in such a phase.
    pub fn steps(&self, wanted: impl Fn(&Phase) -> bool) -> Vec<usize> {
        (0..self.state.steps.len()).filter(|step| wanted(&self.state.steps[*step].phase)).collect()
    }

    pub fn name_of(&self, event: &Event) -> String {
        history_entry(&self.definition, 1, event).event
    }

    /// Takes one input.
    pub fn give(&mut self, input: Input) {
        let before = self.state.clone();
        let foreign = match &input {
            Input::Reply { step, operation, attempt, .. } => self
                .definition
                .step_index(step)
                .is_some_and(|step| *attempt <= before.steps[step].earlier.of(*operation)),
            _ => false,
        };
        let decision = decide(&self.definition, &mut self.state, input, self.now);
        assert!(!foreign || decision.events.is_empty(), "an answer of an earlier round counts for nothing");
        let refused = decision.operated.as_ref().is_some_and(Result::is_err)
            || decision.signalled.as_ref().is_some_and(Result::is_err)
            || decision.cancellation.as_ref().is_some_and(Result::is_err);
        assert!(
            !refused || (decision.events.is_empty() && decision.effects.is_empty()),
            "what is refused changes nothing"
        );
        self.amends_promised |= matches!(decision.cancellation, Some(Ok(Cancellation::Compensating { .. })));
        self.take(before, decision);
    }

    /// Takes a decision and checks what must hold after every one.
    fn take(&mut self, before: SagaState, decision: Decision) {
        let mut state = before.clone();
        for event in &decision.events {
            let first = self.events.is_empty();
            self.check_fact(&state, &event.fact);
            if !first {
                evolve(&mut state, event);
            }
            self.events.push(event.clone());
        }
        assert_eq!(state, self.state, "the facts say all there is");
        self.check_effects(&before, &decision);
        self.check_bounds();
        self.check_resume();
        self.check_moves();
        self.check_view();
        self.check_preview();
    }

    /// What a fact may follow on.
    fn check_fact(&self, state: &SagaState, fact: &Fact) {
        if state.status.is_final() {
            let after = matches!(
                fact,
                Fact::ParentTold {}
                    | Fact::CancelRequested { forward: Some(_), .. }
                    | Fact::CancelRequestedAgain { .. }
                    | Fact::CancellationAdopted { .. }
                    | Fact::ForwardCancellationDispatched { .. }
                    | Fact::ForwardCancellationStarted { .. }
                    | Fact::ForwardCancellationRefused { .. }
            );
            assert!(after, "after the end: {fact:?}");
        }
        if let Fact::StepFailed { step, .. }
        | Fact::StepInterrupted { step, .. }
        | Fact::StepSucceeded { step, .. }
        | Fact::StepUndone { step }
        | Fact::StepPassedOver { step, .. } = fact
        {
            self.check_nobody_in_doubt(*step);
        }
        match fact {
            Fact::ChildEnded { error: Some(error), operation: Operation::Do, in_doubt, .. } => {
                assert_eq!(
                    error.code == "child_terminated",
                    *in_doubt,
                    "what was ended by hand is not known to have failed"
                );
            }
            Fact::StepDispatched { step, operation: Operation::Undo, .. }
            | Fact::StepQueued { step, operation: Operation::Undo }
            | Fact::ChildrenDispatched { step, operation: Operation::Undo, .. } => self.check_undo(state, *step),
            Fact::StepDispatched { step, operation: Operation::Do, .. }
            | Fact::WaitStarted { step, .. }
            | Fact::ChildrenStarted { step, .. } => {
                self.check_turn(state, *step);
            }
            Fact::StepSucceeded { pivot: true, .. } | Fact::SagaCompleted { .. } => {
                assert!(!self.amends_promised, "somebody was told that amends are made");
            }
            Fact::StepPassedOver { step, operation, .. } => {
                assert!(!state.steps[*step].phase.in_doubt(), "nobody skips a doubt");
                assert!(state.pivot_passed || *operation == Operation::Undo, "nor a step before the pivot");
            }
            Fact::StepFailed { step, .. } | Fact::StepInterrupted { step, .. } => {
                assert!(!state.pivot_passed, "behind the pivot nothing fails: {step}");
            }
            _ => {}
        }
    }

    /// A step has no end while nobody has said what its children did that were ended by hand.
    fn check_nobody_in_doubt(&self, step: usize) {
        let of_step = self.events.iter().rev().filter(|event| event.fact.step() == Some(step));
        let mut since = of_step.take_while(|event| !matches!(event.fact, Fact::StepResolved { .. }));
        let in_doubt = since.any(|event| matches!(event.fact, Fact::ChildEnded { in_doubt: true, .. }));
        assert!(!in_doubt, "step {step} comes to an end though a child is in doubt");
    }

    /// Nothing is undone past the pivot, nothing in doubt but to bar it, and nothing before what came after it.
    fn check_undo(&self, state: &SagaState, step: usize) {
        assert!(!state.pivot_passed, "no undo past the pivot");
        assert!(!state.paused);
        let phase = &state.steps[step].phase;
        let declared = &self.definition.steps[step];
        if phase.in_doubt() {
            let call = declared.call().expect("only calls are in doubt");
            assert!(call.has_undo && call.on_unknown == OnUnknown::Probe, "an undo in doubt that bars nothing");
            assert!(state.turning_back().is_some(), "the door is barred only on the way back");
            return;
        }
        assert!(state.reason.is_some() || state.rewind.is_some(), "it does not turn back");
        // One that is tried again was begun in its turn; what came after it may have answered late, that it happened after all.
        if matches!(phase, Phase::BackingOff { operation: Operation::Undo, .. }) {
            return;
        }
        for later in (0..state.steps.len()).filter(|later| self.comes_before(step, *later)) {
            let undoable =
                matches!(self.definition.steps[later].compensate, Compensate::Undo { .. } | Compensate::Cancel);
            let open = match &state.steps[later].phase {
                Phase::Succeeded | Phase::Interrupted => undoable,
                Phase::BackingOff { operation: Operation::Do, in_doubt: false, .. } => false,
                phase => phase.is_open(),
            };
            assert!(!open, "step {step} is undone before step {later}, which came after it: {state:#?}");
        }
    }

    /// A step is begun when all before it are done, and none is once the saga wants to turn back.
    fn check_turn(&self, state: &SagaState, step: usize) {
        assert!(!state.paused);
        for earlier in (0..state.steps.len()).filter(|earlier| self.comes_before(*earlier, step)) {
            let done = matches!(state.steps[earlier].phase, Phase::Succeeded | Phase::Skipped);
            assert!(done, "step {step} is begun before step {earlier} is done");
        }
        let doubt = state.steps[step].phase.in_doubt();
        assert!(
            doubt || (state.turning_back().is_none() && state.rewind.is_none()),
            "begun on the way back: step {step}"
        );
    }

    /// Whether one step comes before another on every way through the flow.
    fn comes_before(&self, step: usize, other: usize) -> bool {
        fn within(nodes: &[Node], step: usize, other: usize) -> bool {
            let place = |step: usize| nodes.iter().position(|node| node.holds(step));
            match (place(step), place(other)) {
                (Some(one), Some(two)) if one == two => match &nodes[one] {
                    Node::Step(_) => false,
                    Node::Parallel(branches) => branches.iter().any(|branch| within(branch, step, other)),
                },
                (Some(one), Some(two)) => one < two,
                _ => false,
            }
        }
        within(&self.definition.flow, step, other)
    }

    fn check_effects(&mut self, before: &SagaState, decision: &Decision) {
        for (at, effect) in decision.effects.iter().enumerate() {
            let acts = !matches!(effect, Effect::WakeAt { .. } | Effect::TellParent);
            assert!(!(self.state.paused && acts), "nothing is done while it is paused: {effect:?}");
            assert!(!decision.effects[..at].contains(effect), "once is enough: {effect:?}");
            match effect {
                Effect::Dispatch { step } => {
                    let command = command_of(&self.definition, &self.state, *step, "reply");
                    assert!(command.is_some(), "what is dispatched is in flight");
                }
                Effect::Queue { step } => assert!(matches!(self.state.steps[*step].phase, Phase::Queued { .. })),
                Effect::StartChildren { step, children } => {
                    for child in children {
                        let request = child_request(&self.definition, &self.state, *step, *child).expect("a request");
                        assert!(self.started.insert(request.saga_id), "no child is started twice by the way");
                    }
                }
                Effect::CancelChildren { step, children } => {
                    for child in children {
                        let cancel = child_cancel(&self.definition, &self.state, *step, *child).expect("a request");
                        assert!(self.started.contains(&cancel.saga_id), "only what was started is cancelled");
                    }
                }
                Effect::TellParent => assert!(child_ended(&self.definition, &self.state).is_some()),
                Effect::StartForward { .. } => assert_eq!(self.state.status, SagaStatus::Completed),
                Effect::WakeAt { at } => assert_eq!(next_wakeup(&self.state), Some(*at)),
            }
        }
        let ended = self.state.status.is_final() && !before.status.is_final();
        assert_eq!(decision.effects.contains(&Effect::TellParent), ended && self.state.parent.is_some());
        let woken = decision.effects.iter().any(|effect| matches!(effect, Effect::WakeAt { .. }));
        let wake = next_wakeup(&self.state);
        let first = self.events.iter().filter(|event| matches!(event.fact, Fact::SagaStarted { .. })).count()
            == self.events.len();
        assert!(woken || wake.is_none() || first || wake == next_wakeup(before), "asks to be woken when that changes");
    }

    fn check_bounds(&self) {
        for (step, now) in self.definition.steps.iter().zip(&self.state.steps) {
            let (Some(declared), Some(children)) = (step.children(), &now.children) else { continue };
            let most = declared.each.as_ref().map_or(1, |each| each.concurrency) as usize;
            assert!(children.running.len() <= most && children.undoing.len() <= most, "more at once than is said");
            // Each is at one place.
            let undone = (0..children.total)
                .filter(|child| children.undone.contains(*child) && !children.running.contains(child));
            let placed = children.waiting() as usize
                + children.running.len()
                + (children.completed.count() + children.failed.count() + children.in_doubt.count()) as usize
                + undone.count();
            assert_eq!(placed, children.total as usize, "{children:?}");
        }
    }

    fn check_view(&self) {
        let sentence = waiting_for(&self.definition, &self.state, &Surroundings::default());
        assert_eq!(sentence.is_none(), self.state.is_settled(), "{sentence:?}");
        if let Some(sentence) = &sentence {
            assert!(!sentence.contains("between two steps") && !sentence.contains('\n'), "{sentence}");
        }
        let seen = view(&self.definition, &self.state, &Surroundings::default());
        assert_eq!(seen.waiting_for, summary(&self.definition, &self.state, &Surroundings::default()).waiting_for);
        assert_eq!(seen.steps.len(), self.definition.steps.len());
    }

    pub fn check_replay(&self) {
        let mut replayed = begin(&self.definition, saga_id(), &self.events[0]).expect("begins");
        for event in &self.events[1..] {
            let packed = rmp_serde::to_vec_named(event).expect("writes");
            evolve(&mut replayed, &rmp_serde::from_slice(&packed).expect("reads"));
        }
        assert_eq!(replayed, self.state);
        let written = serde_json::to_string(&self.state).expect("writes");
        assert_eq!(serde_json::from_str::<SagaState>(&written).expect("reads"), self.state);
    }
}
