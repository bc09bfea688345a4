//! End to end: the real binary, a real nats-server, a real SurrealDB, a real payment gateway over HTTP.

mod bulk;
mod cancellation;
mod capacity;
mod children;
mod door;
mod going_back;
mod hands;
mod lacking;
mod lifecycle;
mod limits;
mod mail;
mod operators;
mod payments;
mod presence;
mod registrations;
mod rehearse;
mod schedules;
mod telemetry;
mod waits;

use std::time::Duration;

use amends_test_support::Platform;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_amends");

/// How long one saga may take on a busy machine in a debug build.
const SAGA_DEADLINE: Duration = Duration::from_secs(60);

/// A platform of its own for one test.
async fn platform() -> Platform {
    Platform::start(BINARY).await
}
