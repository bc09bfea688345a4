//! A saga as server-sent events: the view as it is, then each change, until it is final.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use amends_schemas::ids::SagaId;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{SagaRef, SagaView};
use amends_schemas::subjects::{PartitionVerb, WATCH_SECONDS, saga_changes};
use async_nats::Subscriber;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::StreamExt;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{Instrument, Span, debug};

use crate::documents::SagaDocument;
use crate::extract::PathOf;
use crate::metrics::Metrics;
use crate::problems::ProblemDocument;
use crate::state::{Api, Outcome};

/// Views held for a client that reads slowly. Each is the whole saga, so of more than these the oldest are left out.
const BEHIND_MAX: usize = 16;

/// A comment is sent when nothing else was for so long: proxies close what is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The watch is renewed, and the saga read in case a change was missed, twice within a watch's life.
const RENEW: Duration = Duration::from_secs(WATCH_SECONDS / 2);

/// Follow a saga as server-sent events: `event: saga` with the whole saga as data, `id:` its `event_count`; first as it is
/// now, then after each change. Ends after a final one. A client that reads slowly may see fewer, never older, views.
#[utoipa::path(get, path = "/v1/sagas/{saga_id}/stream", tag = "sagas",
    params(("saga_id" = Uuid, Path, description = "Which")),
    responses(
        (status = 200, description = "The saga, again and again", body = SagaDocument,
            content_type = "text/event-stream"),
        (status = 404, description = "`saga_not_found`", body = ProblemDocument,
            content_type = "application/problem+json"),
    ))]
pub async fn stream_saga(State(api): State<Api>, PathOf(saga_id): PathOf<SagaId>) -> Outcome {
    let permit = Arc::clone(&api.streams).try_acquire_owned().map_err(|_| {
        Problem::unavailable("too_many_streams", "Too many streams are open; ask for the saga itself instead.")
    })?;
    // In this order nothing is missed: changes are heard before the owner is asked to tell them and how things stand.
    let changes = api
        .asking
        .nats()
        .client()
        .subscribe(saga_changes(saga_id))
        .await
        .map_err(|error| Problem::unavailable("nats_unavailable", error.to_string()))?;
    // A saga that is not there is told by the reading, for a watch of it may be answered well.
    let watched = watch(&api, saga_id).await;
    let first = read(&api, saga_id).await?;
    watched?;
    let (sender, receiver) = mpsc::channel(1);
    let follower = Follower { api, saga_id, seen: 0, behind: VecDeque::new(), final_seen: false };
    tokio::spawn(follower.run(first, changes, sender, permit).instrument(Span::current()));
    let events = ReceiverStream::new(receiver).map(Ok::<Event, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// Asks the owner to publish changes for a while. What it answers with besides is not looked at.
async fn watch(api: &Api, saga_id: SagaId) -> Result<(), Problem> {
    match api.asking.owner::<_, Value>(saga_id, PartitionVerb::Watch, &SagaRef { saga_id }).await {
        Ok(_) => Ok(()),
        Err(problem) if problem.kind == ProblemKind::NotFound => Ok(()),
        Err(problem) => Err(problem),
    }
}

async fn read(api: &Api, saga_id: SagaId) -> Result<SagaView, Problem> {
    api.asking.owner(saga_id, PartitionVerb::Get, &SagaRef { saga_id }).await
}

/// Follows one saga for one client. It buffers at most [`BEHIND_MAX`] events.
struct Follower {
    api: Api,
    saga_id: SagaId,
    /// The `event_count` of the last view taken.
    seen: u64,
    /// Views that the client has yet to read.
    behind: VecDeque<Event>,
    final_seen: bool,
}

/// Counts an open stream until dropped.
struct Open<'a>(&'a Metrics);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.streams_open.dec();
    }
}

impl Follower {
    async fn run(
        mut self,
        first: SagaView,
        mut changes: Subscriber,
        client: mpsc::Sender<Event>,
        _permit: OwnedSemaphorePermit,
    ) {
        let api = Arc::clone(&self.api);
        api.metrics.streams_open.inc();
        let _open = Open(&api.metrics);
        self.take(&first);
        let mut renewals = interval_at(Instant::now() + RENEW, RENEW);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewal: Option<tokio::task::JoinHandle<Result<SagaView, Problem>>> = None;
        while !(self.final_seen && self.behind.is_empty()) {
            tokio::select! {
                biased;
                () = api.shutdown.cancelled() => break,
                permit = client.reserve(), if !self.behind.is_empty() => match (permit, self.behind.pop_front()) {
                    (Ok(permit), Some(event)) => permit.send(event),
                    (Err(_), _) | (_, None) => break,
                },
                () = client.closed() => break,
                message = changes.next(), if !self.final_seen => match message {
                    Some(message) => match serde_json::from_slice::<SagaView>(&message.payload) {
                        Ok(view) => self.take(&view),
                        Err(error) => debug!(%error, "a change of a saga could not be read"),
                    },
                    None => break,
                },
                _ = renewals.tick(), if !self.final_seen && renewal.is_none() => {
                    renewal = Some(tokio::spawn(renewed(Arc::clone(&api), self.saga_id)));
                }
                result = async { renewal.as_mut().expect("guarded by the precondition").await },
                    if renewal.is_some() =>
                {
                    renewal = None;
                    match result {
                        Ok(Ok(view)) => self.take(&view),
                        Ok(Err(problem)) => debug!(%problem, "a watch could not be renewed; it is tried again"),
                        Err(error) => debug!(%error, "renewing a watch broke off"),
                    }
                }
            }
        }
        if let Some(renewal) = renewal {
            renewal.abort();
        }
    }

    /// Takes a view that is newer than what the client has, leaving out the oldest of too many.
    fn take(&mut self, view: &SagaView) {
        if view.saga_id != self.saga_id || view.event_count <= self.seen {
            return;
        }
        self.seen = view.event_count;
        self.final_seen = view.status.is_final();
        match Event::default().event("saga").id(view.event_count.to_string()).json_data(view) {
            Ok(event) => self.behind.push_back(event),
            Err(error) => debug!(%error, "a saga could not be written as JSON"),
        }
        if self.behind.len() > BEHIND_MAX {
            self.behind.pop_front();
        }
    }
}

async fn renewed(api: Api, saga_id: SagaId) -> Result<SagaView, Problem> {
    watch(&api, saga_id).await?;
    read(&api, saga_id).await
}
