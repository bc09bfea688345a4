//! Starts what is due.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_core::schedule::Schedule;
use amends_schemas::ids::{PartitionCount, PartitionId};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::ScheduleStore;
use super::starting::{Start, start};
use crate::chore::Chore;
use crate::ports::{StoreError, Transport};

/// Longest sleep, so that new schedules and a clock that jumps are noticed. Times are whole seconds, so sleeping from one to the next
/// misses none; a look costs one statement that finds what is due by an index.
const TICK: Duration = Duration::from_secs(1);

/// Schedules read at once: bounds memory, for each has its input with it.
const PAGE: usize = 50;

/// Schedules attended to at once: hides the round trips.
const AT_ONCE: usize = 16;

/// Times of one schedule that are started before it is written down and the others have their turn.
const STARTS_PER_VISIT: usize = 10;

/// How long a deleted schedule is kept, for the record and so that a late repeat is known as one.
const DELETED_KEPT: TimeDelta = TimeDelta::days(30);

/// Between two looks for those to be forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(3600);

/// Starts what is due. Two at once do no harm.
pub struct ScheduleRunner {
    /// Where schedules are.
    pub store: Arc<dyn ScheduleStore>,
    /// How sagas are started.
    pub transport: Arc<dyn Transport>,
    /// Over how many partitions sagas are spread.
    pub partition_count: PartitionCount,
}

/// One look at everything that is due.
#[derive(Default)]
struct Round {
    /// Partitions that did not answer: asked again in the next round, so that they hold nobody up in this one.
    silent: Mutex<BTreeSet<PartitionId>>,
}

#[async_trait]
impl Chore for ScheduleRunner {
    fn name(&self) -> &'static str {
        "schedules"
    }

    /// For ever. Dropped at any moment it leaves nothing undone that the next one would not do.
    async fn run(&self) {
        let mut forget_at = Instant::now();
        let mut unread = BTreeSet::new();
        loop {
            if forget_at <= Instant::now() {
                forget_at = Instant::now() + FORGET_INTERVAL;
                if let Err(error) = self.store.forget_schedules(Utc::now() - DELETED_KEPT).await {
                    tracing::debug!(%error, "deleted schedules cannot be forgotten now");
                }
            }
            match self.round(&mut unread).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error @ StoreError::Unavailable(_)) => tracing::debug!(%error, "schedules cannot be read now"),
                Err(error) => tracing::error!(%error, "schedules cannot be read"),
            }
            sleep(until_next_second(Utc::now())).await;
        }
    }
}

impl ScheduleRunner {
    /// Attends to everything that is due; whether there is more to do at once. What cannot be read is told once, and left alone.
    async fn round(&self, unread: &mut BTreeSet<String>) -> Result<bool, StoreError> {
        let round = Round::default();
        let mut after = String::new();
        let mut more = false;
        loop {
            let now = Utc::now();
            let page = self.store.due_schedules(now, &after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(more) };
            after.clone_from(last);
            let mut readable = Vec::with_capacity(page.len());
            for (name, schedule) in page {
                match schedule {
                    Ok(schedule) => readable.push(schedule),
                    Err(error) if unread.insert(name) => tracing::error!(%error, "a schedule is left alone"),
                    Err(_) => {}
                }
            }
            let visits =
                stream::iter(readable).map(|schedule| self.visit(&round, schedule, now)).buffer_unordered(AT_ONCE);
            more |= visits.collect::<Vec<bool>>().await.contains(&true);
        }
    }

    /// Starts what is due of one schedule, oldest first, and writes down how far it came; whether there is more to do at once.
    async fn visit(&self, round: &Round, mut schedule: Schedule, now: DateTime<Utc>) -> bool {
        let due = match schedule.due(now) {
            Ok(due) => due,
            Err(problem) => {
                if schedule.unreadable(&problem, now) {
                    tracing::error!(schedule = schedule.name, %problem, "a schedule cannot be read by this version");
                    self.put(&schedule).await;
                }
                return false;
            }
        };
        let mut changed = false;
        if let Some(left_out) = due.left_out {
            tracing::warn!(schedule = schedule.name, from = %left_out.from, to = %left_out.to, "times are left out");
            schedule.leave_out(left_out);
            changed = true;
        }
        let mut more = due.times.len() > STARTS_PER_VISIT;
        for time in due.times.into_iter().take(STARTS_PER_VISIT) {
            if !self.start(round, &mut schedule, time, now).await {
                more = false;
                break;
            }
            changed = true;
        }
        changed && self.put(&schedule).await && more
    }

    /// Starts the saga of one time; whether that is settled.
    async fn start(&self, round: &Round, schedule: &mut Schedule, time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let request = schedule.saga_at(time);
        let partition = request.saga_id.partition(self.partition_count);
        if round.silent.lock().unwrap_or_else(PoisonError::into_inner).contains(&partition) {
            return false;
        }
        match start(&*self.transport, self.partition_count, &request, None).await {
            Start::Started => {
                tracing::info!(schedule = schedule.name, saga.id = %request.saga_id, %time, "started on schedule");
                schedule.started(time, request.saga_id);
                true
            }
            Start::Refused(problem) => {
                tracing::warn!(schedule = schedule.name, %time, code = problem.code, "a scheduled saga is refused");
                schedule.refused(time, &problem, now);
                true
            }
            Start::Later(reason) => {
                tracing::debug!(schedule = schedule.name, %time, reason, "a scheduled saga cannot be started yet");
                round.silent.lock().unwrap_or_else(PoisonError::into_inner).insert(partition);
                false
            }
        }
    }

    /// Writes it down. When somebody else has changed it meanwhile, or nobody knows, it is read again in the next round, and what was
    /// started is not started again.
    async fn put(&self, schedule: &Schedule) -> bool {
        match self.store.put_schedule(schedule).await {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(schedule = schedule.name, %error, "a schedule cannot be written now");
                false
            }
        }
    }
}

/// How long until the next whole second.
fn until_next_second(now: DateTime<Utc>) -> Duration {
    TICK.saturating_sub(Duration::from_nanos(u64::from(now.timestamp_subsec_nanos()))).max(Duration::from_millis(1))
}
