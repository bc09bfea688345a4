//! What the benchmark's processes tell each other beside the job itself. These subjects are the benchmark's own.

use serde::{Deserialize, Serialize};

/// The last worker publishes a saga's id here once its owner has said that the answer is committed.
pub const DONE: &str = "bench.done";

/// Asks the orchestrator process for [`JournalCount`].
pub const JOURNAL: &str = "bench.journal";

/// The journal as it stands, over all partitions.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct JournalCount {
    /// Records written: each is one commit and one fsync.
    pub record_count: u64,
    /// Commits of the view: each is one more fsync, shared with whatever commits at the same time.
    pub projection_count: u64,
    /// Bytes of the records' entries, as they are encoded.
    pub entry_bytes: u64,
}

/// What a process prints when it is ready.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ready {
    /// From its start until it served.
    pub ready_ms: u64,
    /// Where it listens, if it took a port of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// Prints [`Ready`].
pub fn say_ready(since: std::time::Instant) {
    let ready_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ready = Ready { ready_ms, port: None };
    println!("{}", serde_json::to_string(&ready).expect("plain fields"));
}
