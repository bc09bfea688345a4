//! `amends dev`: everything in one process, for trying it out and for working on it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use amends_api::ApiSettings;
use amends_bus::Orchestrator;
use amends_nats::Nats;
use amends_nats_server::{NatsServer, NatsServerSettings, StartError, find_or_fetch};
use amends_test_gateway::TestGateway;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::cli::{ContextName, DevArgs};
use crate::client::Client;
use crate::config::Config;
use crate::progress::Progress;
use crate::roles::{gateway, orchestrator, worker};
use crate::schemas::Schemas;
use crate::{demo, roles};

/// How long everything may take to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// Between looks at readiness.
const READY_POLL: Duration = Duration::from_millis(50);

/// How long our own NATS server may take to answer.
const NATS_PATIENCE: Duration = Duration::from_secs(30);

/// What runs, in the order in which it is ended: doors first, foundations last.
struct Running {
    api: JoinHandle<()>,
    api_token: CancellationToken,
    workers: JoinSet<anyhow::Result<()>>,
    orchestrator: Orchestrator,
    worker_token: CancellationToken,
    gateway: Option<TestGateway>,
    gateway_token: CancellationToken,
    server: Option<OwnNats>,
    addresses: Addresses,
}

/// The nats-server we started, and started again whenever it ended: what it held is made again from the databases.
struct OwnNats {
    kept: JoinHandle<anyhow::Result<()>>,
    token: CancellationToken,
}

struct Addresses {
    api: SocketAddr,
    nats: String,
    gateway: String,
}

/// Runs everything until asked to end.
///
/// # Errors
/// What keeps it from starting, or ended it.
pub async fn run(config: &Config, args: &DevArgs) -> anyhow::Result<()> {
    let asked = roles::until_asked_to_end();
    let progress = Progress::start();
    let mut running = tokio::select! {
        started = start(config, &progress) => started?,
        () = asked.cancelled() => return Ok(()),
    };
    drop(progress);
    announce(&running.addresses, args.json);
    let outcome = tokio::select! {
        outcome = serve(&mut running, args.demo) => outcome,
        () = asked.cancelled() => Ok(()),
    };
    stop(running, &Progress::start()).await;
    outcome
}

/// The demo if asked for, then until something ends by itself, which nothing should.
async fn serve(running: &mut Running, with_demo: bool) -> anyhow::Result<()> {
    if with_demo {
        demo::run(&format!("http://{}", running.addresses.api), &running.addresses.gateway).await?;
    }
    tokio::select! {
        ended = running.workers.join_next() => match ended {
            Some(ended) => ended.context("a worker panicked")?,
            None => bail!("all workers have ended"),
        },
        ended = nats_ended(&mut running.server) => ended,
    }
}

async fn start(config: &Config, progress: &Progress) -> anyhow::Result<Running> {
    let schemas = Schemas::load(&config.orchestrator.schemas, &config.limits)?;
    let (server, nats_url) = nats_server(config, progress).await?;

    let gateway_token = CancellationToken::new();
    let (gateway, gateway_url) = if config.payment.gateway_url.is_empty() {
        progress.say("starting the test gateway");
        let settings = gateway::settings(config, config.test_gateway.listen, None);
        let gateway = TestGateway::start(settings, gateway_token.clone()).await?;
        let url = gateway.url();
        (Some(gateway), url)
    } else {
        (None, config.payment.gateway_url.clone())
    };

    let worker_token = CancellationToken::new();
    progress.say("opening the journal and recovering sagas");
    let orchestrator = orchestrator::start(config, &nats_url, &schemas).await?;
    progress.say("opening the contexts' databases");
    let nats = Nats::connect(&config.nats_settings(&nats_url, "workers"), NATS_PATIENCE).await?;
    let workers =
        worker::start(config, &ContextName::ALL, &nats, &schemas.contracts, &gateway_url, &worker_token).await?;

    progress.say("opening the door");
    let api_token = CancellationToken::new();
    let nats = Nats::connect(&config.nats_settings(&nats_url, "api"), NATS_PATIENCE).await?;
    let (api_address, api) = amends_api::serve(ApiSettings::new(config.api.listen), nats, api_token.clone()).await?;
    if let Some(gateway) = &gateway {
        gateway.set_webhook_url(format!("http://{api_address}/v1/webhooks/test"));
    }
    let addresses = Addresses { api: api_address, nats: nats_url, gateway: gateway_url };
    let mut running =
        Running { api, api_token, workers, orchestrator, worker_token, gateway, gateway_token, server, addresses };
    progress.say("waiting until everything answers");
    until_ready(&mut running).await?;
    Ok(running)
}

