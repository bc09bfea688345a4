//! `amends worker`: the workers of one or more contexts.

use std::sync::Arc;
use std::time::Duration;

use amends_nats::Nats;
use amends_notification::mailer::SmtpServer;
use amends_notification::{MailRoute, NotificationSettings, Sender};
use amends_payment::gateway::TestGatewayClient;
use amends_schemas::contract::ContractRegistry;
use amends_sdk::{BoundedContext, WorkerSettings};
use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::ContextName;
use crate::config::Config;
use crate::liveness::NatsSagaLiveness;
use crate::roles::open_database;
use crate::schemas::Schemas;

impl ContextName {
    /// All that ship.
    pub const ALL: [ContextName; 5] = [
        ContextName::Events,
        ContextName::Registration,
        ContextName::Payment,
        ContextName::Billing,
        ContextName::Notification,
    ];

    /// As its database and its subjects are called.
    pub const fn as_str(self) -> &'static str {
        match self {
            ContextName::Events => "events",
            ContextName::Registration => "registration",
            ContextName::Payment => "payment",
            ContextName::Billing => "billing",
            ContextName::Notification => "notification",
        }
    }
}

/// Runs the workers of `contexts` until asked to end.
///
/// # Errors
/// What keeps one of them from starting.
pub async fn run(config: &Config, contexts: &[ContextName], shutdown: CancellationToken) -> anyhow::Result<()> {
    let Some(nats) = super::connect(config, "worker", &shutdown).await? else { return Ok(()) };
    let schemas = Schemas::load(&config.orchestrator.schemas, &config.limits)?;
    let gateway_url = config.payment.gateway_url.clone();
    if contexts.contains(&ContextName::Payment) {
        anyhow::ensure!(!gateway_url.is_empty(), "no payment gateway is named: set AMENDS_PAYMENT__GATEWAY_URL");
    }
    let running = start(config, contexts, &nats, &schemas.contracts, &gateway_url, &shutdown).await?;
    finish(running).await
}

/// Opens the databases and starts the workers; they run until `shutdown`.
///
/// # Errors
/// A database that cannot be opened, a setting that cannot be.
pub async fn start(
    config: &Config,
    contexts: &[ContextName],
    nats: &Nats,
    contracts: &ContractRegistry,
    gateway_url: &str,
    shutdown: &CancellationToken,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let mut running = JoinSet::new();
    for &name in contexts {
        let context = assemble(config, name, nats, gateway_url)?;
        let database = open_database(config, name.as_str()).await?;
        let settings = WorkerSettings { concurrency: config.worker.concurrency, drain: config.drain() };
        let (nats, contracts, shutdown) = (nats.clone(), contracts.clone(), shutdown.clone());
        running.spawn(async move {
            context
                .run(nats, database, &contracts, settings, shutdown)
                .await
                .with_context(|| format!("context {} ended", name.as_str()))
        });
    }
    Ok(running)
}

/// Waits until all have ended.
///
/// # Errors
/// The first that did not end well.
pub async fn finish(mut running: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = running.join_next().await {
        ended.context("a worker panicked")??;
    }
    Ok(())
}

fn assemble(config: &Config, name: ContextName, nats: &Nats, gateway_url: &str) -> anyhow::Result<BoundedContext> {
    Ok(match name {
        ContextName::Events => amends_events::context(amends_events::Settings::default()),
        ContextName::Registration => amends_registration::context(amends_registration::Settings::new(Arc::new(
            NatsSagaLiveness::new(nats.clone()),
        ))),
        ContextName::Payment => {
            let gateway = TestGatewayClient::new(gateway_url, config.payment.webhook_secret.as_str())?;
            let mut settings = amends_payment::Settings::new(Arc::new(gateway));
            settings.call_timeout = Duration::from_secs(config.payment.timeout_seconds);
            amends_payment::context(settings)
        }
        ContextName::Billing => amends_billing::context(config.billing.clone()),
        ContextName::Notification => {
            let mail = if config.mail.smtp_url.is_empty() {
                MailRoute::Folder(config.data_dir.join("mail"))
            } else {
                MailRoute::Smtp(SmtpServer::parse(&config.mail.smtp_url)?)
            };
            amends_notification::context(NotificationSettings { from: Sender::parse(&config.mail.from)?, mail })
        }
    })
}
