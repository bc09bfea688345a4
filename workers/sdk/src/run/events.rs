//! Domain events of other contexts: one durable consumer for all types this context listens to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amends_nats::topology::PullConsumer;
use amends_nats::{Nats, NatsError, trace};
use amends_schemas::event::CloudEvent;
use async_nats::jetstream::Message;
use tracing::{Instrument, info_span};

use super::dead_letter::{Cause, bury, redriven_for};
use super::pull::{Ending, Handle, redelivery_delay};
use crate::scope::Scope;
use crate::serve::{Heard, ServeSubscriber, hear};

/// First delay of an event that was not taken in.
const REDELIVERY_MIN: Duration = Duration::from_millis(100);

/// Longest delay.
const REDELIVERY_MAX: Duration = Duration::from_secs(30);

/// Deliveries after which an event that trips a bug becomes a dead letter. With the delays that is about twenty minutes; without a bound
/// it would vanish unseen when the stream forgets it.
const BUG_DELIVERIES_MAX: i64 = 50;

/// All events of one context.
pub(super) struct Events {
    nats: Nats,
    scope: Scope,
    subscribers: HashMap<&'static str, Arc<dyn ServeSubscriber>>,
}

impl Events {
    pub(super) fn new(nats: Nats, scope: Scope, subscribers: Vec<Arc<dyn ServeSubscriber>>) -> Self {
        let subscribers = subscribers.into_iter().map(|subscriber| (subscriber.event_type(), subscriber)).collect();
        Self { nats, scope, subscribers }
    }
}

impl Handle for Events {
    fn subject(&self) -> String {
        format!("events for {}", self.scope.context)
    }

    async fn open(&self) -> Result<PullConsumer, NatsError> {
        let mut types: Vec<String> = self.subscribers.keys().map(|&event_type| event_type.to_owned()).collect();
        types.sort();
        self.nats.event_consumer(self.scope.context, &types).await
    }

    async fn handle(&self, message: &Message) -> Ending {
        // Published again for one context; the others have it, or have their own dead letter.
        if redriven_for(message).is_some_and(|(context, _)| context != self.scope.context) {
            return Ending::Ack;
        }
        let event: CloudEvent = match serde_json::from_slice(&message.payload) {
            Ok(event) => event,
            Err(error) => {
                let reason = format!(
                    "no event: {:?} error at line {} column {}",
                    error.classify(),
                    error.line(),
                    error.column()
                );
                return put_aside(&self.scope, message, "malformed_event", reason).await;
            }
        };
        // A type that an older version of this context listened to.
        let Some(subscriber) = self.subscribers.get(event.event_type.as_str()) else { return Ending::Ack };
        let delivered = message.info().map_or(1, |info| info.delivered);
        let span =
            info_span!("event", event.type = event.event_type, event.id = %event.id, context = self.scope.context);
        trace::set_parent(&span, message.headers.as_ref());
        let scope = self.scope.of_message(message.headers.as_ref());
        let later = Ending::Nak(redelivery_delay(delivered, REDELIVERY_MIN, REDELIVERY_MAX));
        async {
            match hear(&scope, subscriber, event).await {
                Heard::Done => Ending::Ack,
                Heard::Later => later,
                Heard::Unreadable(reason) => put_aside(&scope, message, "unreadable_event", reason).await,
                Heard::Bug(reason) if delivered >= BUG_DELIVERIES_MAX => {
                    put_aside(&scope, message, "bug", reason).await
                }
                Heard::Bug(reason) => {
                    tracing::error!(code = "bug", reason, delivered, "an event could not be taken in; it comes again");
                    later
                }
            }
        }
        .instrument(span)
        .await
    }
}

async fn put_aside(scope: &Scope, message: &Message, code: &'static str, reason: String) -> Ending {
    bury(scope, message, Cause { code, reason, about: None }).await.ending()
}
