//! Publishes what is committed: at once when the process that committed it is told, otherwise by looking into the outbox from time
//! to time; and everything that is kept once more when the events stream has lost its store.

use std::time::Duration;

use amends_nats::{Nats, trace};
use amends_schemas::subjects;
use amends_schemas::topology::EVENTS;
use async_nats::HeaderMap;
use chrono::Utc;
use futures::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::condition::Condition;
use crate::outbox::{self, OutboxRow};
use crate::scope::Scope;

/// Commits that may wait for the relay; what finds no room is found by the next sweep.
const WAITING_MAX: usize = 1024;

/// Events published before their acknowledgements are awaited: what one batch may hold, and one deletion.
const BATCH: usize = 256;

/// Between two looks into the outbox and at the stream: the longest that an event waits which another process committed.
const SWEEP_EVERY: Duration = Duration::from_secs(2);

/// A sweep leaves events alone that are younger: the process that committed them is publishing them.
const SWEEP_AGE_MIN: Duration = Duration::from_secs(2);

/// How long the relay goes on after shutdown; what is left is published by the next process.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(2);

/// Tells the relay of commits.
#[derive(Debug, Clone, Default)]
pub(crate) struct RelayHandle {
    committed: Option<mpsc::Sender<Vec<OutboxRow>>>,
}

impl RelayHandle {
    /// Never waits: what is not told is found.
    pub(crate) fn committed(&self, events: Vec<OutboxRow>) {
        if let Some(sender) = &self.committed
            && !events.is_empty()
        {
            let _ = sender.try_send(events);
        }
    }
}

/// A handle and what it tells.
pub(crate) fn channel() -> (RelayHandle, mpsc::Receiver<Vec<OutboxRow>>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (RelayHandle { committed: Some(sender) }, receiver)
}

/// Publishes one context's events.
pub(crate) struct Relay {
    nats: Nats,
    scope: Scope,
    committed: mpsc::Receiver<Vec<OutboxRow>>,
    condition: Condition,
    /// Whether something was not acknowledged since the last sweep.
    doubtful: bool,
    /// The first sweep takes everything: nobody else in this process has it in hand.
    swept_before: bool,
}

impl Relay {
    pub(crate) fn new(nats: Nats, scope: Scope, committed: mpsc::Receiver<Vec<OutboxRow>>) -> Self {
        let condition = Condition::new(format!("outbox of {}", scope.context));
        Self { nats, scope, committed, condition, doubtful: false, swept_before: false }
    }

    /// Runs until `stop`, which comes after the last handler, and then publishes what is still waiting.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = sweep.tick() => self.sweep().await,
                received = self.committed.recv_many(&mut waiting, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    let was_doubtful = self.doubtful;
                    self.publish_waiting(&mut waiting).await;
                    if self.doubtful && !was_doubtful {
                        sweep.reset_after(SWEEP_EVERY / 4);
                    }
                }
            }
        }
        self.committed.close();
        let flush = async {
            while self.committed.recv_many(&mut waiting, BATCH).await > 0 {
                self.publish_waiting(&mut waiting).await;
            }
        };
        // What is not flushed stays in the outbox.
        let _ = tokio::time::timeout(FLUSH_TIME_MAX, flush).await;
    }

    async fn publish_waiting(&mut self, waiting: &mut Vec<Vec<OutboxRow>>) {
        let mut events: Vec<OutboxRow> = waiting.drain(..).flatten().collect();
        events.sort_by_key(|event| event.id);
        for batch in events.chunks(BATCH) {
            self.publish(batch).await;
        }
    }

    /// Sends a batch in its order, awaits its acknowledgements together and marks what is published. Answers whether all of it is published.
    async fn publish(&mut self, events: &[OutboxRow]) -> bool {
        let sent = events.iter().map(|event| async {
            let mut headers = HeaderMap::new();
            trace::with_traceparent(&mut headers, event.traceparent.as_deref());
            let (subject, id) = (subjects::domain_event(&event.event_type), event.id.to_string());
            let payload = event.event.clone().into();
            (event.id, self.nats.publish_once(&subject, &id, headers, payload).await)
        });
        let mut failure = None;
        let mut published: Vec<Uuid> = Vec::with_capacity(events.len());
        for (id, acknowledged) in join_all(sent).await {
            match acknowledged {
                Ok(()) => published.push(id),
                Err(error) => failure = Some(error.to_string()),
            }
        }
        if !published.is_empty()
            && let Err(error) = outbox::mark_published(&self.scope.database, &published).await
        {
            // They will be published once more; consumers know the ids.
            failure = Some(error.to_string());
        }
        match failure {
            None => true,
            Some(reason) => {
                self.doubtful = true;
                self.condition.ill(&reason);
                false
            }
        }
    }

    /// Looks after the stream, then after what others left behind.
    async fn sweep(&mut self) {
        let started = Instant::now();
        match self.sweep_all().await {
            Ok(()) => {
                self.doubtful = false;
                self.swept_before = true;
                self.condition.well();
            }
            Err(reason) => self.condition.ill(&reason),
        }
        tracing::trace!(context = self.scope.context, elapsed_us = started.elapsed().as_micros(), "swept the outbox");
    }

    async fn sweep_all(&mut self) -> Result<(), String> {
        self.follow_incarnation().await?;
        let before = if self.swept_before { Utc::now() - SWEEP_AGE_MIN } else { Utc::now() + SWEEP_AGE_MIN };
        let mut after = String::new();
        loop {
            let events =
                outbox::pending(&self.scope.database, &after, before, BATCH).await.map_err(|e| e.to_string())?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last.id.to_string();
            if !self.publish(&events).await {
                return Err("some events are not published yet".to_owned());
            }
            if events.len() < BATCH {
                return Ok(());
            }
        }
    }

    /// When the stream is another one than before, everything that is kept goes into it again.
    async fn follow_incarnation(&mut self) -> Result<(), String> {
        let found = match self.nats.stream_incarnation(&EVENTS).await.map_err(|e| e.to_string())? {
            Some(found) => found,
            None => {
                self.nats.repair_streams().await.map_err(|e| e.to_string())?;
                let made = self.nats.stream_incarnation(&EVENTS).await.map_err(|e| e.to_string())?;
                made.ok_or_else(|| "the events stream is not there".to_owned())?
            }
        };
        let database = self.scope.database.clone();
        if outbox::incarnation(&database).await.map_err(|e| e.to_string())?.as_deref() == Some(found.as_str()) {
            return Ok(());
        }
        let mut after = String::new();
        let mut count = 0;
        loop {
            let events = outbox::kept(&database, &after, BATCH).await.map_err(|e| e.to_string())?;
            let Some(last) = events.last() else { break };
            after = last.id.to_string();
            count += events.len();
            if !self.publish(&events).await {
                return Err("the events stream is new and not filled yet".to_owned());
            }
        }
        if count > 0 {
            tracing::info!(
                context = self.scope.context,
                events = count,
                "the events stream is new; published what is kept"
            );
        }
        outbox::remember_incarnation(&database, &found).await.map_err(|e| e.to_string())
    }
}
