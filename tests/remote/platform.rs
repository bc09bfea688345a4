//! Everything on one server: what works embedded works here, and the server's death is a pause.

use std::time::Duration;

use amends_test_support::{Platform, Roles, surreal, surreal_server};
use serde_json::json;

use crate::audit::audit;
use crate::load::Load;
use crate::{BINARY, until_accepted};

/// How long one saga may take.
const SAGA_DEADLINE: Duration = Duration::from_secs(60);

/// Sagas in the stream.
const SAGAS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_keeps_its_data_in_a_server() {
    let server = surreal_server().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("amends.toml");
    let (username, password) = (surreal::USERNAME, surreal::PASSWORD);
    std::fs::write(&config, format!("[database]\nusername = \"{username}\"\npassword = \"{password}\"\n"))
        .expect("the configuration can be written");
    let more = ["--database", &server.url(), "--config", &config.to_string_lossy()];
    let mut platform = Platform::start_with(BINARY, &more).await;
    let event_id = platform.client.published_event(2, Some("80.00")).await;
    let accepted = platform.client.register(&event_id, 1, Some("tok_ok")).await;
    let path = format!("/v1/registrations/{}", accepted.text("registration_id"));
    platform.client.saga_in(&accepted.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    assert_eq!(platform.client.get(&path).await.body["status"], "confirmed");
    assert!(!platform.data_dir().join("db").exists(), "nothing is kept beside the server");

    platform.kill_and_restart().await;
    let cancelled = platform.client.post(&format!("{path}/cancel"), &json!({"reason": "cannot come"})).await;
    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    platform.client.saga_in(&cancelled.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    assert_eq!(platform.client.get(&path).await.body["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_under_load_loses_nothing() {
    let mut server = surreal_server().await;
    let roles = Roles::start_on(BINARY, &server).await;
    let event_id = roles.client.published_event(500, Some("25.00")).await;
    let load = Load::start(&roles.client, &event_id, SAGAS);
    for moment in [SAGAS / 4, SAGAS / 2] {
        until_accepted(&load, moment).await;
        server.kill().await;
        // Not at once: everybody must meet its absence.
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.start().await;
    }
    let accepted = load.finish().await;
    assert_eq!(accepted.len(), SAGAS);
    roles.until_ready().await;
    audit(&roles, &accepted).await;
}
