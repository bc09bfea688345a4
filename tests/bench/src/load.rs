//! The closed loop: so many jobs in flight, a new one for each that completes.

pub mod ingress;
pub mod registrations;
pub mod sagas;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::control::JournalCount;
use crate::fsyncs;
use crate::measurement::{Contender, Journal, Measurement, Percentiles};
use crate::usage;

/// Longest a job may take; nothing here takes seconds unless something is lost.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Jobs looked at after a run, to see that those said to be completed are.
const CHECKED: usize = 50;

/// How a point is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Not counted: connections, caches and allocators get warm.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
    /// After it, the loop still going: fsyncs are counted, and nothing is timed.
    pub fsyncs: Duration,
}

/// One completed job.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Which.
    pub id: Uuid,
    /// The request was sent.
    pub asked: Instant,
    /// It was accepted; none where acceptance is not told apart from completion.
    pub accepted: Option<Instant>,
    /// It was completed.
    pub completed: Instant,
}

/// Whoever can be given jobs.
#[async_trait]
pub trait Load: Send + Sync {
    /// Gives one and waits until it is completed.
    async fn one(&self) -> anyhow::Result<Sample>;

    /// Sees that what was said to be completed is.
    async fn check(&self, sample: &Sample) -> anyhow::Result<()>;

    /// The journal's counts so far; none where there is none of ours.
    async fn journal(&self) -> anyhow::Result<Option<JournalCount>>;
}

/// Keeps `in_flight` jobs going until `until`; all that completed.
async fn run(load: &Arc<dyn Load>, in_flight: usize, until: Instant) -> anyhow::Result<Vec<Sample>> {
    let mut loops = JoinSet::new();
    for _ in 0..in_flight {
        let load = Arc::clone(load);
        loops.spawn(async move {
            let mut samples = Vec::new();
            while Instant::now() < until {
                samples.push(load.one().await?);
            }
            anyhow::Ok(samples)
        });
    }
    let mut samples = Vec::new();
    while let Some(ended) = loops.join_next().await {
        samples.extend(ended??);
    }
    Ok(samples)
}

/// Measures one point.
pub async fn measure(
    load: &Arc<dyn Load>,
    pids: &[(&'static str, u32)],
    contender: Contender,
    in_flight: usize,
    round: usize,
    plan: Plan,
) -> anyhow::Result<Measurement> {
    let journal_before = load.journal().await?;
    for (_, pid) in pids {
        usage::forget_peak(*pid);
    }
    let begin = Instant::now() + plan.warm_up;
    let end = begin + plan.measured;
    let running = tokio::spawn({
        let load = Arc::clone(load);
        async move { run(&load, in_flight, end + plan.fsyncs).await }
    });
    let used = async || pids.iter().map(|(_, pid)| usage::of(*pid)).collect::<anyhow::Result<Vec<_>>>();
    sleep_until(begin).await;
    let before = used().await?;
    sleep_until(end).await;
    let after = used().await?;
    let peaks: Vec<f64> = pids.iter().map(|(_, pid)| usage::memory_mib(*pid).1).collect();
    let fsyncs = fsyncs::per_second(pids, plan.fsyncs).await;
    let counted_until = Instant::now();
    let all = running.await??;

    let within = |from: Instant, to: Instant| {
        all.iter().filter(move |sample| sample.completed >= from && sample.completed < to).copied()
    };
    let counted: Vec<Sample> = within(begin, end).collect();
    ensure!(!counted.is_empty(), "nothing completed within the measured time");
    let rate_then = within(end, counted_until).count() as f64 / (counted_until - end).as_secs_f64();
    let each_saga = |value: &dyn Fn(usize) -> f64| {
        let of = |(place, (name, _)): (usize, &(&'static str, u32))| ((*name).to_owned(), value(place));
        pids.iter().enumerate().map(of).collect()
    };
    let saga_count = counted.len();
    Ok(Measurement {
        contender,
        in_flight,
        round,
        saga_count,
        seconds: plan.measured.as_secs_f64(),
        accepted_to_completed_ms: times(&counted, |sample| sample.accepted),
        asked_to_completed_ms: times(&counted, |sample| Some(sample.asked)).unwrap_or_default(),
        cpu_seconds: each_saga(&|place| {
            (after[place].cpu_seconds - before[place].cpu_seconds) * 1000.0 / saga_count as f64
        }),
        peak_memory_mib: each_saga(&|place| peaks[place]),
        written_bytes: each_saga(&|place| {
            (after[place].written_bytes - before[place].written_bytes) as f64 / saga_count as f64
        }),
        fsyncs: fsyncs
            .filter(|_| rate_then > 0.0)
            .map(|rates| rates.into_iter().map(|(name, rate)| (name, rate / rate_then)).collect()),
        journal: looked_at(load, &all, journal_before).await?,
    })
}

/// From what `from` picks to completed; none when it picks nothing.
fn times(samples: &[Sample], from: impl Fn(&Sample) -> Option<Instant>) -> Option<Percentiles> {
    let time = |sample: &Sample| Some(sample.completed.saturating_duration_since(from(sample)?).as_secs_f64() * 1000.0);
    let times: Vec<f64> = samples.iter().filter_map(time).collect();
    (!times.is_empty()).then(|| Percentiles::of(times))
}

/// Checks some of the jobs, and says what each cost in the journal since `before`.
async fn looked_at(
    load: &Arc<dyn Load>,
    all: &[Sample],
    before: Option<JournalCount>,
) -> anyhow::Result<Option<Journal>> {
    for sample in all.iter().step_by((all.len() / CHECKED).max(1)) {
        load.check(sample).await?;
    }
    let (Some(before), Some(after)) = (before, load.journal().await?) else { return Ok(None) };
    let each = |before: u64, after: u64| (after - before) as f64 / all.len() as f64;
    Ok(Some(Journal {
        records: each(before.record_count, after.record_count),
        projections: each(before.projection_count, after.projection_count),
        bytes: each(before.entry_bytes, after.entry_bytes),
    }))
}
