//! `amends rehearse` and `amends check` on what really ran and really ships.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{BINARY, SAGA_DEADLINE, platform};

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// Runs the binary: whether it succeeded, and what it said.
fn amends(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(BINARY).args(arguments).output().expect("runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), format!("{out}{err}"))
}

#[tokio::test]
async fn a_new_version_is_rehearsed_over_the_sagas_that_ran() {
    let platform = platform().await;
    let client = &platform.client;
    let event_id = client.published_event(5, Some("49.90")).await;
    for (person, token, end) in [(1, "tok_ok", "completed"), (2, "tok_declined", "compensated")] {
        let accepted = client.register(&event_id, person, Some(token)).await;
        client.saga_in(&accepted.text("saga_id"), &[end], SAGA_DEADLINE).await;
    }

    let folder = tempfile::tempdir().expect("a folder");
    let old = schemas().join("sagas/registration/v1.yaml");
    let old_text = std::fs::read_to_string(&old).expect("it ships");
    let rehearse = |from: &str, to: &str| {
        assert!(old_text.contains(from), "nothing to replace: {from}");
        let new = folder.path().join("v2.yaml");
        std::fs::write(&new, old_text.replace("version: 1", "version: 2").replacen(from, to, 1)).expect("written");
        let (old, new) = (old.to_string_lossy().into_owned(), new.to_string_lossy().into_owned());
        amends(&["rehearse", &old, &new, "--api", &client.base])
    };
    // Lists follow the sagas by a moment.
    amends_test_support::wait::until("both sagas to be listed", SAGA_DEADLINE, async || {
        rehearse("title: Register", "title: Enrol").1.contains("over 2 of").then_some(())
    })
    .await;
    let (same, said) = rehearse("title: Register", "title: Enrol");
    assert!(same && said.contains("registration@2 over 2 of registration@1: 2 the same, 0 diverge"), "{said}");

    // Both came to `pay`; only one came behind it.
    let (same, said) = rehearse("payer: /input/attendee\n", "payer: {name: Nobody, email: n@example.org}\n");
    assert!(!same && said.contains("`pay` would be given another input: /payer/email was"), "{said}");
    assert!(said.contains("0 the same, 2 diverge"), "{said}");
    let (same, said) = rehearse("buyer: /input/attendee\n", "buyer: {name: Nobody, email: n@example.org}\n");
    assert!(!same && said.contains("completed     `invoice` would be given another input: /buyer"), "{said}");
    assert!(said.contains("1 the same, 1 diverge"), "{said}");

    // Another document than the one that ran is no old version.
    let other = folder.path().join("other.yaml");
    std::fs::write(&other, old_text.replace("15m", "16m")).expect("written");
    let (other, old) = (other.to_string_lossy().into_owned(), old.to_string_lossy().into_owned());
    let (same, said) = amends(&["rehearse", &other, &old, "--api", &client.base]);
    assert!(!same && said.contains("2 could not be played") && said.contains("another document"), "{said}");
    let cancellation = old.replace("registration/v1", "registration-cancellation/v1");
    let (same, said) = amends(&["rehearse", &cancellation, &cancellation, "--api", &client.base]);
    assert!(!same && said.contains("nothing was rehearsed"), "{said}");
}

#[test]
fn what_ships_and_the_examples_are_right() {
    let schemas = schemas();
    for folder in ["sagas/examples", "sagas", "."] {
        let (right, said) = amends(&["check", &schemas.join(folder).to_string_lossy()]);
        assert!(right, "{folder}: {said}");
    }
    let (right, said) = amends(&["check"]);
    assert!(right && said.contains("registration@1 is right"), "{said}");
}
