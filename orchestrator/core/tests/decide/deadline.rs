//! The deadline: before the pivot it turns the saga back, after it it changes nothing.

use crate::check::{PAID, check};

#[test]
fn in_flight_it_waits_and_then_turns_back() {
    let yaml = PAID.replacen("deadline: 100s", "deadline: 5s", 1);
    check(
        &yaml,
        "
        start => started; seat do#1 till 10s
        next => 5s
        5s tick => deadline passed
        next => 10s
        5s tick => -
        6s seat do#1 ok paid => seat ok:paid; back deadline; seat undo#1 till 10s
        7s seat undo#1 ok => seat undone; compensated deadline
    ",
    );
}

#[test]
fn while_backing_off_it_drops_the_step_even_when_both_are_due() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        1s pay do#1 retry busy after 99s => pay do again at 100s
        100s tick => deadline passed; pay failed busy; back deadline; seat undo#1 till 104s
    ",
    );
}

#[test]
fn in_doubt_it_waits_until_the_doubt_is_settled() {
    let yaml = PAID.replacen("deadline: 100s", "deadline: 8s", 1);
    check(
        &yaml,
        "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        5s tick => pay in doubt, do timed out; pay probe again at 6s in doubt
        6s tick => pay probe#1 till 11s
        8s tick => deadline passed
        9s pay probe#1 not_happened => pay undo#1 till 14s
        10s pay undo#1 ok => pay undone; back deadline; seat undo#1 till 14s
    ",
    );
}

#[test]
fn a_pivot_that_succeeds_after_it_goes_forward() {
    let yaml = PAID.replacen("deadline: 100s", "deadline: 3s", 1);
    check(
        &yaml,
        "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        3s tick => deadline passed
        4s pay do#1 ok => pay ok pivot; confirm do#1 till 9s
        5s confirm do#1 ok => confirm ok; completed
    ",
    );
}

#[test]
fn after_the_pivot_it_is_not_even_waited_for() {
    check(
        PAID,
        "
        start => started; seat do#1 till 10s
        seat do#1 ok paid => seat ok:paid; pay do#1 till 5s
        pay do#1 ok => pay ok pivot; confirm do#1 till 5s
        1s confirm do#1 retry busy after 200s => confirm do again at 201s
        next => 201s
        100s tick => -
        201s tick => confirm do#2 till 206s
    ",
    );
}

#[test]
fn whichever_came_first_is_the_reason() {
    let yaml = PAID.replacen("deadline: 100s", "deadline: 5s", 1);
    check(
        &yaml,
        "
        start => started; seat do#1 till 10s
        5s tick => deadline passed
        6s cancel => cancel requested; told compensating
        7s seat do#1 failed full => seat failed full; back deadline; compensated deadline
    ",
    );
    check(
        &yaml,
        "
        start => started; seat do#1 till 10s
        4s cancel => cancel requested; told compensating
        5s tick => deadline passed
        7s seat do#1 failed full => seat failed full; back cancelled; compensated cancelled
    ",
    );
}
