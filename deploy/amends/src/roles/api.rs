//! `amends api`: the HTTP gateway.

use amends_api::ApiSettings;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Serves until asked to end.
///
/// # Errors
/// No NATS, or an address that is taken.
pub async fn run(config: &Config, json: bool, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Some(nats) = super::connect(config, "api", &shutdown).await? else { return Ok(()) };
    let (address, serving) = amends_api::serve(ApiSettings::new(config.api.listen), nats, shutdown).await?;
    if json {
        println!("{}", serde_json::json!({"api": format!("http://{address}")}));
    }
    serving.await?;
    Ok(())
}
