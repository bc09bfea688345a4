//! Deliveries end to end: into a folder, and over SMTP to a server that works, misbehaves, or is down.

#[allow(dead_code)]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use amends_notification::domain::Delivery;
use amends_notification::queries::ListDeliveries;
use amends_notification::steps::SendMessage;
use amends_notification::{NotificationSettings, context};
use amends_schemas::library;
use amends_schemas::saga::Page;
use amends_sdk::testing::Harness;
use amends_test_support::smtp::{Mood, SmtpServer};
use serde_json::{Value, json};
use support::{ending, input, output, registration, saga, within};

async fn by_smtp(server: &SmtpServer) -> Harness {
    Harness::new(context(NotificationSettings::by_smtp(&server.url()).expect("a valid URL"))).await
}

async fn in_folder(folder: &Path) -> Harness {
    Harness::new(context(NotificationSettings::in_folder(folder))).await
}

fn confirmed(n: u128) -> Value {
    input(n, "registration-confirmed", "fr-FR")
}

async fn deliveries(harness: &Harness, request: Value) -> Page<Delivery> {
    serde_json::from_value(harness.ask::<ListDeliveries>(request).await.expect("listed")).expect("a page")
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|f| f.expect("a file").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message.lines().find(|line| line.starts_with(&format!("{name}: "))).expect(name);
    line.split_once(": ").expect("a header").1
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_sent_twenty_times_at_once_writes_one_file() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mail = folder.path().join("mail");
        let harness = Arc::new(in_folder(&mail).await);
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let harness = Arc::clone(&harness);
            asking
                .spawn(async move { output(harness.execute::<SendMessage>(saga(1), confirmed(1)).await).to_string() });
        }
        let answers: BTreeSet<String> = asking.join_all().await.into_iter().collect();
        assert_eq!(answers.len(), 1, "{answers:?}");
        let output: Value = serde_json::from_str(answers.first().expect("one")).expect("JSON");
        assert_eq!(files(&mail), [format!("{}.eml", output["delivery_id"].as_str().expect("an id"))]);

        let events = harness.published().await;
        let [event] = events.as_slice() else { panic!("one event, not {events:?}") };
        assert_eq!(event.event_type, "notification.NotificationDelivered.v1");
        let schema = library::event_schema(&event.event_type).expect("it has a schema");
        jsonschema::validate(&schema, &event.data).expect("it fits");
        assert!(!event.data.to_string().contains("zoe@"), "nothing about the person");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_newest_first_in_pages() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let harness = in_folder(folder.path()).await;
        for n in 0..5 {
            output(harness.execute::<SendMessage>(saga(n), confirmed(n)).await);
        }
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = deliveries(&harness, json!({"limit": 2, "cursor": cursor})).await;
            assert!(page.items.len() <= 2);
            seen.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen.len(), 5);
        assert!(seen.is_sorted_by(|a, b| a.created_at >= b.created_at), "newest first");
        assert_eq!(seen.iter().map(|delivery| delivery.delivery_id).collect::<BTreeSet<_>>().len(), 5, "each once");

        let of_one = deliveries(&harness, json!({"registration_id": registration(3)})).await;
        let [delivery] = of_one.items.as_slice() else { panic!("one delivery, not {:?}", of_one.items) };
        assert_eq!(serde_json::to_value(delivery.status).expect("JSON"), "delivered");
        assert_eq!((delivery.recipient.email.as_str(), delivery.attempt_count), ("zoe@example.org", 1));
        assert_eq!(delivery.subject, "Votre inscription à Rust & Café, jour 1 est confirmée");
        assert!(deliveries(&harness, json!({"registration_id": registration(9)})).await.items.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_gets_the_message_with_its_calendar_entry() {
    within(async {
        let server = SmtpServer::start(Mood::Willing).await;
        let harness = by_smtp(&server).await;
        let sent = output(harness.execute::<SendMessage>(saga(1), confirmed(1)).await);
        let again = output(harness.execute::<SendMessage>(saga(1), confirmed(1)).await);
        assert_eq!(again, sent);

        let accepted = server.accepted();
        let [mail] = accepted.as_slice() else { panic!("one message, not {accepted:?}") };
        assert_eq!((mail.from.as_str(), mail.to.as_str()), ("no-reply@amends.invalid", "zoe@example.org"));
        assert_eq!(header(&mail.message, "Message-ID"), sent["message_id"]);
        assert!(header(&mail.message, "Content-Type").starts_with("multipart/mixed"));
        for part in ["multipart/alternative", "text/plain", "text/html", "text/calendar; charset=utf-8; method=PUBLISH"]
        {
            assert!(mail.message.contains(&format!("Content-Type: {part}")), "{part} in {}", mail.message);
        }
        assert!(mail.message.contains(&format!("UID:{}", registration(1))), "{}", mail.message);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_at_once_all_arrive_over_few_connections() {
    within(async {
        let server = SmtpServer::start(Mood::Willing).await;
        let harness = Arc::new(by_smtp(&server).await);
        let mut asking = tokio::task::JoinSet::new();
        for n in 0..60 {
            let harness = Arc::clone(&harness);
            asking.spawn(async move { output(harness.execute::<SendMessage>(saga(n), confirmed(n)).await) });
        }
        asking.join_all().await;
        assert_eq!(server.accepted().len(), 60);
        // Twice the bound: the server may notice that one has gone only after the next has come.
        assert!((1..=32).contains(&server.connections_at_once()), "{}", server.connections_at_once());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_asked_again_and_gets_the_message_once() {
    within(async {
        let server = SmtpServer::start(Mood::Willing).await;
        let harness = by_smtp(&server).await;
        let address = server.stop().await;
        for attempt in 1..=3 {
            let result = harness.execute::<SendMessage>(saga(1), confirmed(1)).await;
            assert_eq!(ending(result), ("retry", "mail_server_unreachable".to_owned()), "attempt {attempt}");
        }
        let pending = deliveries(&harness, json!({"registration_id": registration(1)})).await.items.remove(0);
        assert_eq!(serde_json::to_value(pending.status).expect("JSON"), "pending");
        assert_eq!((pending.attempt_count, pending.error.as_deref()), (3, Some("mail_server_unreachable")));
        assert!(harness.published().await.is_empty());

        let server = SmtpServer::listen(address, Mood::Willing).await;
        output(harness.execute::<SendMessage>(saga(1), confirmed(1)).await);
        output(harness.execute::<SendMessage>(saga(1), confirmed(1)).await);
        assert_eq!(server.accepted().len(), 1);
        let delivered = deliveries(&harness, json!({})).await.items.remove(0);
        assert_eq!((delivered.delivery_id, delivered.attempt_count, delivered.error), (pending.delivery_id, 4, None));
        assert_eq!(harness.published().await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_a_server_refuses_has_its_own_ending() {
    within(async {
        let server = SmtpServer::start(Mood::Willing).await;
        let harness = by_smtp(&server).await;
        for (n, mood, kind, code) in [
            (1, Mood::ShuttingDown, "retry", "mail_server_busy"),
            (2, Mood::Silent, "retry", "mail_server_unreachable"),
            (3, Mood::Greylisting, "retry", "mail_server_busy"),
            (4, Mood::UnknownSender, "retry", "mail_server_refuses"),
            (5, Mood::DropsBeforeData, "retry", "mail_server_unreachable"),
            (6, Mood::UnknownRecipient, "failed", "recipient_rejected"),
            (7, Mood::Spam, "failed", "message_rejected"),
        ] {
            server.be(mood);
            let result = harness.execute::<SendMessage>(saga(n), confirmed(n)).await;
            assert_eq!(ending(result), (kind, code.to_owned()), "{mood:?}");
        }
        assert!(server.accepted().is_empty());
        // What was only put off goes through afterwards; what failed stays failed.
        server.be(Mood::Willing);
        for n in 1..=7 {
            let (kind, _) = ending(harness.execute::<SendMessage>(saga(n), confirmed(n)).await);
            assert_eq!(kind, if n <= 5 { "succeeded" } else { "failed" }, "{n}");
        }
        assert_eq!(server.accepted().len(), 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_unknown_and_the_repeat_bears_the_same_message_id() {
    within(async {
        let server = SmtpServer::start(Mood::LosesTheAnswer).await;
        let harness = by_smtp(&server).await;
        let result = harness.execute::<SendMessage>(saga(1), confirmed(1)).await;
        assert_eq!(ending(result), ("unknown", "mail_in_doubt".to_owned()));
        server.be(Mood::Willing);
        output(harness.execute::<SendMessage>(saga(1), confirmed(1)).await);
        let accepted = server.accepted();
        let [first, second] = accepted.as_slice() else { panic!("two messages, not {}", accepted.len()) };
        assert_eq!(first, second, "the same bytes, and so the same Message-ID and Date");
        assert_eq!(harness.published().await.len(), 1);
    })
    .await;
}

/// A worker that died right after the server's answer had been recorded, before its transaction: the inbox knows nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_was_recorded_is_not_sent_again_though_the_inbox_has_forgotten() {
    within(async {
        let server = SmtpServer::start(Mood::Willing).await;
        let harness = by_smtp(&server).await;
        let sent = output(harness.execute::<SendMessage>(saga(1), confirmed(1)).await);
        harness.database().query("DELETE inbox", ()).await.expect("forgotten");
        let again = output(harness.execute::<SendMessage>(saga(1), confirmed(1)).await);
        assert_eq!(again, sent);
        assert_eq!(server.accepted().len(), 1);
        assert_eq!(harness.published().await.len(), 2, "the handler ran again; its event has another id");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_fails_cleanly_and_sends_nothing() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mail = folder.path().join("mail");
        let harness = in_folder(&mail).await;
        let without_event = {
            let mut input = confirmed(1);
            input.as_object_mut().expect("an object").remove("event");
            input
        };
        let mut nowhere = confirmed(2);
        nowhere["event"]["timezone"] = "Europe/Atlantis".into();
        let mut backwards = confirmed(3);
        backwards["event"]["ends_at"] = "2026-05-14T06:59:59Z".into();
        let mut no_address = confirmed(4);
        no_address["recipient"]["email"] = "zoe@ex..ample".into();
        let mut unknown = confirmed(5);
        unknown["template"] = "reminder".into();
        for (n, input, code) in [
            (1, without_event, "template_data"),
            (2, nowhere, "template_data"),
            (3, backwards, "template_data"),
            (4, no_address, "recipient_rejected"),
            (5, unknown, "invalid_input"),
        ] {
            let result = harness.execute::<SendMessage>(saga(n), input).await;
            assert_eq!(ending(result), ("failed", code.to_owned()), "{n}");
        }
        assert!(!mail.exists());
        assert!(deliveries(&harness, json!({})).await.items.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_titles_cannot_add_headers() {
    within(async {
        let server = SmtpServer::start(Mood::Willing).await;
        let harness = by_smtp(&server).await;
        let mut input = confirmed(1);
        input["recipient"]["name"] = "Zoé\r\nBcc: all@example.org".into();
        input["event"]["title"] = "Rust\r\n.\r\nRCPT TO:<all@example.org>\r\nX-Evil: 1".into();
        output(harness.execute::<SendMessage>(saga(1), input).await);
        let accepted = server.accepted();
        let [mail] = accepted.as_slice() else { panic!("one message, not {accepted:?}") };
        assert_eq!(mail.to, "zoe@example.org");
        let headers = mail.message.split("\r\n\r\n").next().expect("headers");
        assert!(!headers.lines().any(|line| line.starts_with("Bcc") || line.starts_with("X-Evil")), "{headers}");
    })
    .await;
}
