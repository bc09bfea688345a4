//! The roles, each a few lines over the crate that does the work.

pub mod api;
pub mod gateway;
pub mod orchestrator;
pub mod worker;

use std::time::Duration;

use amends_nats::Nats;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// How long a role waits for NATS before it gives up and says so.
const NATS_PATIENCE: Duration = Duration::from_secs(60);

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
