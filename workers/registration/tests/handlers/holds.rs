//! Holds whose time is up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_registration::holds::ExpireHolds;
use amends_registration::{LivenessUnknown, SagaLiveness, Settings, context};
use amends_schemas::ids::SagaId;
use amends_sdk::testing::Harness;
use serde_json::json;

use crate::scene::{Person, availability, ended, published, within};

/// Answers what the test says; nobody answers for a saga that is not listed.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<BTreeMap<SagaId, bool>>>);

impl Told {
    fn say(&self, saga_id: SagaId, alive: bool) {
        self.0.lock().expect("not poisoned").insert(saga_id, alive);
    }
}

#[async_trait::async_trait]
impl SagaLiveness for Told {
    async fn is_alive(&self, saga_id: SagaId) -> Result<bool, LivenessUnknown> {
        let told = self.0.lock().expect("not poisoned").get(&saga_id).copied();
        told.ok_or_else(|| LivenessUnknown("no owner answers".into()))
    }
}

async fn start(hold: Duration) -> (Harness, Told) {
    let told = Told::default();
    let settings = Settings { hold, liveness: Arc::new(told.clone()) };
    (Harness::new(context(settings)).await, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_pinned_while_its_saga_lives_and_released_when_not() {
    within(async {
        let (harness, told) = start(Duration::ZERO).await;
        let event_id = published(&harness, 4, Some("120")).await;
        let [alive, dead, in_doubt, confirmed] =
            ["alive", "dead", "doubt", "sure"].map(|name| Person::new(event_id, &format!("{name}@example.org")));
        for person in [&alive, &dead, &in_doubt, &confirmed] {
            assert_eq!(ended(&person.reserve(&harness).await), "paid");
        }
        confirmed.confirm(&harness).await;
        told.say(alive.saga_id, true);
        told.say(dead.saga_id, false);
        told.say(confirmed.saga_id, false);
        let before = alive.view(&harness).await["hold_expires_at"].clone();

        assert_eq!(harness.tick::<ExpireHolds>().await.ok(), Some(false));
        assert_eq!(alive.short(&harness).await, "pending seat 1");
        assert_ne!(alive.view(&harness).await["hold_expires_at"], before, "its hold is pinned for longer");
        assert_eq!(dead.short(&harness).await, "rejected");
        assert_eq!(dead.view(&harness).await["reason"], json!("hold_expired"));
        assert_eq!(in_doubt.short(&harness).await, "pending seat 3", "in doubt the seat stays");
        assert_eq!(confirmed.short(&harness).await, "confirmed seat 4");
        assert_eq!(availability(&harness, event_id).await, [4, 3, 1, 0]);

        // Its owner says it is over, but the pin has not run out: nobody asks again yet.
        told.say(alive.saga_id, false);
        harness.tick::<ExpireHolds>().await.expect("a round");
        assert_eq!(alive.short(&harness).await, "pending seat 1");
        assert_eq!(ended(&alive.confirm(&harness).await), "succeeded");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_that_run_are_left_alone_and_many_are_taken_in_rounds() {
    within(async {
        let (harness, told) = start(Duration::from_secs(3600)).await;
        let event_id = published(&harness, 10, None).await;
        let person = Person::new(event_id, "ada@example.org");
        person.reserve(&harness).await;
        told.say(person.saga_id, false);
        assert_eq!(harness.tick::<ExpireHolds>().await.ok(), Some(false));
        assert_eq!(person.short(&harness).await, "pending seat 1");

        let (harness, told) = start(Duration::ZERO).await;
        let event_id = published(&harness, 100, None).await;
        for n in 0..40 {
            let person = Person::new(event_id, &format!("person-{n}@example.org"));
            person.reserve(&harness).await;
            told.say(person.saga_id, false);
        }
        assert_eq!(harness.tick::<ExpireHolds>().await.ok(), Some(true), "there is more to do");
        assert_eq!(harness.tick::<ExpireHolds>().await.ok(), Some(false));
        assert_eq!(availability(&harness, event_id).await, [100, 0, 0, 0]);
    })
    .await;
}
