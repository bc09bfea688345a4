//! Every template in every language against its golden file: the whole message, byte for byte but for line ends.

#[allow(dead_code)]
mod support;

use std::fs;
use std::path::Path;

use amends_notification::steps::SendMessage;
use amends_notification::{NotificationSettings, context};
use amends_sdk::testing::Harness;
use serde_json::Value;
use support::{input, output, saga, within};

/// Stands where the time of sending stands.
const DATE_HEADER: &str = "Date: (when it was sent)";

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_golden() {
    within(async {
        let mut differing = Vec::new();
        for template in ["registration-confirmed", "registration-waitlisted", "registration-cancelled"] {
            for locale in ["en", "fr"] {
                let folder = tempfile::tempdir().expect("a folder");
                let harness = Harness::new(context(NotificationSettings::in_folder(folder.path().join("mail")))).await;
                let sent = output(harness.execute::<SendMessage>(saga(1), input(1, template, locale)).await);
                let message = normalised(&read_message(&folder.path().join("mail"), &sent));
                let golden =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{template}.{locale}.eml"));
                if fs::read_to_string(&golden).ok().as_deref() != Some(message.as_str()) {
                    let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{template}.{locale}.eml"));
                    fs::write(&actual, message).expect("written");
                    differing.push(format!("diff {} {}", golden.display(), actual.display()));
                }
            }
        }
        assert!(differing.is_empty(), "look at, and copy over if it is right:\n{}", differing.join("\n"));
    })
    .await;
}

fn read_message(folder: &Path, sent: &Value) -> String {
    let name = format!("{}.eml", sent["delivery_id"].as_str().expect("an id"));
    fs::read_to_string(folder.join(name)).expect("the file of the delivery")
}

/// Unix line ends, and no time of sending; the quoted-printable and base64 parts stay as they travel.
fn normalised(message: &str) -> String {
    let mut lines: Vec<String> = message.replace("\r\n", "\n").split('\n').map(str::to_owned).collect();
    for line in &mut lines {
        if line.starts_with("Date: ") {
            *line = DATE_HEADER.to_owned();
        } else if line.starts_with("DTSTAMP:") {
            *line = "DTSTAMP:(when it was sent)".to_owned();
        }
    }
    lines.join("\n")
}
