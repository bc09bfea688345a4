//! A stream of registrations from clients that want them done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_test_support::Client;
use tokio::task::JoinSet;

/// Clients at once.
const CLIENTS: usize = 8;

/// How long a client tries until a registration is accepted, over all the deaths in between.
const ACCEPT_DEADLINE: Duration = Duration::from_secs(180);

/// An accepted registration.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub registration_id: String,
    pub saga_id: String,
}

/// A stream under way.
pub struct Load {
    clients: JoinSet<Vec<Accepted>>,
    accepted: Arc<AtomicUsize>,
}

impl Load {
    /// Starts a stream of `count` registrations for `event_id`; every fourth card is declined.
    pub fn start(client: &Client, event_id: &str, count: usize) -> Self {
        let accepted = Arc::new(AtomicUsize::new(0));
        let next = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (client, event_id) = (client.clone(), event_id.to_owned());
            let (next, accepted) = (Arc::clone(&next), Arc::clone(&accepted));
            clients.spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let person = next.fetch_add(1, Ordering::Relaxed);
                    if person >= count {
                        return mine;
                    }
                    let token = if person % 4 == 3 { "tok_declined" } else { "tok_ok" };
                    let body = Client::registration_body(&event_id, person, Some(token));
                    // The same key on every try: a lost answer must not make a second registration.
                    let answer = client
                        .post_surely("/v1/registrations", &format!("load-{person}"), &body, ACCEPT_DEADLINE)
                        .await;
                    assert_eq!(answer.status, 202, "{answer:?}");
                    mine.push(Accepted {
                        registration_id: answer.text("registration_id"),
                        saga_id: answer.text("saga_id"),
                    });
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { clients, accepted }
    }

    /// How many have been accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits until all are accepted.
    pub async fn finish(self) -> Vec<Accepted> {
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}
