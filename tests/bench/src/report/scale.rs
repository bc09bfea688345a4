//! What many sagas do to it.

use std::fmt::Write as _;

use super::cell;
use crate::measurement::Spread;
use crate::scale::{Full, Scaled};

/// Writes the section.
pub fn tell(scaled: &Scaled, text: &mut String) {
    let _ = write!(text, "\n## Scale\n\n{}\n\n", scaled.machine.line());
    if let Some(full) = &scaled.full {
        tell_full(full, text);
    }
    let _ = writeln!(text, "| | | |\n|---|---|---|");
    if let Some(waiting) = &scaled.waiting {
        let count = waiting.saga_count;
        let _ = write!(
            text,
            "| {count} sagas sleeping until a time hours away | resident memory | {:.0} MiB, {:.0} MiB at most since the start |\n\
             | | start until all partitions are served | {:.0} ms |\n\
             | | the same after `kill -9`, the killed one's leases included | {:.0} ms |\n",
            waiting.resident_mib, waiting.peak_mib, waiting.start_ms, waiting.restart_ms
        );
    }
    if let Some(timers) = &scaled.timers {
        let count = timers.saga_count;
        let _ = write!(
            text,
            "| {count} timers due at the same moment | until all are journaled and their commands queued | {:.0} ms |\n\
             | | then, with workers started: until all sagas are completed | {:.0} ms |\n",
            timers.acted_on_ms, timers.completed_ms
        );
    }
}

fn tell_full(full: &Full, text: &mut String) {
    let rate =
        |rounds: &[crate::measurement::Measurement]| cell(Spread::of(rounds.iter().map(|round| round.rate())), 0);
    let in_flight = full.on_full.first().map(|round| round.in_flight).unwrap_or_default();
    let _ = write!(
        text,
        "Engine with {in_flight} in flight, on an empty store and on one with {count} finished sagas (decided by the core, journaled and projected by the \
         store in bulk), in interleaved rounds: **{empty}** and **{on_full}** sagas/s, a ratio of **{ratio}**. With the full store the orchestrator serves \
         {start} ms after its start. It is measured when the database has merged its files, which each start begins anew after the `kill -9` \
         of the round before ({merged} ms); while it merges, it is slower.\n\n\
         | page of 50, asked for one after the other | times | p50 ms | p99 ms | p99.9 ms | sagas on it |\n|---|---|---|---|---|---|\n",
        count = full.saga_count,
        empty = rate(&full.on_empty),
        on_full = rate(&full.on_full),
        ratio = cell(ratio(full), 2),
        start = cell(Spread::of(full.start_ms.iter().copied()), 0),
        merged = cell(Spread::of(full.merged_ms.iter().copied()), 0),
    );
    for listing in &full.listings {
        let times = listing.answered_ms;
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {:.2} | {:.0} |",
            listing.question,
            listing.asked_count,
            times.p50,
            times.p99,
            times.p999,
            listing.saga_count as f64 / listing.asked_count as f64
        );
    }
    text.push('\n');
}

/// Throughput with the full store over that with the empty one, round by round.
pub fn ratio(full: &Full) -> Option<Spread> {
    Spread::of(full.on_full.iter().zip(&full.on_empty).map(|(full, empty)| full.rate() / empty.rate()))
}
