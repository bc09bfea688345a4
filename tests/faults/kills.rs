//! `kill -9` of each role at random moments under a stream of 200 sagas.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use amends_test_support::{Roles, wait};

use crate::BINARY;
use crate::audit::audit;
use crate::load::Load;

/// Sagas in the stream.
const SAGAS: usize = 200;

/// How long the stream may take to come as far as the next kill.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(180);

/// A small generator whose seed is printed, so that a failure can be played again with `AMENDS_FAULT_SEED`.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = std::env::var("AMENDS_FAULT_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("AMENDS_FAULT_SEED={seed}");
        Self(seed | 1)
    }

    /// A number below `bound` (xorshift, Marsaglia 2003).
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_killed_at_random_moments_loses_nothing() {
    let mut random = Random::seeded();
    let mut roles = Roles::start(BINARY).await;
    let event_id = roles.client.published_event(500, Some("25.00")).await;
    let load = Load::start(&roles.client, &event_id, SAGAS);

    // Every role dies once, in random order, at a random moment within its share of the stream.
    let mut victims = roles.names();
    let share = SAGAS / (victims.len() + 1);
    let mut due = 0;
    while !victims.is_empty() {
        let victim = victims.swap_remove(random.below(victims.len()));
        due += share;
        let moment = due - random.below(share);
        wait::until("the stream to come so far", PROGRESS_DEADLINE, async || {
            (load.accepted() >= moment.min(SAGAS)).then_some(())
        })
        .await;
        println!("killing {victim} after {} accepted", load.accepted());
        roles.kill(&victim).await;
        // Not at once: others must meet its absence.
        tokio::time::sleep(Duration::from_millis(random.below(1500) as u64)).await;
        roles.launch(&victim);
    }
    let accepted = load.finish().await;
    assert_eq!(accepted.len(), SAGAS);
    roles.until_ready().await;
    audit(&roles, &accepted).await;
}
