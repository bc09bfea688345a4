//! The roles, each a few lines over the crate that does the work.

pub mod api;
pub mod gateway;
pub mod orchestrator;
pub mod worker;

use std::time::Duration;

use amends_database::{Database, ErrorKind};
use amends_nats::Nats;
use anyhow::Context as _;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// How long a role waits for NATS before it gives up and says so.
const NATS_PATIENCE: Duration = Duration::from_secs(60);

/// How long a role waits for a SurrealDB server before it gives up and says so.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);

/// Between looks at whether the SurrealDB server answers.
const DATABASE_POLL: Duration = Duration::from_millis(500);

/// Opens the database of `name` (a context or `orchestrator`), waiting for a server that is not there yet.
///
/// # Errors
/// What keeps it from being opened.
pub async fn open_database(config: &Config, name: &str) -> anyhow::Result<Database> {
    let location = config.database_location(name);
    let remote = !config.database.url.is_empty();
    let deadline = Instant::now() + DATABASE_PATIENCE;
    loop {
        match Database::open(&location, &config.database.namespace, name).await {
            Err(error) if remote && error.kind() == ErrorKind::Unavailable && Instant::now() < deadline => {
                tracing::warn!(database = name, %error, "the database server does not answer; trying again");
                sleep(DATABASE_POLL).await;
            }
            opened => return opened.with_context(|| format!("the database of {name} cannot be opened")),
        }
    }
}

/// Connects a role to the NATS server of the configuration; nothing when it is asked to end while it waits.
///
/// # Errors
/// When none is configured or none answers.
pub async fn connect(config: &Config, role: &str, shutdown: &CancellationToken) -> anyhow::Result<Option<Nats>> {
    let url = config.required_nats_url()?;
    let settings = config.nats_settings(&url, role);
    tokio::select! {
        connected = Nats::connect(&settings, NATS_PATIENCE) => Ok(Some(connected?)),
        () = shutdown.cancelled() => Ok(None),
    }
}

/// A token that is cancelled by Ctrl-C or SIGTERM. A second Ctrl-C ends the process at once.
pub fn until_asked_to_end() -> CancellationToken {
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        wait_for_signal().await;
        tracing::info!("ending in order; once more ends at once");
        asked.cancel();
        wait_for_signal().await;
        std::process::exit(130);
    });
    token
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signal handlers can be installed in a tokio runtime");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
