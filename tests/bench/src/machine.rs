//! Where it was measured, so that nobody compares what cannot be compared.

use std::fs;
use std::process::Command;

use chrono::Utc;
use serde::{Deserialize, Serialize};

/// One sitting: the machine and what ran on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// When.
    pub at: String,
    /// Cores that may be used.
    pub cores: usize,
    /// Their model.
    pub model: String,
    /// Linux's version.
    pub kernel: String,
    /// The commit that the sources stood at, with a mark when they were changed since.
    pub revision: String,
    /// The compiler.
    pub compiler: String,
    /// Built with optimisation.
    pub release_build: bool,
    /// Of nats-server.
    pub nats_server: String,
    /// One-minute load average before.
    pub load_before: f64,
    /// And after.
    pub load_after: f64,
}

impl Machine {
    /// This one.
    pub fn look() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            at: Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            model: model.trim_start_matches([' ', '\t', ':']).to_owned(),
            kernel: kernel.trim().to_owned(),
            revision: said(
                "git",
                &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--exclude=*"],
            ),
            compiler: said("rustc", &["--version"]),
            release_build: !cfg!(debug_assertions),
            nats_server: amends_nats_server::find::VERSION.to_owned(),
            load_before: load_average(),
            load_after: 0.0,
        }
    }
}

impl Machine {
    /// In a line.
    pub fn line(&self) -> String {
        let build = if self.release_build {
            "release build"
        } else {
            "**debug build: these figures say that the benchmark runs, not how fast anything is**"
        };
        format!(
            "{}: commit {}, {build}, {}; {} cores ({}), Linux {}; load average {} before, {} after",
            self.at,
            self.revision,
            self.compiler,
            self.cores,
            self.model,
            self.kernel,
            self.load_before,
            self.load_after,
        )
    }
}

/// The load average of the last minute: well above what the benchmark itself causes when others use the machine too.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

/// What a program prints, in a line; nothing when there is no such program.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
