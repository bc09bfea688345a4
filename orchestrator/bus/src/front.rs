//! Partition requests: decoded here, decided by the partition, answered after the commit.
//!
//! A reply for a saga that its partition does not know at all is answered with a problem, not with `+OK`: the journal may be
//! an older one than the queue, and a result that somebody still needs must not be acknowledged away. The worker keeps such a
//! command and answers again until it gives up by its own bound.

use std::sync::Arc;
use std::time::Duration;

use amends_engine::request::{Ask, Origin, Request, Respond};
use amends_engine::{Front, PartitionHandle};
use amends_nats::{Nats, trace};
use amends_schemas::command::Reply;
use amends_schemas::family::ChildEnded;
use amends_schemas::ids::SagaId;
use amends_schemas::limits::SAGA_INPUT_BYTES_MAX;
use amends_schemas::operate::OperateSaga;
use amends_schemas::problem::{Problem, ProblemKind};
use amends_schemas::saga::{CancelSaga, HistoryQuery, SagaRef, StartSaga};
use amends_schemas::signal::SignalSaga;
use amends_schemas::subjects::{self, ORCHESTRATOR_GROUP, PartitionVerb};
use async_nats::{Message, Subject, Subscriber};
use async_trait::async_trait;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::answers::{Answers, Body};

/// Largest request that is read at all: an input at its bound, with room for what stands around it.
const REQUEST_BYTES_MAX: usize = SAGA_INPUT_BYTES_MAX + 16 * 1024;

/// Wait before a subscription that ended is made again.
const SUBSCRIBE_DELAY: Duration = Duration::from_millis(200);

/// Brings NATS requests to the partitions of an engine.
#[derive(Debug)]
pub struct NatsFront {
    nats: Nats,
    answers: Answers,
}

impl NatsFront {
    /// Over this connection. Must be called within a tokio runtime.
    pub fn new(nats: Nats) -> Self {
        let answers = Answers::publish_over(nats.client().clone());
        Self { nats, answers }
    }

    /// Takes messages until told to stop; `true` when the subscription ended by itself.
    async fn take(&self, subscriber: &mut Subscriber, handle: &PartitionHandle, stop: &CancellationToken) -> bool {
        loop {
            match stop.run_until_cancelled(subscriber.next()).await {
                Some(Some(message)) => self.submit(handle, message).await,
                Some(None) => return true,
                None => break,
            }
        }
        // What has arrived is still taken; what comes now goes to the next owner.
        if subscriber.unsubscribe().await.is_ok() {
            while let Some(message) = subscriber.next().await {
                self.submit(handle, message).await;
            }
        }
        false
    }

    async fn submit(&self, handle: &PartitionHandle, message: Message) {
        if let Some(request) = self.decode(handle, message)
            && let Err(request) = handle.submit(request).await
        {
            // Lost in this moment. Without an answer whoever asked would wait for the end of its patience.
            let problem = Problem::unavailable("partition_lost", "the partition is moving to another owner");
            request.ask.refuse(problem);
        }
    }

    fn decode(&self, handle: &PartitionHandle, message: Message) -> Option<Request> {
        let verb = message.subject.rsplit('.').next().and_then(PartitionVerb::from_token);
        let Some(verb) = verb else {
            self.answers.send(
                message.reply,
                Body::View(Err(Problem::invalid("unknown_verb", "a partition does not understand this verb"))),
            );
            return None;
        };
        let bytes = message.payload.len();
        let mut asking = Asking { answers: self.answers.clone(), reply: message.reply.clone(), span: None };
        // A reply is bounded by what a message holds, for it must be dealt with, not refused for ever.
        if verb != PartitionVerb::Reply && bytes > REQUEST_BYTES_MAX {
            let text = format!("the request has {bytes} bytes; at most {REQUEST_BYTES_MAX} are taken");
            asking.refuse(verb, Problem::new(ProblemKind::TooLarge, "request_too_large", text));
            return None;
        }
        let origin = origin(handle, verb, &message);
        asking.span.clone_from(&origin.span);
        let ask = match asking.ask(verb, &message.payload) {
            Ok(Some(ask)) => ask,
            // It needs no decision, and no turn in the partition's loop.
            Ok(None) => {
                self.answers.send(message.reply, Body::Standing(handle.standing()));
                return None;
            }
            Err(error) => {
                tracing::debug!(partition = %handle.partition(), verb = verb.token(), "a request cannot be read");
                asking.refuse(verb, Problem::invalid("malformed_request", error.to_string()));
                return None;
            }
        };
        Some(Request { ask, bytes, origin })
    }
}

#[async_trait]
impl Front for NatsFront {
    async fn serve(&self, handle: PartitionHandle, stop: CancellationToken) {
        let subject = subjects::partition_all(handle.partition());
        while !stop.is_cancelled() {
            let subscribed = self.nats.client().queue_subscribe(subject.clone(), ORCHESTRATOR_GROUP.to_owned()).await;
            let ended = match subscribed {
                Ok(mut subscriber) => self.take(&mut subscriber, &handle, &stop).await,
                Err(error) => {
                    tracing::warn!(partition = %handle.partition(), %error, "a partition cannot be served");
                    true
                }
            };
            if ended {
                stop.run_until_cancelled(tokio::time::sleep(SUBSCRIBE_DELAY)).await;
            }
        }
    }
}

