//! What we set out to reach, and whether this run reached it.

use std::fmt::Write as _;

use super::scale::ratio;
use super::{Results, cell};
use crate::measurement::{Contender, Measurement, Spread};

/// Sagas in flight at which throughput is compared.
const BUSY: usize = 256;

/// Sagas in flight at which latency is compared.
const ALONE: usize = 1;

/// Finished sagas that shall not matter.
const MILLION: usize = 1_000_000;

/// Sagas that shall be able to wait.
const MANY_WAITING: usize = 100_000;

/// One target.
struct Target {
    title: String,
    found: Option<Spread>,
    digits: usize,
    wanted: Wanted,
}

/// On which side of what it shall lie.
enum Wanted {
    /// As good as the first; the second is the least that will do.
    AtLeast(f64, f64),
    /// This at most.
    AtMost(f64),
}

impl Wanted {
    fn title(&self) -> String {
        match self {
            Wanted::AtLeast(good, least) if good > least => format!("{good}, at the least {least}"),
            Wanted::AtLeast(good, _) => format!("{good} or more"),
            Wanted::AtMost(most) => format!("{most} or less"),
        }
    }

    fn verdict(&self, found: f64) -> &'static str {
        match *self {
            Wanted::AtLeast(good, _) if found >= good => "**met**",
            Wanted::AtLeast(_, least) if found >= least => "the least is met",
            Wanted::AtMost(most) if found <= most => "**met**",
            Wanted::AtLeast(..) | Wanted::AtMost(_) => "**missed**",
        }
    }
}

/// Writes the table; what was not measured is said to be so.
pub fn tell(results: &Results, text: &mut String) {
    let _ = write!(text, "## Targets\n\nJudged by the median.\n\n| target | wanted | found | |\n|---|---|---|---|\n");
    for target in targets(results).into_iter().chain(targets_of_scale(results)) {
        let verdict = target.found.map_or("not measured", |found| target.wanted.verdict(found.median));
        let (wanted, found) = (target.wanted.title(), cell(target.found, target.digits));
        let _ = writeln!(text, "| {} | {wanted} | {found} | {verdict} |", target.title);
    }
    text.push('\n');
}

fn targets(results: &Results) -> Vec<Target> {
    let rate = |to| results.ratio(BUSY, Contender::Engine, to, Measurement::rate);
    let p50 =
        results.ratio(ALONE, Contender::Engine, Contender::RestateServices, |round| round.asked_to_completed_ms.p50);
    vec![
        Target {
            title: format!("sagas/s to Restate's with four services, {BUSY} in flight"),
            found: rate(Contender::RestateServices),
            digits: 1,
            wanted: Wanted::AtLeast(15.0, 12.0),
        },
        Target {
            title: format!("sagas/s to Restate's with four local steps, {BUSY} in flight"),
            found: rate(Contender::RestateLocal),
            digits: 1,
            wanted: Wanted::AtLeast(5.0, 4.0),
        },
        Target {
            title: format!("p50 to Restate's with four services, {ALONE} in flight"),
            found: p50,
            digits: 3,
            wanted: Wanted::AtMost(0.2),
        },
        Target {
            title: format!("sagas/s to the floor's, {BUSY} in flight"),
            found: rate(Contender::Floor),
            digits: 2,
            wanted: Wanted::AtLeast(0.4, 0.4),
        },
    ]
}

/// Those of large numbers of sagas; what is said of a million is judged by as many as were there.
fn targets_of_scale(results: &Results) -> Vec<Target> {
    let scale = results.scale.as_ref();
    let full = scale.and_then(|scale| scale.full.as_ref());
    let waiting = scale.and_then(|scale| scale.waiting.as_ref());
    let held = full.map_or(MILLION, |full| full.saga_count);
    let wait = waiting.map_or(MANY_WAITING, |waiting| waiting.saga_count);
    let slowest = full.and_then(|full| Spread::of(full.listings.iter().map(|listing| listing.answered_ms.p99)));
    vec![
        Target {
            title: format!("sagas/s with {held} finished sagas stored to those with an empty store"),
            found: full.and_then(ratio),
            digits: 2,
            wanted: Wanted::AtLeast(0.9, 0.9),
        },
        Target {
            title: format!("p99 of a page of {held}, the slowest kind of question, ms"),
            found: slowest.and_then(|slowest| Spread::of([slowest.most])),
            digits: 1,
            wanted: Wanted::AtMost(50.0),
        },
        Target {
            title: format!("resident memory with {wait} sagas waiting, MiB"),
            found: waiting.and_then(|waiting| Spread::of([waiting.resident_mib])),
            digits: 0,
            wanted: Wanted::AtMost(600.0),
        },
        Target {
            title: format!("restart after `kill -9` to serving with {wait} sagas waiting, ms"),
            found: waiting.and_then(|waiting| Spread::of([waiting.restart_ms])),
            digits: 0,
            wanted: Wanted::AtMost(5_000.0),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_missed_or_met_at_the_least() {
        let peer = Wanted::AtLeast(15.0, 12.0);
        assert_eq!([16.0, 13.0, 11.0].map(|found| peer.verdict(found)), ["**met**", "the least is met", "**missed**"]);
        assert_eq!([0.2, 0.21].map(|found| Wanted::AtMost(0.2).verdict(found)), ["**met**", "**missed**"]);
    }
}