async fn nats_server(config: &Config, progress: &Progress) -> anyhow::Result<(Option<OwnNats>, String)> {
    if !config.nats.url.is_empty() {
        return Ok((None, config.nats.url.clone()));
    }
    progress.say("looking for nats-server");
    let binary = find_or_fetch(|sentence| progress.say(sentence)).await?;
    progress.say("starting nats-server");
    let folder = std::path::absolute(config.data_dir.join("nats"))?;
    let server = match NatsServer::start(NatsServerSettings { binary, folder, port: None }).await {
        Err(StartError::InUse { .. }) => bail!(
            "the data folder {} is in use by another `amends dev`; end that one, or name another folder with --data-dir",
            config.data_dir.display()
        ),
        started => started?,
    };
    let url = server.url();
    let token = CancellationToken::new();
    let kept = tokio::spawn(keep_nats(server, token.clone()));
    Ok((Some(OwnNats { kept, token }), url))
}

async fn keep_nats(mut server: NatsServer, shutdown: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => {
                server.stop().await;
                return Ok(());
            }
            () = server.ended() => {}
        }
        tracing::warn!("nats-server ended by itself; starting it again");
        let settings = server.settings();
        drop(server);
        server = NatsServer::start(settings).await.context("nats-server ended and cannot be started again")?;
    }
}

/// Waits for the end of our nats-server for good; for ever when there is none of ours.
async fn nats_ended(server: &mut Option<OwnNats>) -> anyhow::Result<()> {
    match server {
        Some(own) => (&mut own.kept).await.context("the keeper of nats-server panicked")?,
        None => std::future::pending().await,
    }
}

/// Waits until the API says that everything answers; a worker that ends instead says why.
async fn until_ready(running: &mut Running) -> anyhow::Result<()> {
    let client = Client::new(&format!("http://{}", running.addresses.api));
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let answer: anyhow::Result<Value> = client.get("/readyz", &[]).await;
        let Err(error) = answer else { return Ok(()) };
        if Instant::now() > deadline {
            bail!("not ready after {} s: {error:#}", READY_TIMEOUT.as_secs());
        }
        tokio::select! {
            Some(ended) = running.workers.join_next() => ended.context("a worker panicked")??,
            () = tokio::time::sleep(READY_POLL) => {}
        }
    }
}

fn announce(addresses: &Addresses, as_json: bool) {
    let Addresses { api, nats, gateway } = addresses;
    if as_json {
        println!("{}", json!({"api": format!("http://{api}"), "nats": nats, "gateway": gateway}));
    } else {
        println!("Amends is ready.\n  API      http://{api}   (described at http://{api}/openapi.json)");
        println!(
            "  NATS     {nats}\n  gateway  {gateway}   (its ledger at {gateway}/ledger)\nCtrl-C ends it; what is in flight goes on at the next start."
        );
    }
}

async fn stop(mut running: Running, progress: &Progress) {
    progress.say("closing the door");
    running.api_token.cancel();
    let _ = running.api.await;
    progress.say("letting workers finish");
    running.worker_token.cancel();
    while let Some(ended) = running.workers.join_next().await {
        if let Ok(Err(error)) = ended {
            tracing::error!("{error:#}");
        }
    }
    progress.say("writing down what the orchestrator knows");
    running.orchestrator.stop().await;
    running.gateway_token.cancel();
    if let Some(gateway) = running.gateway
        && let Err(error) = gateway.stopped().await
    {
        tracing::error!("{:#}", anyhow::Error::from(error));
    }
    if let Some(server) = running.server {
        progress.say("stopping nats-server");
        server.token.cancel();
        if !server.kept.is_finished() {
            let _ = server.kept.await;
        }
    }
}
