//! What a saga costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Results, cell};
use crate::fsyncs;
use crate::measurement::{Journal, Measurement, Spread};

/// Writes the table.
pub fn tell(results: &Results, text: &mut String) {
    let _ = write!(
        text,
        "\n## Cost\n\nBy process, and in all. Fsyncs: {}. *Journal records* are the engine's own count of its commits, *view commits* those of the view \
         that is projected from them; several of them may share an fsync.\n\n\
         | in flight | contender | CPU seconds per 1,000 sagas | fsyncs per saga | journal records per saga | view commits per saga | \
         journal bytes per saga | written to disk per saga, KiB | peak memory, MiB |\n|---|---|---|---|---|---|---|---|---|\n",
        fsyncs::HOW
    );
    for (in_flight, contender) in results.points() {
        let rounds = results.of(in_flight, contender);
        let journal = |pick: fn(&Journal) -> f64, digits| {
            cell(Spread::of(rounds.iter().filter_map(|round| round.journal.as_ref().map(pick))), digits)
        };
        let cells = [
            by_process(&rounds, |round| Some(&round.cpu_seconds), 1.0, 2),
            by_process(&rounds, |round| round.fsyncs.as_ref(), 1.0, 3),
            journal(|journal| journal.records, 3),
            journal(|journal| journal.projections, 4),
            journal(|journal| journal.bytes, 0),
            by_process(&rounds, |round| Some(&round.written_bytes), 1.0 / 1024.0, 1),
            by_process(&rounds, |round| Some(&round.peak_memory_mib), 1.0, 0),
        ];
        let _ = writeln!(text, "| {in_flight} | {} | {} |", contender.title(), cells.join(" | "));
    }
}

/// The sum with its spread, then the median of each process.
pub fn by_process<'a>(
    rounds: &[&'a Measurement],
    pick: impl Fn(&'a Measurement) -> Option<&'a BTreeMap<String, f64>>,
    factor: f64,
    digits: usize,
) -> String {
    let found: Vec<&BTreeMap<String, f64>> = rounds.iter().filter_map(|round| pick(round)).collect();
    let names: BTreeSet<&String> = found.iter().flat_map(|values| values.keys()).collect();
    let each = names.into_iter().filter_map(|name| {
        let median = Spread::of(found.iter().filter_map(|values| values.get(name)).map(|value| value * factor))?.median;
        (median > 0.0).then(|| format!("{name} {median:.digits$}"))
    });
    let each = each.collect::<Vec<_>>().join(", ");
    let sum = cell(Spread::of(found.iter().map(|values| values.values().sum::<f64>() * factor)), digits);
    if each.is_empty() { sum } else { format!("{sum}: {each}") }
}
