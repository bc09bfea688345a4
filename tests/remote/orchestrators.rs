//! Two orchestrators on one journal by mistake: leases let one work, and when leases fail the journal does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use amends_test_support::{Client, Roles, surreal_server, wait};

use crate::audit::audit;
use crate::load::{Accepted, Load};
use crate::{BINARY, until_accepted};

/// Sagas in each stream.
const SAGAS: usize = 60;

/// How long the first stays frozen: its leases (2 s) end, and the second takes its partitions over.
const FROZEN: Duration = Duration::from_secs(5);

/// How long a registration may wait for a killed orchestrator's successor: an end to waiting, not a measure. Alone, in release builds, it
/// serves within 3 s (the benchmark measures that); here debug builds of whole platforms share the cores with it.
const TAKEOVER_DEADLINE: Duration = Duration::from_secs(90);

/// How long the first may take to notice that it was replaced.
const NOTICE_DEADLINE: Duration = Duration::from_secs(30);

/// Partitions of a new deployment.
const PARTITIONS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_orchestrator_stands_by_and_a_first_that_stalled_gives_way() {
    let server = surreal_server().await;
    let mut roles = Roles::start_on(BINARY, &server).await;
    let event_id = roles.client.published_event(500, Some("25.00")).await;
    let second = roles.launch_another("orchestrator", &[]);
    let load = Load::start(&roles.client, &event_id, SAGAS);

    until_accepted(&load, SAGAS / 4).await;
    assert!(!second.log().contains("fenced"), "the second stands by:\n{}", second.log_tail());
    // Its leases end while it cannot know; when it goes on it still believes that it owns its partitions.
    let first = roles.process("orchestrator");
    first.freeze().await;
    tokio::time::sleep(FROZEN).await;
    first.thaw().await;
    wait::until("the first to say that it was replaced everywhere", NOTICE_DEADLINE, async || {
        (given_up(&first.log()).len() == PARTITIONS).then_some(())
    })
    .await;
    println!("fenced in {} of {PARTITIONS} partitions, gave up the others", fenced(&first.log()));
    let mut accepted = load.finish().await;

    // Now the second owns everything: it dies, and the first serves again.
    let mut second = second;
    second.kill().await;
    let died = Instant::now();
    accepted.extend(register(&roles.client, &event_id, 1_000..1_016).await);
    println!("sixteen registrations were accepted {:?} after the owner was killed", died.elapsed());
    audit(&roles, &accepted).await;
}

/// Registers people, all at once, until each is accepted, within [`TAKEOVER_DEADLINE`]: between them they meet every partition.
async fn register(client: &Client, event_id: &str, people: std::ops::Range<usize>) -> Vec<Accepted> {
    let answers = people.map(|person| async move {
        let body = Client::registration_body(event_id, person, Some("tok_ok"));
        let key = format!("takeover-{person}");
        let answer = client.post_surely("/v1/registrations", &key, &body, TAKEOVER_DEADLINE).await;
        Accepted { registration_id: answer.text("registration_id"), saga_id: answer.text("saga_id") }
    });
    futures::future::join_all(answers).await
}

/// The partitions that a log says were fenced or given up to somebody else.
fn given_up(log: &str) -> BTreeSet<&str> {
    log.lines()
        .filter(|line| line.contains("fenced by") || line.contains("somebody else holds the lease"))
        .filter_map(|line| line.split("partition=").nth(1)?.split_whitespace().next())
        .collect()
}

fn fenced(log: &str) -> usize {
    log.lines().filter(|line| line.contains("fenced by")).count()
}
