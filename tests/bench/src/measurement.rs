//! What one measured point says.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Who does the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// The engine with plain no-op workers.
    Engine,
    /// The engine with no-op workers through the SDK, each with a database.
    EngineSdk,
    /// Restate, a handler that calls four services.
    RestateServices,
    /// Restate, a handler with four local steps.
    RestateLocal,
    /// No engine and no database.
    Floor,
}

impl Contender {
    /// Whether it is the peer.
    pub const fn is_restate(self) -> bool {
        match self {
            Contender::RestateServices | Contender::RestateLocal => true,
            Contender::Engine | Contender::EngineSdk | Contender::Floor => false,
        }
    }

    /// As it stands in tables.
    pub const fn title(self) -> &'static str {
        match self {
            Contender::Engine => "engine",
            Contender::EngineSdk => "engine, SDK workers with databases",
            Contender::RestateServices => "Restate, four services",
            Contender::RestateLocal => "Restate, four local steps",
            Contender::Floor => "floor",
        }
    }
}

/// One contender with so many sagas in flight, in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measurement {
    /// Who.
    pub contender: Contender,
    /// Sagas in flight all the time.
    pub in_flight: usize,
    /// Which round, from 1.
    pub round: usize,
    /// Completed within the measured time.
    pub saga_count: usize,
    /// The measured time.
    pub seconds: f64,
    /// From accepted (the answer has arrived) to completed (the message that says so has arrived); none where they are one answer.
    pub accepted_to_completed_ms: Option<Percentiles>,
    /// From the request's sending to completed: what a client waits in all.
    pub asked_to_completed_ms: Percentiles,
    /// CPU seconds by process for 1,000 sagas.
    pub cpu_seconds: BTreeMap<String, f64>,
    /// Most resident memory by process, MiB.
    pub peak_memory_mib: BTreeMap<String, f64>,
    /// Sent to the disk for one saga by process, bytes.
    pub written_bytes: BTreeMap<String, f64>,
    /// Calls of `fsync` and `fdatasync` for one saga by process; none where they could not be counted.
    pub fsyncs: Option<BTreeMap<String, f64>>,
    /// Of the orchestrator's journal; none without an engine.
    pub journal: Option<Journal>,
}

impl Measurement {
    /// Completed sagas in a second.
    pub fn rate(&self) -> f64 {
        self.saga_count as f64 / self.seconds
    }
}

/// The journal's cost of one saga.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Journal {
    /// Records, each one commit with its fsync.
    pub records: f64,
    /// Commits of the view.
    pub projections: f64,
    /// Encoded bytes.
    pub bytes: f64,
}

/// How long it takes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half are faster.
    pub p50: f64,
    /// One in a hundred is slower.
    pub p99: f64,
    /// One in a thousand is slower.
    pub p999: f64,
}

impl Percentiles {
    /// Of these, in any order.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (values.len() as f64 * share).ceil() as usize;
            values.get(place.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}

/// The middle value of some rounds, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// As many are greater as are less.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of these, in any order; none of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (&least, &most) = (values.first()?, values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 };
        Some(Self { median, least, most })
    }

    /// As it stands in a table: the median, and the least and the most when they are told apart by so many digits.
    pub fn shown(self, digits: usize) -> String {
        let [median, least, most] = [self.median, self.least, self.most].map(|value| format!("{value:.digits$}"));
        if least == most { median } else { format!("{median} [{least}–{most}]") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let found = Percentiles::of((1..=1000).rev().map(f64::from).collect());
        assert_eq!((found.p50, found.p99, found.p999), (500.0, 990.0, 999.0));
        assert_eq!(Percentiles::of(vec![7.0]).p999, 7.0);
    }

    #[test]
    fn the_median_comes_with_its_spread() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]).map(|spread| spread.shown(1)).as_deref(), Some("2.5 [1.0–4.0]"));
        assert_eq!(Spread::of([4.01, 4.02]).map(|spread| spread.shown(1)).as_deref(), Some("4.0"));
        assert_eq!(Spread::of([]), None);
    }
}
