//! What a saga waits for: something always, or it would hang for ever.

use amends_core::decide::{Effect, next_wakeup, resume};
use amends_core::definition::Action;
use amends_core::state::{ForwardStage, Phase};
use amends_schemas::saga::SagaStatus;

use crate::watched::Watched;

impl Watched {
    /// Whoever takes over asks again for exactly what is outstanding.
    pub fn check_resume(&self) {
        let mut wanted = Vec::new();
        for (step, now) in self.state.steps.iter().enumerate().filter(|_| !self.state.status.is_final()) {
            match now.phase {
                Phase::InFlight { .. } => wanted.push(Effect::Dispatch { step }),
                Phase::Queued { .. } => wanted.push(Effect::Queue { step }),
                _ => {}
            }
            let Some(children) = now.children.as_ref().filter(|_| now.phase.is_open()) else { continue };
            let (running, undoing): (Vec<u32>, Vec<u32>) =
                (children.running.iter().copied().collect(), children.undoing.iter().copied().collect());
            if !running.is_empty() {
                wanted.push(match children.cancelled {
                    false => Effect::StartChildren { step, children: running },
                    true => Effect::CancelChildren { step, children: running },
                });
            }
            if !undoing.is_empty() {
                wanted.push(Effect::CancelChildren { step, children: undoing });
            }
        }
        if self.state.status.is_final() && self.state.parent.as_ref().is_some_and(|parent| !parent.told) {
            wanted.push(Effect::TellParent);
        }
        let mut effects = resume(&self.definition, &self.state);
        let woken = effects.iter().position(|effect| matches!(effect, Effect::WakeAt { .. }));
        let woken = woken.map(|at| effects.remove(at));
        assert_eq!(woken, next_wakeup(&self.state).map(|at| Effect::WakeAt { at }));
        let forward = effects.iter().position(|effect| matches!(effect, Effect::StartForward { .. }));
        let forward = forward.map(|at| effects.remove(at));
        assert_eq!(forward.is_some(), self.asks_forward());
        assert_eq!(effects, wanted);
    }

    fn asks_forward(&self) -> bool {
        let forward = self.state.cancel.as_ref().and_then(|cancel| cancel.forward.as_ref());
        forward.is_some_and(|forward| matches!(forward.stage, ForwardStage::Dispatched { .. }))
    }

    /// Something moves it: an attempt, a time, a place in a queue, a child, a signal, an answer, or a person who has to.
    pub fn check_moves(&self) {
        let state = &self.state;
        let wake = next_wakeup(state);
        if state.paused {
            assert!(wake.is_none() && !state.status.is_final(), "paused, nothing moves it");
            return;
        }
        if state.status.is_final() {
            assert_eq!(wake.is_some(), self.asks_forward() && state.status == SagaStatus::Completed);
            let untold = state.parent.as_ref().is_some_and(|parent| !parent.told);
            assert_eq!(state.is_settled(), !untold && !self.asks_forward());
            return;
        }
        let moving = (0..state.steps.len()).filter(|step| self.moves(*step)).count();
        assert!(moving > 0 || state.start_at.is_some(), "nothing moves it: {state:#?}\n{}", self.definition.source);
        // What is under way has its end in sight, whatever else goes on.
        for (step, now) in state.steps.iter().enumerate() {
            let dropped = state.rewind.is_some() && matches!(now.phase, Phase::BackingOff { in_doubt: false, .. });
            assert!(
                !now.phase.is_open() || dropped || self.moves(step),
                "step {step} hangs: {state:#?}\n{}",
                self.definition.source
            );
        }
        assert_eq!(
            state.status == SagaStatus::Stuck,
            !self.steps(|phase| matches!(phase, Phase::Stuck { .. })).is_empty()
        );
    }

    /// Whether something is to come of this step.
    fn moves(&self, step: usize) -> bool {
        let now = &self.state.steps[step];
        let wake = next_wakeup(&self.state);
        let before = |at| wake.is_some_and(|wake| wake <= at);
        match &now.phase {
            Phase::InFlight { timeout_at: at, .. } | Phase::BackingOff { until: at, .. } => before(*at),
            Phase::Queued { .. } | Phase::Stuck { .. } => true,
            Phase::Waiting { until: Some(at) } => before(*at),
            Phase::Waiting { until: None } => match &self.definition.steps[step].action {
                Action::Await(awaited) => !self.state.signals.contains_key(&*awaited.signal),
                Action::Call(_) | Action::Sleep(_) | Action::Children(_) => false,
            },
            Phase::Children { .. } => now
                .children
                .as_ref()
                .is_some_and(|children| !children.running.is_empty() || !children.undoing.is_empty()),
            Phase::Pending
            | Phase::Skipped
            | Phase::Interrupted
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Undone
            | Phase::Waived => false,
        }
    }
}
