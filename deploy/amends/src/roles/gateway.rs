//! `amends test-gateway`: a payment gateway to test against.

use std::net::SocketAddr;
use std::time::Duration;

use amends_test_gateway::{Settings, TestGateway};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// How long `tok_webhook` and `tok_webhook_declined` stay pending.
const WEBHOOK_DELAY: Duration = Duration::from_secs(1);

/// How the test gateway is started, at `listen`.
pub fn settings(config: &Config, listen: SocketAddr, webhook_url: Option<String>) -> Settings {
    Settings {
        listen,
        data_dir: config.data_dir.join("gateway"),
        webhook_url,
        webhook_secret: config.payment.webhook_secret.clone(),
        slow_delay: Duration::from_secs(config.test_gateway.slow_seconds),
        webhook_delay: WEBHOOK_DELAY,
        late_delay: Duration::from_secs(config.test_gateway.late_seconds),
    }
}

/// Serves until asked to end.
///
/// # Errors
/// An address that is taken, a ledger that cannot be read.
pub async fn run(
    config: &Config,
    webhook: Option<String>,
    json: bool,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let gateway = TestGateway::start(settings(config, config.test_gateway.listen, webhook), shutdown).await?;
    tracing::info!(url = gateway.url(), "the test gateway answers");
    if json {
        println!("{}", serde_json::json!({"gateway": gateway.url()}));
    }
    Ok(gateway.stopped().await?)
}
