//! Sends what was decided: many at once, each until it is acknowledged.
//!
//! The loop hands over without waiting; what waits here is bounded by the sagas in flight, for each has one command. Nothing
//! is dropped but an attempt whose time has passed while NATS was away: by then the loop has decided what comes after it.

use std::sync::Arc;
use std::time::Duration;

use amends_schemas::command::{Command, Operation, Reply, StepError, StepResult};
use amends_schemas::ids::PartitionCount;
use chrono::Utc;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::errand::{self, Errand};
use crate::ports::{Transport, TransportError};
use crate::request::Internal;
use crate::settings::EngineSettings;

/// An attempt, to the workers.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) command: Command,
    pub(crate) dispatch: Arc<str>,
    pub(crate) traceparent: Option<Arc<str>>,
}

/// Where the loop puts what is to be sent. Two lanes, so that a partition without an owner holds up no command.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) attempts: mpsc::UnboundedSender<Attempt>,
    pub(crate) errands: mpsc::UnboundedSender<Errand>,
}

impl Lanes {
    /// Lanes that lead nowhere.
    pub(crate) fn closed() -> Self {
        Self { attempts: mpsc::unbounded_channel().0, errands: mpsc::unbounded_channel().0 }
    }
}

/// What sending needs.
#[derive(Clone)]
pub(crate) struct Sending {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) partition_count: PartitionCount,
    pub(crate) internal: mpsc::UnboundedSender<Internal>,
    pub(crate) settings: Arc<EngineSettings>,
}

/// Starts the dispatcher. It ends when the senders are dropped and every attempt is sent; abort it to end it sooner. An errand that is
/// not answered by then is the next owner's.
pub(crate) fn spawn(sending: Sending) -> (Lanes, JoinHandle<()>) {
    let (attempts_sender, attempts) = mpsc::unbounded_channel();
    let (errands_sender, errands) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let (sending, settings) = (&sending, &sending.settings);
        let errands = async {
            pump(errands, settings.errands_in_flight_max, |errand| errand::run(sending, errand)).await;
            std::future::pending().await
        };
        tokio::select! {
            () = pump(attempts, settings.dispatches_in_flight_max, |attempt| send_attempt(sending, attempt)) => {}
            () = errands => {}
        }
    });
    (Lanes { attempts: attempts_sender, errands: errands_sender }, task)
}

/// Sends what comes, at most so many at once, until nothing more comes and everything is sent.
async fn pump<J, F: Future<Output = ()>>(mut jobs: mpsc::UnboundedReceiver<J>, most: usize, send: impl Fn(J) -> F) {
    let mut under_way = FuturesUnordered::new();
    let mut open = true;
    while open || !under_way.is_empty() {
        tokio::select! {
            job = jobs.recv(), if open && under_way.len() < most => match job {
                Some(job) => under_way.push(send(job)),
                None => open = false,
            },
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
}

async fn send_attempt(sending: &Sending, attempt: Attempt) {
    let Attempt { command, dispatch, traceparent } = attempt;
    send_command(sending, command, &dispatch, traceparent.as_deref()).await;
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
