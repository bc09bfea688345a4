//! How many, how long, and how many times that of the others.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Results, cell};
use crate::measurement::{Contender, Measurement, Percentiles, Spread};

/// Writes both tables.
pub fn tell(results: &Results, text: &mut String) {
    let _ = write!(
        text,
        "## Speed\n\nMilliseconds. *Asked* is when the client sends its request, *accepted* when its answer has come.\n\n\
         | in flight | contender | sagas/s | asked→completed p50 | p99 | p99.9 | accepted→completed p50 | p99 | p99.9 |\n\
         |---|---|---|---|---|---|---|---|---|\n"
    );
    for (in_flight, contender) in results.points() {
        let rounds = results.of(in_flight, contender);
        let rate = cell(Spread::of(rounds.iter().map(|round| round.rate())), 0);
        let asked = latency(&rounds, |round| Some(round.asked_to_completed_ms));
        let accepted = latency(&rounds, |round| round.accepted_to_completed_ms);
        let _ = writeln!(text, "| {in_flight} | {} | {rate} | {asked} | {accepted} |", contender.title());
    }
    ratios(results, text);
}

/// Three cells: the percentiles with their spread.
pub fn latency(rounds: &[&Measurement], pick: impl Fn(&Measurement) -> Option<Percentiles>) -> String {
    let found: Vec<Percentiles> = rounds.iter().filter_map(|round| pick(round)).collect();
    let of = |value: fn(&Percentiles) -> f64| cell(Spread::of(found.iter().map(value)), 2);
    [of(|found| found.p50), of(|found| found.p99), of(|found| found.p999)].join(" | ")
}

fn ratios(results: &Results, text: &mut String) {
    let _ = write!(
        text,
        "\n## Ratios\n\nThe engine's sagas/s as a multiple of the others', and its p50 (asked→completed) as a share of theirs. *SDK* is the engine with SDK \
         workers, which have databases; those of the others have none.\n\n\
         | in flight | to Restate, services | to Restate, local | to the floor | SDK to Restate, services | SDK to Restate, local | \
         p50 to Restate, services | p50 to Restate, local |\n|---|---|---|---|---|---|---|---|\n"
    );
    let in_flight: BTreeSet<usize> = results.points().into_iter().map(|(in_flight, _)| in_flight).collect();
    for in_flight in in_flight {
        let rate = |of, to| cell(results.ratio(in_flight, of, to, Measurement::rate), 2);
        let p50 =
            |to| cell(results.ratio(in_flight, Contender::Engine, to, |round| round.asked_to_completed_ms.p50), 3);
        let cells = [
            rate(Contender::Engine, Contender::RestateServices),
            rate(Contender::Engine, Contender::RestateLocal),
            rate(Contender::Engine, Contender::Floor),
            rate(Contender::EngineSdk, Contender::RestateServices),
            rate(Contender::EngineSdk, Contender::RestateLocal),
            p50(Contender::RestateServices),
            p50(Contender::RestateLocal),
        ];
        let _ = writeln!(text, "| {in_flight} | {} |", cells.join(" | "));
    }
}
