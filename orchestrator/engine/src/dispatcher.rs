//! Sends what was decided: many at once, each until it is acknowledged.
//!
//! The loop hands over without waiting; what waits here is bounded by the sagas in flight, for each has one command. Nothing
//! is dropped but an attempt whose time has passed while NATS was away: by then the loop has decided what comes after it.

use std::sync::Arc;
use std::time::Duration;

use amends_schemas::command::{Command, Operation, Reply, StepError, StepResult};
use amends_schemas::ids::PartitionCount;
use amends_schemas::problem::ProblemKind;
use amends_schemas::saga::StartSaga;
use chrono::Utc;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::ports::{Transport, TransportError};
use crate::request::Internal;
use crate::settings::EngineSettings;

/// One thing to send.
#[derive(Debug)]
pub(crate) enum Job {
    /// An attempt, to the workers.
    Command { command: Command, dispatch: Arc<str>, traceparent: Option<Arc<str>> },
    /// A forward cancellation, to its partition.
    Forward { cancelled: amends_schemas::ids::SagaId, request: StartSaga, traceparent: Option<Arc<str>> },
}

/// What sending needs.
#[derive(Clone)]
pub(crate) struct Sending {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) partition_count: PartitionCount,
    pub(crate) internal: mpsc::UnboundedSender<Internal>,
    pub(crate) settings: Arc<EngineSettings>,
}

/// Starts the dispatcher. It ends when the sender is dropped and everything is sent; abort it to end it sooner.
pub(crate) fn spawn(sending: Sending) -> (mpsc::UnboundedSender<Job>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, tokio::spawn(run(sending, receiver)))
}

async fn run(sending: Sending, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut under_way = FuturesUnordered::new();
    let mut open = true;
    while open || !under_way.is_empty() {
        tokio::select! {
            job = jobs.recv(), if open && under_way.len() < sending.settings.dispatches_in_flight_max => match job {
                Some(job) => under_way.push(send(&sending, job)),
                None => open = false,
            },
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
}

async fn send(sending: &Sending, job: Job) {
    match job {
        Job::Command { command, dispatch, traceparent } => {
            send_command(sending, command, &dispatch, traceparent.as_deref()).await;
        }
        Job::Forward { cancelled, request, traceparent } => {
            let partition = request.saga_id.partition(sending.partition_count);
            let answer = sending.transport.start_saga(partition, &request, traceparent.as_deref()).await;
            let result = match answer {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(problem)) if problem.kind != ProblemKind::Unavailable => Err(problem),
                // Asked again by the saga's own timer.
                Ok(Err(problem)) => {
                    tracing::debug!(saga.id = %cancelled, %problem, "the forward cancellation is not accepted yet");
                    return;
                }
                Err(error) => {
                    tracing::debug!(saga.id = %cancelled, %error, "the forward cancellation cannot be asked for yet");
                    return;
                }
            };
            // The loop is gone only when the partition is lost, and then its next owner asks again.
            let _ = sending.internal.send(Internal::ForwardAnswered { saga_id: cancelled, result });
        }
    }
}

async fn send_command(sending: &Sending, command: Command, dispatch: &str, traceparent: Option<&str>) {
    let mut delay = sending.settings.dispatch_retry_min;
    loop {
        match sending.transport.publish_command(&command, dispatch, traceparent).await {
            Ok(()) => return,
            Err(TransportError::Refused(reason)) => {
                tracing::error!(saga.id = %command.saga_id, step.name = command.step, reason,
                    "a command can never be sent as it is");
                let _ = sending.internal.send(Internal::CommandRefused { reply: refused(command) });
                return;
            }
            Err(TransportError::Unavailable(reason)) => {
                if command.expires_at <= Utc::now() {
                    tracing::debug!(saga.id = %command.saga_id, step.name = command.step, attempt = command.attempt,
                        reason, "an attempt was not sent within its time");
                    return;
                }
                tracing::debug!(saga.id = %command.saga_id, step.name = command.step, reason, "sending again");
            }
        }
        tokio::time::sleep(delay).await;
        delay = longer(delay, sending.settings.dispatch_retry_max);
    }
}

/// The answer to a command that no worker can get. It has not happened; only a probe cannot say so.
fn refused(command: Command) -> Reply {
    let error = StepError::new("command_refused", "the command is too large to be sent");
    let result = match command.operation {
        Operation::Do | Operation::Undo => StepResult::Failed { error },
        Operation::Probe => StepResult::Unknown { error },
    };
    Reply {
        saga_id: command.saga_id,
        step: command.step,
        operation: command.operation,
        attempt: command.attempt,
        result,
    }
}

/// Twice the delay, bounded.
pub(crate) fn longer(delay: Duration, most: Duration) -> Duration {
    (delay * 2).min(most)
}
