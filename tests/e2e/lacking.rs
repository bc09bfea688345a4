//! A binary that lacks a contract: what calls it is parked and told, all others are served.

use std::path::Path;
use std::process::Command;

use amends_test_support::Platform;
use amends_test_support::wait::until;
use serde_json::json;

use crate::{BINARY, SAGA_DEADLINE};

const HELLO: &str = "
saga: hello
version: 1
title: Hello
input: {type: object}
steps:
  - {name: say, call: greeting.say@1, kind: compensable, compensate: undo, timeout: 10m}
";

/// Names what cannot be run.
const ROUND: &str = "
saga: round
version: 1
title: A round of hellos
input: {type: object}
steps:
  - {name: hello, saga: hello, kind: compensable, compensate: {waive: said is said}}
";

const SAY: &str =
    r#"{"contract": "greeting.say@1", "title": "Say", "undo": true, "input": {"type": "object"}, "output": {}}"#;

/// What the command line says, and whether all is well.
fn check(folder: &Path) -> (bool, String) {
    let output = Command::new(BINARY).arg("check").arg(folder).output().expect("runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn a_missing_contract_parks_what_calls_it_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let contract = folder.path().join("contracts/greeting/say.v1.json");
    for (file, text) in
        [("sagas/hello.yaml", HELLO), ("sagas/round.yaml", ROUND), ("contracts/greeting/say.v1.json", SAY)]
    {
        let file = folder.path().join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, text).expect("written");
    }
    let mut platform = Platform::start_with(BINARY, &["--schemas", &folder.path().to_string_lossy()]).await;
    let start = async |platform: &Platform, definition: &str| {
        platform.client.post("/v1/sagas", &json!({"definition": definition, "input": {}})).await
    };
    let hello = start(&platform, "hello").await.text("saga_id");
    let round = start(&platform, "round").await.text("saga_id");
    assert!(check(folder.path()).0);
    assert!(platform.stop().await, "{}", platform.log_tail());

    std::fs::remove_file(&contract).expect("removed");
    platform.restart().await;
    let log = platform.log();
    let told = "definition hello@1 cannot be run here, and its sagas are parked: it calls greeting.say@1";
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains(told)), "{log}");
    let ready = platform.client.get("/readyz").await;
    let parked = ready.body["parked"].to_string();
    for part in [&*hello, &round, "greeting.say@1"] {
        assert!(ready.status == 200 && parked.contains(part), "{part}: {ready:?}");
    }
    let read = platform.client.get(&format!("/v1/sagas/{hello}")).await;
    assert_eq!((read.status, read.text("code").as_str()), (503, "definition_missing"));
    assert!(read.text("detail").contains("greeting.say@1"), "{read:?}");
    for definition in ["hello", "round"] {
        let refused = start(&platform, definition).await;
        assert_eq!((refused.status, refused.text("code").as_str()), (503, "contract_missing"), "{refused:?}");
        assert!(refused.text("detail").contains("greeting.say@1"), "{refused:?}");
    }
    let (right, said) = check(folder.path());
    assert!(!right && said.contains("there is no contract greeting.say@1"), "{said}");
    let event_id = platform.client.published_event(5, None).await;
    let served = platform.client.register(&event_id, 1, None).await.text("saga_id");
    platform.client.saga_in(&served, &["completed"], SAGA_DEADLINE).await;

    std::fs::write(&contract, SAY).expect("written");
    assert!(platform.stop().await, "{}", platform.log_tail());
    platform.restart().await;
    let back = platform.client.get("/readyz").await;
    assert_eq!(back.body["parked"], json!([]), "{back:?}");
    until("the sagas to wait for their workers again", SAGA_DEADLINE, async || {
        let waiting = platform.client.get(&format!("/v1/sagas/{hello}")).await;
        (waiting.status == 200 && waiting.text("status") == "running").then_some(())
    })
    .await;
    assert_eq!(platform.client.get(&format!("/v1/sagas/{round}")).await.status, 200);
}
