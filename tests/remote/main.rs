//! One SurrealDB server for every role: it dies under load, and two orchestrators share it by mistake.

#[path = "../faults/audit.rs"]
mod audit;
#[path = "../faults/load.rs"]
mod load;
mod orchestrators;
mod platform;

use std::time::Duration;

use amends_test_support::wait;
use load::Load;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_amends");

/// How long a stream may take to come as far as the next fault.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(120);

/// Waits until `count` registrations of the stream were accepted.
async fn until_accepted(load: &Load, count: usize) {
    wait::until("the stream to come so far", PROGRESS_DEADLINE, async || (load.accepted() >= count).then_some(()))
        .await;
}
