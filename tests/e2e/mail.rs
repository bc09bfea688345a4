//! A mail server that is down holds nobody up, and is not told twice.

use amends_test_support::smtp::{Mood, SmtpServer};
use amends_test_support::{Platform, wait};

use crate::{BINARY, SAGA_DEADLINE};

#[tokio::test]
async fn with_the_mail_server_down_the_seat_is_confirmed_and_the_message_comes_once_when_it_is_back() {
    let server = SmtpServer::start(Mood::Willing).await;
    let url = server.url();
    let address = server.stop().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("amends.toml");
    std::fs::write(&config, format!("[mail]\nsmtp_url = \"{url}?tls=never\"\n")).expect("written");
    let platform = Platform::start_with(BINARY, &["--config", &config.to_string_lossy()]).await;
    let client = &platform.client;

    let event_id = client.published_event(5, Some("9.90")).await;
    let accepted = client.register(&event_id, 1, Some("tok_ok")).await;
    let saga_path = format!("/v1/sagas/{}", accepted.text("saga_id"));
    let waiting_for = wait::until("the saga to wait for the mail server", SAGA_DEADLINE, async || {
        let saga = client.get(&saga_path).await.body;
        let waiting_for = saga["waiting_for"].as_str()?.to_owned();
        (waiting_for.contains("notify") && waiting_for.contains("mail_server_unreachable")).then_some(waiting_for)
    })
    .await;
    assert!(waiting_for.contains("backing off until"), "{waiting_for}");
    let registration = client.get(&format!("/v1/registrations/{}", accepted.text("registration_id"))).await.body;
    assert_eq!(registration["status"], "confirmed", "failure to tell undoes nothing");

    let server = SmtpServer::listen(address, Mood::Willing).await;
    client.saga_in(&accepted.text("saga_id"), &["completed"], SAGA_DEADLINE).await;
    let messages = server.accepted();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0].to, "person1@example.org");
}
