//! The benchmark itself runs: every contender, tiny.

use std::process::Command;

#[test]
fn every_contender_completes_sagas_and_the_report_tells_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_amends-bench"))
        .args(["all", "--rounds", "1", "--in-flight", "1,8", "--seconds", "1.5", "--warm-up", "0.5", "--out"])
        .arg(folder.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let results = std::fs::read_to_string(folder.path().join("results.json")).expect("results");
    let results: serde_json::Value = serde_json::from_str(&results).expect("JSON");
    let measurements = results["measurements"].as_array().expect("measurements");
    assert_eq!(measurements.len(), 6, "three contenders at two points");
    for measurement in measurements {
        assert!(measurement["saga_count"].as_u64().expect("a count") > 0, "{measurement}");
        assert!(measurement["asked_to_completed_ms"]["p50"].as_f64().expect("a time") > 0.0, "{measurement}");
        let has_journal = measurement["contender"] != "floor";
        assert_eq!(measurement["journal"].is_object(), has_journal, "{measurement}");
        if has_journal {
            assert!(measurement["journal"]["records"].as_f64().expect("a number") > 0.0, "{measurement}");
            assert!(measurement["journal"]["bytes"].as_f64().expect("a number") > 100.0, "{measurement}");
        }
    }

    let report = std::fs::read_to_string(folder.path().join("RESULTS.md")).expect("a report");
    for words in ["| 1 | engine |", "| 8 | floor |", "| 8 | engine, SDK workers with databases |", "nats-server 2."] {
        assert!(report.contains(words), "no {words:?} in\n{report}");
    }
}
