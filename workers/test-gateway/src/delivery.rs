//! Webhooks: sent until somebody takes them, also after a restart.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::keeper::{Ask, Keeper};
use crate::model::WebhookEvent;
use crate::signature;

/// Webhooks on their way at once; the rest waits its turn.
const IN_FLIGHT_MAX: usize = 16;

/// How long a receiver may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Backoff: from this, doubling,
const BACKOFF_MIN: Duration = Duration::from_millis(200);

/// to this, so that a receiver that comes back waits half a minute at most.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// An event this old is given up, as real gateways do after some days.
const AGE_MAX: TimeDelta = TimeDelta::days(3);

/// What a delivery task needs.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub keeper: Keeper,
    pub client: reqwest::Client,
    pub url: watch::Receiver<Option<String>>,
    pub secret: Arc<str>,
}

/// An event that was not taken: tried so often, next then.
struct Later {
    attempts: u32,
    at: DateTime<Utc>,
}

impl Delivery {
    /// Delivers until `shutdown`.
    pub async fn run(mut self, untold: Arc<Notify>, shutdown: CancellationToken) {
        let mut later: HashMap<String, Later> = HashMap::new();
        loop {
            let url = self.url.borrow_and_update().clone();
            let wait = match url {
                Some(url) => self.round(&url, &mut later).await,
                None => BACKOFF_MAX,
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = untold.notified() => {}
                changed = self.url.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sends what is due, once each; returns how long until the next is.
    async fn round(&self, url: &str, later: &mut HashMap<String, Later>) -> Duration {
        let Ok(events) = self.keeper.ask(|answer| Ask::Untold { answer }).await else { return BACKOFF_MAX };
        let now = Utc::now();
        later.retain(|id, _| events.iter().any(|event| event.id == *id));
        let mut due = events.into_iter().filter(|event| later.get(&event.id).is_none_or(|later| later.at <= now));
        let mut in_flight = JoinSet::new();
        for event in due.by_ref().take(IN_FLIGHT_MAX) {
            let (this, url) = (self.clone(), url.to_owned());
            in_flight.spawn(async move { (event.id.clone(), this.deliver(&url, &event, now).await) });
        }
        let more = due.next().is_some();
        while let Some(done) = in_flight.join_next().await {
            let Ok((id, taken)) = done else { continue };
            if taken {
                later.remove(&id);
            } else {
                let attempts = later.get(&id).map_or(0, |later| later.attempts) + 1;
                later.insert(id, Later { attempts, at: Utc::now() + backoff(attempts) });
            }
        }
        let next = later.values().map(|later| later.at).min();
        let wait = next.map_or(BACKOFF_MAX, |at| (at - Utc::now()).to_std().unwrap_or_default());
        if more { Duration::ZERO } else { wait }
    }

    /// Whether the event is settled: taken, or too old to go on with.
    async fn deliver(&self, url: &str, event: &WebhookEvent, now: DateTime<Utc>) -> bool {
        let taken = match serde_json::to_string(event) {
            Ok(body) => self.send(url, body).await,
            Err(_) => false,
        };
        if !taken && now - event.created_at < AGE_MAX {
            tracing::debug!(event_id = event.id, "webhook not taken, will be sent again");
            return false;
        }
        self.keeper.ask(|answer| Ask::WebhookTaken { event_id: event.id.clone(), answer }).await.is_ok()
    }

    async fn send(&self, url: &str, body: String) -> bool {
        let signature = signature::sign(&self.secret, Utc::now().timestamp(), &body);
        let request = self.client.post(url).header(signature::HEADER, signature);
        let request = request.header("content-type", "application/json").timeout(ANSWER_TIMEOUT).body(body);
        request.send().await.is_ok_and(|response| response.status().is_success())
    }
}

fn backoff(attempts: u32) -> TimeDelta {
    let doubled = BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
    TimeDelta::from_std(doubled.min(BACKOFF_MAX)).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_its_bound() {
        let all: Vec<i64> = [1, 2, 3, 9, 400].map(|attempts| backoff(attempts).num_milliseconds()).to_vec();
        assert_eq!(all, [200, 400, 800, 30_000, 30_000]);
    }
}
