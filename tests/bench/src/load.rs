//! The closed loop: so many sagas in flight, a new one for each that completes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_nats::Nats;
use amends_schemas::ids::{PartitionCount, SagaId};
use amends_schemas::problem::Answer;
use amends_schemas::saga::{OrchestratorInfo, SagaRef, SagaStatus, SagaView};
use amends_schemas::subjects::{self, ORCHESTRATOR_INFO, PartitionVerb};
use anyhow::{Context, bail, ensure};
use async_nats::Request;
use futures::StreamExt;
use serde::de::IgnoredAny;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::control::{DONE, JOURNAL, JournalCount};
use crate::job;
use crate::measurement::{Contender, Journal, Measurement, Percentiles};
use crate::usage;
use crate::world::World;

/// Longest a saga may take; nothing here takes seconds unless something is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sagas read back after a run, to see that those said to be completed are.
const CHECKED: usize = 50;

/// How a point is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Not counted: connections, caches and allocators get warm.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
}

type Waiting = Arc<Mutex<HashMap<Uuid, oneshot::Sender<Instant>>>>;

/// Starts sagas and learns of their completion.
pub struct Driver {
    nats: Nats,
    partitions: PartitionCount,
    waiting: Waiting,
}

/// One completed saga.
#[derive(Clone, Copy)]
struct Sample {
    saga_id: SagaId,
    asked: Instant,
    accepted: Instant,
    completed: Instant,
}

impl Driver {
    /// Over this connection, to whatever serves there.
    pub async fn new(nats: Nats) -> anyhow::Result<Arc<Self>> {
        let info: OrchestratorInfo = nats
            .ask(ORCHESTRATOR_INFO.to_owned(), &(), PATIENCE)
            .await
            .map_err(|problem| anyhow::anyhow!("nobody serves: {problem}"))?;
        let waiting = Waiting::default();
        let mut done = nats.client().subscribe(DONE).await?;
        nats.client().flush().await?;
        let told = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Some(message) = done.next().await {
                let now = Instant::now();
                let mut waiting = told.lock().unwrap_or_else(PoisonError::into_inner);
                for id in message.payload.chunks_exact(16).filter_map(|bytes| Uuid::from_slice(bytes).ok()) {
                    if let Some(waiter) = waiting.remove(&id) {
                        let _ = waiter.send(now);
                    }
                }
            }
        });
        Ok(Arc::new(Self { nats, partitions: info.partition_count, waiting }))
    }

    async fn one(&self) -> anyhow::Result<Sample> {
        let saga_id = SagaId::generate();
        let payload = serde_json::to_vec(&job::start(saga_id))?;
        let subject = subjects::partition(saga_id.partition(self.partitions), PartitionVerb::Start);
        let (sender, completed) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(saga_id.uuid(), sender);
        let asked = Instant::now();
        let request = Request::new().payload(payload.into()).timeout(Some(PATIENCE));
        let answer = self.nats.client().send_request(subject, request).await?;
        let accepted = Instant::now();
        match serde_json::from_slice::<Answer<IgnoredAny>>(&answer.payload)? {
            Answer::Ok(_) => {}
            Answer::Error(problem) => bail!("a saga is refused: {problem}"),
        }
        let completed = timeout(PATIENCE, completed).await.context("a saga does not complete")??;
        Ok(Sample { saga_id, asked, accepted, completed })
    }

    /// Keeps `in_flight` sagas going until `until`; all that completed.
    async fn run(self: &Arc<Self>, in_flight: usize, until: Instant) -> anyhow::Result<Vec<Sample>> {
        let mut loops = JoinSet::new();
        for _ in 0..in_flight {
            let driver = Arc::clone(self);
            loops.spawn(async move {
                let mut samples = Vec::new();
                while Instant::now() < until {
                    samples.push(driver.one().await?);
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

    async fn check(&self, samples: &[Sample]) -> anyhow::Result<()> {
        let step = (samples.len() / CHECKED).max(1);
        for sample in samples.iter().step_by(step) {
            let subject = subjects::partition(sample.saga_id.partition(self.partitions), PartitionVerb::Get);
            let view: Result<SagaView, _> =
                self.nats.ask(subject, &SagaRef { saga_id: sample.saga_id }, PATIENCE).await;
            let view = view.map_err(|problem| anyhow::anyhow!("a completed saga cannot be read: {problem}"))?;
            ensure!(view.status == SagaStatus::Completed, "saga {} is not completed", sample.saga_id);
        }
        Ok(())
    }

    /// The journal's counts so far.
    pub async fn journal(&self) -> anyhow::Result<JournalCount> {
        let request = Request::new().timeout(Some(PATIENCE));
        let answer = self.nats.client().send_request(JOURNAL, request).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    }
}

/// Measures one point.
pub async fn measure(
    world: &World,
    driver: &Arc<Driver>,
    contender: Contender,
    in_flight: usize,
    round: usize,
    plan: Plan,
) -> anyhow::Result<Measurement> {
    let has_engine = contender != Contender::Floor;
    let journal_before = if has_engine { Some(driver.journal().await?) } else { None };
    let pids = world.pids();
    for (_, pid) in &pids {
        usage::forget_peak(*pid);
    }
    let begin = Instant::now() + plan.warm_up;
    let end = begin + plan.measured;
    let running = tokio::spawn({
        let driver = Arc::clone(driver);
        async move { driver.run(in_flight, end).await }
    });
    tokio::time::sleep_until(begin).await;
    let before = pids.iter().map(|(_, pid)| usage::of(*pid)).collect::<anyhow::Result<Vec<_>>>()?;
    tokio::time::sleep_until(end).await;
    let after = pids.iter().map(|(_, pid)| usage::of(*pid)).collect::<anyhow::Result<Vec<_>>>()?;
    let all = running.await??;
    let journal = match journal_before {
        Some(before) => {
            driver.check(&all).await?;
            let after = driver.journal().await?;
            let each = |before: u64, after: u64| (after - before) as f64 / all.len() as f64;
            Some(Journal {
                records: each(before.record_count, after.record_count),
                projections: each(before.projection_count, after.projection_count),
                bytes: each(before.entry_bytes, after.entry_bytes),
            })
        }
        None => None,
    };
    let counted: Vec<Sample> =
        all.into_iter().filter(|sample| sample.completed >= begin && sample.completed < end).collect();
    ensure!(!counted.is_empty(), "nothing completed within the measured time");
    let saga_count = counted.len();
    let by_process = |value: &dyn Fn(usize) -> f64| {
        pids.iter().enumerate().map(|(place, (name, _))| ((*name).to_owned(), value(place))).collect()
    };
    let milliseconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1000.0;
    Ok(Measurement {
        contender,
        in_flight,
        round,
        saga_count,
        seconds: plan.measured.as_secs_f64(),
        accepted_to_completed_ms: Percentiles::of(
            counted.iter().map(|sample| milliseconds(sample.accepted, sample.completed)).collect(),
        ),
        asked_to_completed_ms: Percentiles::of(
            counted.iter().map(|sample| milliseconds(sample.asked, sample.completed)).collect(),
        ),
        cpu_seconds: by_process(&|place| {
            (after[place].cpu_seconds - before[place].cpu_seconds) * 1000.0 / saga_count as f64
        }),
        peak_memory_mib: by_process(&|place| usage::memory_mib(pids[place].1).1),
        written_bytes: by_process(&|place| {
            (after[place].written_bytes - before[place].written_bytes) as f64 / saga_count as f64
        }),
        journal,
    })
}
