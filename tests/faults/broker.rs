//! The broker dies and comes back empty, under load.

use std::time::Duration;

use amends_test_support::{Roles, wait};

use crate::BINARY;
use crate::audit::audit;
use crate::load::Load;

/// Sagas in the stream.
const SAGAS: usize = 100;

/// How long the stream may take to come to its middle.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgets_everything_loses_nothing() {
    let mut roles = Roles::start(BINARY).await;
    let event_id = roles.client.published_event(500, Some("25.00")).await;
    let load = Load::start(&roles.client, &event_id, SAGAS);
    for moment in [SAGAS / 4, SAGAS / 2] {
        wait::until("the stream to come so far", PROGRESS_DEADLINE, async || (load.accepted() >= moment).then_some(()))
            .await;
        roles.nats.kill().await;
        roles.nats.delete_store();
        roles.nats.start().await;
    }
    let accepted = load.finish().await;
    assert_eq!(accepted.len(), SAGAS);
    roles.until_ready().await;
    audit(&roles, &accepted).await;
}
