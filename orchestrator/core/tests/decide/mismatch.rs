//! A state that is not of the definition it is decided with: nothing changes and nothing panics.

use amends_core::decide::{Input, command_of, decide, resume};
use amends_core::event::{Event, Fact};
use amends_core::evolve::{begin, evolve};
use amends_core::surroundings::Surroundings;
use amends_core::view::{history_entry, view};
use amends_schemas::command::{Operation, StepError, StepResult};

use crate::check::{PAID, UNDO, check, definition, epoch, saga_id};

#[test]
fn another_definition_decides_nothing() {
    let run = check(PAID, "start => started; seat do#1 till 10s");
    let other = definition(UNDO);
    let mut state = run.state.clone();
    let result = StepResult::NotHappened;
    let inputs = [
        Input::TimeReached,
        Input::Reply { step: "d".to_owned(), operation: Operation::Do, attempt: 1, result },
        Input::ForwardCancellationAnswered { result: Ok(()) },
        Input::Admitted { step: 0 },
        Input::ParentTold,
    ];
    for input in inputs {
        let decision = decide(&other, &mut state, input, epoch());
        assert_eq!(decision, Default::default());
    }
    let cancel = Input::Cancel { by: String::new(), reason: String::new(), parent: None };
    let refused = decide(&other, &mut state, cancel, epoch()).cancellation;
    assert_eq!(refused.and_then(Result::err).map(|problem| problem.code), Some("definition_mismatch".to_owned()));
    assert_eq!(state, run.state);
    assert_eq!(resume(&other, &state), []);
    assert_eq!(command_of(&other, &state, 0, ""), None);
    assert_eq!(command_of(&run.definition, &state, 99, ""), None);
    // Reading does not panic either.
    assert_eq!(view(&other, &state, &Surroundings::default()).saga_id, saga_id());
}

#[test]
fn facts_about_steps_that_do_not_exist_are_only_counted() {
    let run = check(PAID, "start => started; seat do#1 till 10s");
    let mut state = run.state.clone();
    let at = epoch();
    let error = StepError::new("x", "x");
    let facts = [
        Fact::StepSkipped { step: 9 },
        Fact::StepSucceeded { step: usize::MAX, outcome: None, output: serde_json::Value::Null, pivot: true },
        Fact::StepStuck { step: 9, operation: Operation::Do, error, in_doubt: false },
        Fact::CancellationTurnedForward { saga_id: saga_id() },
        Fact::ForwardCancellationStarted { saga_id: saga_id() },
    ];
    for fact in facts {
        let event = Event { at, fact };
        evolve(&mut state, &event);
        assert_eq!(history_entry(&run.definition, 1, &event).step, None);
    }
    assert_eq!(state.event_count, run.state.event_count + 5);
    state.event_count = run.state.event_count;
    assert_eq!(state, run.state);
}

#[test]
fn a_saga_begins_with_its_start_and_nothing_else() {
    let event = Event { at: epoch(), fact: Fact::DeadlinePassed {} };
    assert_eq!(begin(&definition(PAID), saga_id(), &event), None);
}
