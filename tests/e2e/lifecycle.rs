//! Starting, ending, being killed, starting again.

use std::path::Path;
use std::process::Command;

use amends_test_support::Platform;
use amends_test_support::process::{Process, free_port};
use serde_json::json;

use crate::{BINARY, SAGA_DEADLINE, platform};

#[tokio::test]
async fn what_was_in_flight_goes_on_after_kill_9() {
    let mut platform = platform().await;
    let event_id = platform.client.published_event(20, Some("30.00")).await;
    let mut sagas = Vec::new();
    for person in 0..10 {
        sagas.push(platform.client.register(&event_id, person, Some("tok_ok")).await);
    }
    platform.kill_and_restart().await;
    for accepted in &sagas {
        platform.client.saga_in(&accepted.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
        let registration =
            platform.client.get(&format!("/v1/registrations/{}", accepted.text("registration_id"))).await.body;
        assert_eq!(registration["status"], "confirmed");
    }
    assert_eq!(platform.ledger().await["charges"].as_array().expect("charges").len(), 10);
}

#[tokio::test]
async fn it_ends_in_order_when_asked_and_starts_again() {
    let mut platform = platform().await;
    let event_id = platform.client.published_event(20, None).await;
    let accepted = platform.client.register(&event_id, 1, None).await;
    assert!(platform.stop().await, "it did not end well:\n{}", platform.log_tail());
    assert!(!platform.log_tail().contains("WARN"), "an end in order is no trouble:\n{}", platform.log_tail());
    platform.restart().await;
    platform.client.saga_in(&accepted.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
}

#[tokio::test]
async fn a_second_one_on_the_same_data_is_refused_and_leaves_the_first_alone() {
    let platform = platform().await;
    let output = Command::new(BINARY)
        .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(platform.data_dir())
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("is in use by another `amends dev`"), "{text}");
    let event_id = platform.client.published_event(20, Some("30.00")).await;
    let accepted = platform.client.register(&event_id, 1, Some("tok_ok")).await;
    platform.client.saga_in(&accepted.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
}

#[tokio::test]
async fn its_nats_server_may_be_killed_too() {
    let mut platform = platform().await;
    let event_id = platform.client.published_event(20, Some("30.00")).await;
    let before = platform.client.register(&event_id, 1, Some("tok_ok")).await;
    let pid = std::fs::read_to_string(platform.data_dir().join("nats/nats-server.pid")).expect("it wrote its pid");
    assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().expect("kill runs").success());
    platform.client.saga_in(&before.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    let after = platform.client.register(&event_id, 2, Some("tok_ok")).await;
    platform.client.saga_in(&after.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    assert!(platform.stop().await, "it did not end well:\n{}", platform.log_tail());
}

#[tokio::test]
async fn a_role_that_waits_for_nats_says_so_and_can_be_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data").to_string_lossy().into_owned();
    for role in [&["orchestrator"][..], &["worker", "billing"], &["api", "--listen", "127.0.0.1:0"]] {
        let nobody = format!("nats://127.0.0.1:{}", free_port());
        let arguments: Vec<String> =
            role.iter().copied().chain(["--nats", &nobody, "--data-dir", &data_dir]).map(str::to_owned).collect();
        let mut process = Process::start(Path::new(BINARY), &arguments, &folder.path().join(role[0]));
        amends_test_support::wait::until("the wait to be told", SAGA_DEADLINE, async || {
            process.log_tail().contains("NATS does not answer yet").then_some(())
        })
        .await;
        assert!(process.stop().await, "{role:?} did not end:\n{}", process.log_tail());
    }
}

#[tokio::test]
async fn the_number_of_partitions_is_fixed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut platform = Platform::start(BINARY).await;
    assert!(platform.stop().await);
    let output = Command::new(BINARY)
        .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(platform.data_dir())
        .env("AMENDS_ORCHESTRATOR__PARTITIONS", "7")
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("partitions") && text.contains("7 were asked for"), "{text}");
}

#[tokio::test]
async fn the_command_line_lists_shows_and_cancels() {
    let platform = platform().await;
    let event_id = platform.client.published_event(20, None).await;
    let accepted = platform.client.register(&event_id, 1, None).await;
    let saga_id = accepted.text("saga_id");
    platform.client.saga_in(&saga_id, &["completed"], SAGA_DEADLINE).await;
    let amends = |arguments: &[&str]| {
        let output =
            Command::new(BINARY).args(arguments).args(["--api", &platform.client.base]).output().expect("it runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {err}");
        out.into_owned()
    };
    let shown = amends(&["saga", "show", &saga_id, "--history"]);
    assert!(
        shown.contains("registration@1") && shown.contains("✓ reserve") && shown.contains("saga_completed"),
        "{shown}"
    );
    assert!(amends(&["saga", "watch", &saga_id]).contains("completed"));
    let cancelled = amends(&["saga", "cancel", &saga_id, "--reason", "shown in a test"]);
    assert!(cancelled.contains("going forward"), "{cancelled}");
    amends_test_support::wait::until("the list to show it", SAGA_DEADLINE, async || {
        amends(&["saga", "list", "--definition", "registration", "--status", "completed"])
            .contains(&saga_id)
            .then_some(())
    })
    .await;
    let saga = platform.client.get(&format!("/v1/sagas/{saga_id}")).await.body;
    let forward = saga["cancelled_by"].as_str().expect("a forward saga").to_owned();
    platform.client.saga_in(&forward, &["completed"], SAGA_DEADLINE).await;
    assert_eq!(platform.client.get(&format!("/v1/sagas/{saga_id}")).await.body["status"], json!("completed"));
}
