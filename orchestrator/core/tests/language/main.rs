//! The whole language under anything that may happen: random definitions, random inputs in random order, and what must hold after each.

mod definitions;
mod ends;
mod moves;
mod outstanding;
mod rehearsed;
mod watched;

use std::collections::BTreeSet;

use amends_core::event::Fact;
use amends_schemas::saga::SagaStatus;
use proptest::prelude::*;

use crate::definitions::Choices;
use crate::watched::Watched;

/// Cases: enough that every feature meets every other, in seconds of a debug build.
const CASES: u32 = 1_000;

/// Things that happen to one saga before it is let come to its end.
const MOVES_MAX: usize = 80;

/// Choices that make one definition.
const CHOICES_MAX: usize = 120;

/// Choices that make one thing that happens.
const CHOICES_OF_MOVE: usize = 6;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_and_whatever_happens_a_saga_holds_its_promises_and_comes_to_its_end(
        written in prop::collection::vec(any::<u8>(), 0..CHOICES_MAX),
        happens in prop::collection::vec(any::<[u8; CHOICES_OF_MOVE]>(), 0..MOVES_MAX),
    ) {
        let mut watched = Watched::start(&mut Choices::new(&written));
        for bytes in happens {
            watched.happen(&mut Choices::new(&bytes));
        }
        watched.check_replay();
        watched.come_to_an_end();
        watched.check_replay();
        prop_assert!(watched.state.status.is_final() && watched.state.is_settled(), "{:#?}", watched.state);
        watched.check_end();
        rehearsed::check(&watched);
    }
}

/// Sagas of the reach test: enough that the rarest fact is seen several times.
const SEEDS: u64 = 400;

/// Bytes that look like chance and are the same each time (SplitMix64, Steele et al. 2014).
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = (0..(CHOICES_MAX + CHOICES_OF_MOVE * MOVES_MAX).div_ceil(8)).map(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    });
    words.flat_map(u64::to_le_bytes).collect()
}

/// The random definitions hold what they are to be tried with.
#[test]
fn the_definitions_reach_every_part_of_the_language() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let bytes = bytes(seed);
        let mut watched = Watched::start(&mut Choices::new(&bytes[..CHOICES_MAX]));
        for chunk in bytes[CHOICES_MAX..].chunks(CHOICES_OF_MOVE) {
            watched.happen(&mut Choices::new(chunk));
        }
        watched.come_to_an_end();
        seen.extend(watched.events.iter().map(|event| watched.name_of(event)));
        if watched.events.iter().any(|event| matches!(event.fact, Fact::ChildEnded { in_doubt: true, .. })) {
            seen.insert("a child in doubt".to_owned());
        }
        seen.insert(watched.state.status.as_str().to_owned());
    }
    for wanted in [
        "start_time_reached",
        "step_skipped",
        "step_queued",
        "wait_started",
        "signal_received",
        "children_started",
        "children_dispatched",
        "child_ended",
        "a child in doubt",
        "children_halted",
        "step_interrupted",
        "step_dispatched",
        "step_succeeded",
        "step_failed",
        "step_in_doubt",
        "retry_scheduled",
        "step_undone",
        "compensation_waived",
        "step_stuck",
        "cancel_requested",
        "deadline_passed",
        "compensation_started",
        "forward_cancellation_dispatched",
        "saga_completed",
        "parent_told",
        "saga_compensated",
        "saga_paused",
        "saga_resumed",
        "retry_ordered",
        "rewind_ordered",
        "rewound",
        "step_passed_over",
        "input_edited",
        "step_resolved",
    ] {
        assert!(seen.contains(wanted), "`{wanted}` never happened");
    }
    for wanted in [SagaStatus::Completed, SagaStatus::Compensated, SagaStatus::Terminated] {
        assert!(seen.contains(wanted.as_str()));
    }
}
