//! Counts what processes ask of the disk with `fsync` and `fdatasync`: Linux's `perf stat` on the two system calls.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::process::Command;

/// How it was counted, for the report.
pub const HOW: &str = "`perf stat` on `fsync` and `fdatasync`, in a window after the timed one with the same load";

/// The system calls.
const EVENTS: [&str; 2] = ["syscalls:sys_enter_fsync", "syscalls:sys_enter_fdatasync"];

/// By process, in a second, counted for `window`. None where `perf` is missing or may not count.
pub async fn per_second(pids: &[(&'static str, u32)], window: Duration) -> Option<BTreeMap<String, f64>> {
    if window.is_zero() {
        return None;
    }
    let each =
        pids.iter().map(async |(name, pid)| Ok::<_, ()>(((*name).to_owned(), of(*pid, window).await.ok_or(())?)));
    Some(try_join_all(each).await.ok()?.into_iter().collect())
}

async fn of(pid: u32, window: Duration) -> Option<f64> {
    let seconds = window.as_secs_f64();
    let output = Command::new("perf")
        .args(["stat", "-x", ",", "-e", &EVENTS.join(","), "-p", &pid.to_string()])
        .args(["--", "sleep", &seconds.to_string()])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    Some(count(&String::from_utf8_lossy(&output.stderr))? / seconds)
}

/// Both calls, from lines such as `42,,syscalls:sys_enter_fsync,…`. A process that slept all the time is `<not counted>`.
fn count(text: &str) -> Option<f64> {
    let of = |event: &str| {
        let line = text.lines().find(|line| line.split(',').nth(2) == Some(event))?;
        match line.split(',').next()? {
            "<not counted>" => Some(0.0),
            count => count.parse::<f64>().ok(),
        }
    };
    EVENTS.into_iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_calls_count() {
        let text = "30,,syscalls:sys_enter_fsync,1000,100.00,,\n12,,syscalls:sys_enter_fdatasync,1000,100.00,,\n";
        assert_eq!(count(text), Some(42.0));
        assert_eq!(count(&text.replace("30,", "<not counted>,")), Some(12.0));
        assert_eq!(count(&text.replace("30,", "<not supported>,")), None);
        assert_eq!(count(""), None);
    }
}