/// Where a request comes from. A span is made only when its trace is recorded.
fn origin(handle: &PartitionHandle, verb: PartitionVerb, message: &Message) -> Origin {
    let Some(traceparent) = trace::traceparent(message.headers.as_ref()) else { return Origin::default() };
    if !trace::is_sampled(traceparent) {
        return Origin { traceparent: Some(traceparent.into()), span: None };
    }
    let span = tracing::info_span!("saga.decide", otel.kind = "server", partition = %handle.partition(),
        verb = verb.token(), saga.id = tracing::field::Empty, step.name = tracing::field::Empty);
    trace::of_message(&span, message);
    let own = trace::of_span(&span);
    let traceparent: Arc<str> = trace::traceparent(Some(&own)).unwrap_or(traceparent).into();
    Origin { traceparent: Some(traceparent), span: Some(span) }
}

/// Somebody who waits for an answer. The span lives until it is given.
struct Asking {
    answers: Answers,
    reply: Option<Subject>,
    span: Option<Span>,
}

impl Asking {
    /// What is asked of the loop; nothing when only its standing is asked for.
    fn ask(&self, verb: PartitionVerb, payload: &[u8]) -> serde_json::Result<Option<Ask>> {
        Ok(Some(match verb {
            PartitionVerb::Standing => return Ok(None),
            PartitionVerb::Reply => {
                let reply: Reply = serde_json::from_slice(payload)?;
                self.record(reply.saga_id, Some(&reply.step));
                Ask::Reply(reply, self.respond(Body::Reply))
            }
            PartitionVerb::Start => {
                let start: StartSaga = serde_json::from_slice(payload)?;
                self.record(start.saga_id, None);
                Ask::Start(start, self.respond(Body::View))
            }
            PartitionVerb::Cancel => {
                let cancel: CancelSaga = serde_json::from_slice(payload)?;
                self.record(cancel.saga_id, None);
                Ask::Cancel(cancel, self.respond(Body::Cancellation))
            }
            PartitionVerb::Operate => {
                let operate: OperateSaga = serde_json::from_slice(payload)?;
                self.record(operate.saga_id, None);
                Ask::Operate(operate, self.respond(Body::Operated))
            }
            PartitionVerb::Preview => Ask::Preview(self.saga(payload)?, self.respond(Body::Preview)),
            PartitionVerb::Get => Ask::Get(self.saga(payload)?, self.respond(Body::View)),
            PartitionVerb::History => {
                let query: HistoryQuery = serde_json::from_slice(payload)?;
                self.record(query.saga_id, None);
                Ask::History(
                    query,
                    self.respond(if query.limit.is_some() { Body::History } else { Body::WholeHistory }),
                )
            }
            PartitionVerb::Signal => {
                let signal: SignalSaga = serde_json::from_slice(payload)?;
                self.record(signal.saga_id, None);
                Ask::Signal(signal, self.respond(Body::Signalled))
            }
            PartitionVerb::ChildEnded => {
                let told: ChildEnded = serde_json::from_slice(payload)?;
                self.record(told.parent.saga_id, Some(&told.parent.step));
                Ask::ChildEnded(told, self.respond(Body::Committed))
            }
            PartitionVerb::Watch => Ask::Watch(self.saga(payload)?, self.respond(Body::View)),
        }))
    }

    fn saga(&self, payload: &[u8]) -> serde_json::Result<SagaId> {
        let SagaRef { saga_id } = serde_json::from_slice(payload)?;
        self.record(saga_id, None);
        Ok(saga_id)
    }

    fn record(&self, saga_id: SagaId, step: Option<&str>) {
        if let Some(span) = &self.span {
            span.record("saga.id", tracing::field::display(saga_id));
            if let Some(step) = step {
                span.record("step.name", step);
            }
        }
    }

    fn respond<T: 'static>(&self, body: fn(Result<T, Problem>) -> Body) -> Respond<T> {
        let (answers, reply, span) = (self.answers.clone(), self.reply.clone(), self.span.clone());
        Box::new(move |answer| {
            answers.send(reply, body(answer));
            drop(span);
        })
    }

    fn refuse(self, verb: PartitionVerb, problem: Problem) {
        let body = match verb {
            PartitionVerb::Reply => Body::Reply(Err(problem)),
            PartitionVerb::Start
            | PartitionVerb::Get
            | PartitionVerb::History
            | PartitionVerb::Cancel
            | PartitionVerb::Signal
            | PartitionVerb::ChildEnded
            | PartitionVerb::Watch
            | PartitionVerb::Operate
            | PartitionVerb::Standing
            | PartitionVerb::Preview => Body::View(Err(problem)),
        };
        self.answers.send(self.reply, body);
    }
}
