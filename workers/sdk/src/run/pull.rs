//! Pulls from a consumer for ever: never more than there is room to begin at once, through lost connections and vanished streams.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use amends_nats::topology::PullConsumer;
use amends_nats::{Nats, NatsError};
use amends_schemas::topology::ACK_WAIT;
use async_nats::jetstream::{AckKind, Message};
use futures::StreamExt;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::condition::Condition;
use crate::context::WorkerSettings;
use crate::serve::jittered;

/// Most messages asked for at once; a larger concurrency asks again sooner than the first are done.
const BATCH_MAX: usize = 256;

/// How long a pull stays open when nothing comes. A pull that the server has forgotten without saying so costs this much and the
/// client's own patience of five seconds.
const PULL_OPEN: Duration = Duration::from_secs(5);

/// The first pause before a consumer is opened again.
const REOPEN_PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest.
const REOPEN_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long giving back what was delivered after shutdown may take.
const GIVE_BACK_WAIT: Duration = Duration::from_millis(100);

/// How a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is done.
    Ack,
    /// It shall come again.
    Nak(Duration),
    /// It shall never come again.
    Term,
}

/// Where messages come from and what is done with them.
pub(super) trait Handle: Send + Sync + 'static {
    /// For logs.
    fn subject(&self) -> String;
    /// Opens the consumer, making what is missing.
    fn open(&self) -> impl Future<Output = Result<PullConsumer, NatsError>> + Send;
    /// Handles one message. Dropped when a drain takes too long.
    fn handle(&self, message: &Message) -> impl Future<Output = Ending> + Send;
}

/// Pulls until `shutdown`, then drains.
pub(super) async fn run<H: Handle>(handler: Arc<H>, nats: Nats, settings: WorkerSettings, shutdown: CancellationToken) {
    let mut condition = Condition::new(handler.subject());
    let room = Arc::new(Semaphore::new(settings.concurrency.max(1)));
    let running = TaskTracker::new();
    let give_up = CancellationToken::new();
    let mut pause = REOPEN_PAUSE_MIN;
    while !shutdown.is_cancelled() {
        let puller = Puller { nats: &nats, handler: &handler, room: &room, running: &running, give_up: &give_up };
        let pulled = tokio::select! {
            biased;
            // Not around the pulling itself, which has messages in hand.
            () = shutdown.cancelled() => break,
            opened = handler.open() => match opened {
                Err(error) => Err(error.to_string()),
                Ok(consumer) => Ok(consumer),
            },
        };
        let reason = match pulled {
            Ok(consumer) => match puller.pull(&consumer, &shutdown, &mut condition, &mut pause).await {
                Pulled::Shutdown => break,
                Pulled::Reopen => continue,
                Pulled::Trouble(reason) => reason,
            },
            Err(reason) => reason,
        };
        condition.ill(&reason);
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(jittered(pause)) => pause = (pause * 2).min(REOPEN_PAUSE_MAX),
        }
    }
    running.close();
    if tokio::time::timeout(settings.drain, running.wait()).await.is_err() {
        tracing::warn!(
            subject = handler.subject(),
            left = running.len(),
            "drained too long; giving back what still runs"
        );
        give_up.cancel();
        running.wait().await;
    }
}

/// Why pulling ended.
enum Pulled {
    Shutdown,
    /// The connection is another one: what was asked for on the old one is forgotten.
    Reopen,
    Trouble(String),
}

struct Puller<'a, H> {
    nats: &'a Nats,
    handler: &'a Arc<H>,
    room: &'a Arc<Semaphore>,
    running: &'a TaskTracker,
    give_up: &'a CancellationToken,
}

impl<H: Handle> Puller<'_, H> {
    async fn pull(
        &self,
        consumer: &PullConsumer,
        shutdown: &CancellationToken,
        condition: &mut Condition,
        pause: &mut Duration,
    ) -> Pulled {
        let mut connections = self.nats.connections();
        connections.mark_unchanged();
        loop {
            let mut places = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Pulled::Shutdown,
                place = Arc::clone(self.room).acquire_owned() => place.expect("the semaphore is never closed"),
            };
            let more = self.room.available_permits().min(BATCH_MAX - 1);
            if let Ok(others) = Arc::clone(self.room).try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
                places.merge(others);
            }
            let asked = consumer.batch().max_messages(places.num_permits()).expires(PULL_OPEN).messages().await;
            let mut batch = match asked {
                Ok(batch) => batch,
                Err(error) => return Pulled::Trouble(error.to_string()),
            };
            loop {
                let next = tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {
                        give_back(batch).await;
                        return Pulled::Shutdown;
                    }
                    changed = connections.changed() => match changed {
                        Ok(()) => return Pulled::Reopen,
                        Err(_) => return Pulled::Trouble("the connection is closed".to_owned()),
                    },
                    next = batch.next() => next,
                };
                match next {
                    // Full, or nothing came: either way the server is there.
                    None => {
                        condition.well();
                        *pause = REOPEN_PAUSE_MIN;
                        break;
                    }
                    Some(Ok(message)) => {
                        condition.well();
                        *pause = REOPEN_PAUSE_MIN;
                        if let Some(place) = places.split(1) {
                            let begun = begin(Arc::clone(self.handler), message, self.give_up.clone());
                            self.running.spawn(async move {
                                begun.await;
                                drop(place);
                            });
                        }
                    }
                    Some(Err(error)) => return Pulled::Trouble(error.to_string()),
                }
            }
        }
    }
}

/// Handles one message to its end, telling JetStream in the meantime that it is in progress.
async fn begin<H: Handle>(handler: Arc<H>, message: Message, give_up: CancellationToken) {
    let ending = {
        let handling = handler.handle(&message);
        tokio::pin!(handling);
        let mut progress = tokio::time::interval(ACK_WAIT / 3);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        progress.reset();
        loop {
            tokio::select! {
                ending = &mut handling => break ending,
                () = give_up.cancelled() => break Ending::Nak(Duration::ZERO),
                // A lost one is made up for by the next; after the last the message comes again.
                _ = progress.tick() => { let _ = message.ack_with(AckKind::Progress).await; }
            }
        }
    };
    let sent = match ending {
        Ending::Ack => message.ack().await,
        Ending::Nak(delay) => message.ack_with(AckKind::Nak((!delay.is_zero()).then_some(delay))).await,
        Ending::Term => message.ack_with(AckKind::Term).await,
    };
    if let Err(error) = sent {
        tracing::debug!(subject = handler.subject(), %error, "a message could not be settled; it comes again");
    }
}

/// What was delivered but not begun goes to another worker at once.
async fn give_back(mut batch: async_nats::jetstream::consumer::pull::Batch) {
    let giving = async {
        while let Some(Ok(message)) = batch.next().await {
            let _ = message.ack_with(AckKind::Nak(None)).await;
        }
    };
    let _ = tokio::time::timeout(GIVE_BACK_WAIT, giving).await;
}

/// How long a message that was not handled stays away: longer each time it is delivered, up to `max`.
pub(super) fn redelivery_delay(delivered: i64, min: Duration, max: Duration) -> Duration {
    let doublings = u32::try_from(delivered.clamp(1, 20)).unwrap_or(1) - 1;
    jittered(min.saturating_mul(1 << doublings).min(max))
}
