//! What users get of the main job.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::cell;
use super::cost::by_process;
use super::speed::latency;
use crate::measurement::{Measurement, Spread};
use crate::registration::Registered;

/// Writes the section.
pub fn tell(registered: &Registered, text: &mut String) {
    let _ = write!(
        text,
        "\n## Registration\n\n{}\n\n\
         The main job, not a no-op: every role of `amends` as a process of its own, each context with its database, the test gateway, a closed loop \
         through the HTTP API. A registration is reserved, paid and confirmed; it counts as confirmed when the event that says so arrives. Its invoice and \
         its message are made after that, on the same cores.\n\n\
         | in flight | confirmed/s | asked→confirmed p50 ms | p99 | p99.9 | accepted→confirmed p50 ms | p99 | p99.9 | CPU seconds per 1,000 | \
         peak memory, MiB |\n|---|---|---|---|---|---|---|---|---|---|\n",
        registered.machine.line()
    );
    let points: BTreeSet<usize> = registered.measurements.iter().map(|found| found.in_flight).collect();
    for in_flight in points {
        let of_point = registered.measurements.iter().filter(|found| found.in_flight == in_flight);
        let rounds: Vec<&Measurement> = of_point.collect();
        let cells = [
            cell(Spread::of(rounds.iter().map(|round| round.rate())), 0),
            latency(&rounds, |round| Some(round.asked_to_completed_ms)),
            latency(&rounds, |round| round.accepted_to_completed_ms),
            by_process(&rounds, |round| Some(&round.cpu_seconds), 1.0, 2),
            by_process(&rounds, |round| Some(&round.peak_memory_mib), 1.0, 0),
        ];
        let _ = writeln!(text, "| {in_flight} | {} |", cells.join(" | "));
    }
}
