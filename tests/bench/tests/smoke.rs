//! The benchmark itself runs: every contender, tiny.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Enough for every contender to be measured, not for a figure to mean anything.
const TINY: [&str; 10] =
    ["--rounds", "1", "--in-flight", "1,8", "--seconds", "1.5", "--warm-up", "0.5", "--fsyncs", "0.5"];

fn bench(arguments: &[&str], out: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_amends-bench"))
        .args(arguments)
        .arg("--out")
        .arg(out)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn results(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("results.json")).expect("results");
    serde_json::from_str(&text).expect("JSON")
}

fn report(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("RESULTS.md")).expect("a report")
}

fn measurements(results: &Value) -> &Vec<Value> {
    let measurements = results["measurements"].as_array().expect("measurements");
    for measurement in measurements {
        assert!(measurement["saga_count"].as_u64().expect("a count") > 0, "{measurement}");
        assert!(measurement["asked_to_completed_ms"]["p50"].as_f64().expect("a time") > 0.0, "{measurement}");
    }
    measurements
}

#[test]
fn our_contenders_complete_sagas_and_the_report_tells_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut arguments = vec!["compare", "--contenders", "engine,engine-sdk,floor"];
    arguments.extend(TINY);
    bench(&arguments, folder.path());
    arguments.push("--add");
    bench(&arguments, folder.path());

    let results = results(folder.path());
    assert_eq!(results["sittings"].as_array().map(Vec::len), Some(2));
    let measurements = measurements(&results);
    assert_eq!(measurements.len(), 12, "three contenders at two points, in two rounds");
    for measurement in measurements {
        let has_journal = measurement["contender"] != "floor";
        assert_eq!(measurement["journal"].is_object(), has_journal, "{measurement}");
        if has_journal {
            assert!(measurement["journal"]["records"].as_f64().expect("a number") > 0.0, "{measurement}");
            assert!(measurement["journal"]["bytes"].as_f64().expect("a number") > 100.0, "{measurement}");
        }
        let of_orchestrator = measurement["fsyncs"]["orchestrator"].as_f64();
        assert!(of_orchestrator.is_none_or(|count| count > 0.0), "a journal without fsyncs: {measurement}");
    }

    let report = report(folder.path());
    for words in ["| 1 | engine |", "| 8 | floor |", "| 8 | engine, SDK workers with databases |", "nats-server 2."] {
        assert!(report.contains(words), "no {words:?} in\n{report}");
    }
}

/// Restate's server is 80 MB and its services are built for some minutes, once: where neither the server nor `npm` is there, it is left
/// out, and said so.
#[test]
fn restate_completes_the_same_job_where_it_can_be_had() {
    let there =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there("restate-server") && !there("npm") {
        eprintln!("Restate is left out: neither `restate-server` nor `npm` is on the PATH");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // Not tiny: with a server that has just been started a job may take seconds on a busy machine, and one must end at each point.
    let mut arguments = vec!["restate", "--rounds", "1", "--in-flight", "1,8", "--seconds", "8"];
    arguments.extend(["--warm-up", "0.5", "--fsyncs", "0.5"]);
    bench(&arguments, folder.path());

    let results = results(folder.path());
    let measurements = measurements(&results);
    assert_eq!(measurements.len(), 4, "two contenders at two points");
    assert!(measurements.iter().all(|measurement| measurement["journal"].is_null()));
    let report = report(folder.path());
    for words in [
        "| 1 | Restate, four services |",
        "| 8 | Restate, four local steps |",
        "`log-server.rocksdb-disable-wal-fsync`",
    ] {
        assert!(report.contains(words), "no {words:?} in\n{report}");
    }
    assert!(!report.contains("not told"), "a setting of Restate has moved:\n{report}");
}

#[test]
fn scale_is_measured_and_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut arguments = vec!["scale", "--finished", "450", "--waiting", "60", "--timers", "40", "--listings", "5"];
    arguments.extend(["--full-rounds", "1", "--full-in-flight", "8", "--full-seconds", "1"]);
    bench(&arguments, folder.path());

    let scale = &results(folder.path())["scale"];
    assert_eq!(scale["full"]["saga_count"], 450);
    assert!(scale["full"]["on_full"][0]["saga_count"].as_u64().expect("a count") > 0, "{scale}");
    let listings = scale["full"]["listings"].as_array().expect("listings");
    assert_eq!(listings.len(), 7, "{scale}");
    assert!(listings.iter().all(|listing| listing["saga_count"] == 250), "pages are not full: {scale}");
    assert!(scale["waiting"]["resident_mib"].as_f64().expect("a size") > 1.0, "{scale}");
    assert!(scale["timers"]["completed_ms"].as_f64().expect("a time") > 0.0, "{scale}");
    let report = report(folder.path());
    for words in
        ["| by status and tag | 5 |", "with 60 sagas waiting, MiB | 600 or less |", "40 timers due at the same moment"]
    {
        assert!(report.contains(words), "no {words:?} in\n{report}");
    }
}

/// The roles are those of the `amends` binary: it stands beside the benchmark's when the whole workspace is built, as for all its tests.
#[test]
fn registrations_are_confirmed_through_the_api() {
    let amends = Path::new(env!("CARGO_BIN_EXE_amends-bench")).with_file_name("amends");
    if !amends.is_file() {
        eprintln!("registration is left out: {} is not built", amends.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["registration", "--registration-rounds", "1", "--registration-in-flight", "2"];
    bench(&[&arguments[..], &["--registration-seconds", "2"]].concat(), folder.path());

    let registration = &results(folder.path())["registration"];
    let measurement = &registration["measurements"][0];
    assert!(measurement["saga_count"].as_u64().expect("a count") > 0, "{registration}");
    assert!(measurement["accepted_to_completed_ms"]["p50"].as_f64().expect("a time") > 0.0, "{registration}");
    assert!(measurement["cpu_seconds"]["billing"].is_number(), "{registration}");
    assert!(report(folder.path()).contains("## Registration"));
}
