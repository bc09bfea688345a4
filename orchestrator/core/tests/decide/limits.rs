//! Steps whose contract is limited: they wait for their turn.

use crate::check::{PAID, Run, check};

/// A limited step that can be undone and is probed, then a limited pivot.
const FEW: &str = "
saga: test
version: 1
title: Test
input: {type: object}
deadline: 100s
cancel_with: {saga: other, input: {of: /saga/id}}
steps:
  - {name: a, call: t.few@1, kind: compensable, compensate: {undo: {timeout: 4s, retry: {attempts: 2, backoff: 1s, jitter: 0}}}, timeout: 5s, retry: {attempts: 2, backoff: 1s, jitter: 0}, on_unknown: probe}
  - {name: p, call: t.fewer@1, kind: pivot, timeout: 5s, retry: {attempts: 1, backoff: 1s, jitter: 0}}
";

#[track_caller]
fn few(script: &str) -> Run {
    check(FEW, &format!("start => started; a do queued\n{script}"))
}

#[test]
fn a_limited_step_is_sent_when_its_turn_has_come_and_its_time_counts_from_then() {
    few("
        waiting => step `a`: limited by t.few@1, waiting for its turn
        command a => -
        recover => queue a; wake 100s
        50s tick => -
        60s admitted a => a do#1 till 65s
        60s admitted a => -
        61s a do#1 ok => a ok; p do queued
        61s admitted a => -
        62s admitted p => p do#1 till 67s
        62s p do#1 ok => p ok pivot; completed
        62s admitted p => -
    ");
}

#[test]
fn every_attempt_of_every_operation_waits_for_its_turn() {
    few("
        admitted a => a do#1 till 5s
        1s a do#1 retry busy => a do again at 2s
        2s tick => a do queued
        3s admitted a => a do#2 till 8s
        8s tick => a in doubt, do timed out; a probe again at 9s in doubt
        9s tick => a probe queued
        waiting => probing step `a`: limited by t.few@1, waiting for its turn
        10s admitted a => a probe#1 till 15s
        11s a probe#1 ok => a ok; p do queued
        12s admitted p => p do#1 till 17s
        13s p do#1 failed no => p failed no; back failed; a undo queued
        waiting => undoing step `a`: limited by t.few@1, waiting for its turn
        recover => queue a
        14s admitted a => a undo#1 till 18s
        15s a undo#1 ok => a undone; compensated failed
        16s admitted a => -
    ");
}

#[test]
fn a_saga_that_turns_back_gives_up_its_place() {
    few("
        preview => before: a cancel would undo nothing |  | stays
        1s cancel => cancel requested; a failed dropped; back cancelled; compensated cancelled; told compensating
        2s admitted a => -
    ");
    few("
        admitted a => a do#1 till 5s
        1s a do#1 ok => a ok; p do queued
        100s tick => deadline passed; p failed dropped; back deadline; a undo queued
        100s admitted p => -
        101s admitted a => a undo#1 till 105s
    ");
}

#[test]
fn a_doubt_that_waits_for_its_turn_is_settled_first() {
    // A probe waits for its turn.
    few(
        "
        admitted a => a do#1 till 5s
        5s tick => a in doubt, do timed out; a probe again at 6s in doubt
        6s tick => a probe queued
        preview => before: a cancel would first settle whether `a` happened and then undo a (if it happened) | 1 undo a? | stays
        7s cancel => cancel requested; told compensating
        8s admitted a => a probe#1 till 13s
        8s a probe#1 not_happened => a undo queued
        9s admitted a => a undo#1 till 13s
        9s a undo#1 ok => a undone; back cancelled; compensated cancelled
    ",
    );
    // No trace was found and the do waits for its turn: the door is barred instead.
    few("
        admitted a => a do#1 till 5s
        5s tick => a in doubt, do timed out; a probe again at 6s in doubt
        6s tick => a probe queued
        6s admitted a => a probe#1 till 11s
        6s a probe#1 not_happened => a do again at 7s in doubt
        7s tick => a do queued
        8s cancel => cancel requested; a undo queued; told compensating
        9s admitted a => a undo#1 till 13s
        9s admitted a => -
        9s a undo#1 ok => a undone; back cancelled; compensated cancelled
    ");
}

#[test]
fn a_late_answer_ends_the_wait_for_a_turn() {
    few("
        admitted a => a do#1 till 5s
        1s a do#1 retry busy => a do again at 2s
        2s tick => a do queued
        2s a do#1 ok => a ok; p do queued
        3s admitted a => -
    ");
}

#[test]
fn paused_a_turn_is_given_back_and_asked_for_again() {
    let mut run = few("
        1s pause => paused; told pause@3
        2s admitted a => -
        recover => queue a
    ");
    assert_eq!(run.give("3s resume"), "resumed; told resume@4");
    assert_eq!(run.queued, ["a"]);
    assert_eq!(run.give("4s admitted a"), "a do#1 till 9s");
}

#[test]
fn by_hand_a_place_is_not_brought_forward() {
    few("
        1s retry => told illegal_here
        1s skip => told illegal_here
        1s resolve as succeeded => told illegal_here
        1s terminate forced => terminated; told terminate@3
        2s admitted a => -
        next => -
        recover =>
    ");
}

#[test]
fn what_is_not_limited_waits_for_nobody() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        admitted seat => -
        admitted pay => -
    ",
    );
}
