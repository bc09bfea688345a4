//! What a process has used, as Linux counts it.

use std::fs;

use anyhow::Context;

/// Ticks of `/proc/<pid>/stat` per second: a constant of Linux's interface, whatever the kernel's own timer.
const TICKS_PER_SECOND: f64 = 100.0;

/// What one process has used since it started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Sent to the disk.
    pub written_bytes: u64,
}

/// What a process has used so far.
pub fn of(pid: u32) -> anyhow::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("reading /proc/<pid>/stat")?;
    // The name may hold spaces; fields are counted behind its closing bracket.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(Usage {
        cpu_seconds: (ticks(11) + ticks(12)) / TICKS_PER_SECOND,
        written_bytes: written.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or_default(),
    })
}

/// Resident memory in MiB: now, and at most since [`forget_peak`].
pub fn memory_mib(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Starts the peak over. Where Linux does not allow it the peak stays that of the whole run.
pub fn forget_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}
