//! The running of a context: its loops started, kept going whatever happens to NATS, and drained.

mod commands;
mod dead_letter;
mod endpoints;
mod events;
mod pull;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use amends_nats::Nats;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::background;
use crate::context::{Prepared, WorkerError, WorkerSettings};
use crate::outbox::OutboxRow;
use crate::relay::Relay;
use crate::serve::{DiscardLetter, EndpointServer, ListLetters, RedriveLetter, ServeEndpoint, ShowLetter};

/// How long the last acknowledgements may take to leave; what does not is answered from the inbox when it comes again.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// Runs everything a context serves until `shutdown`, then drains.
pub(crate) async fn run(
    prepared: Prepared,
    nats: Nats,
    committed: mpsc::Receiver<Vec<OutboxRow>>,
    settings: WorkerSettings,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    let Prepared { scope, steps, mut endpoints, subscribers, backgrounds } = prepared;
    endpoints.extend(dead_letter_endpoints(scope.context, &nats));
    let contracts: Vec<String> = steps.iter().map(|step| step.contract().to_string()).collect();
    let service = endpoints::Service::start(&nats, &scope, &contracts, endpoints).await?;
    // Ended last: it publishes what the last handlers commit.
    let relay_stop = CancellationToken::new();
    let relay = tokio::spawn(Relay::new(nats.clone(), scope.clone(), committed).run(relay_stop.clone()));

    let mut loops = JoinSet::new();
    loops.spawn(service.run(settings.clone(), shutdown.clone()));
    for step in steps {
        let commands = commands::Commands::new(nats.clone(), scope.clone(), step);
        loops.spawn(pull::run(Arc::new(commands), nats.clone(), settings.clone(), shutdown.clone()));
    }
    if !subscribers.is_empty() {
        let events = events::Events::new(nats.clone(), scope.clone(), subscribers);
        loops.spawn(pull::run(Arc::new(events), nats.clone(), settings.clone(), shutdown.clone()));
    }
    for background in backgrounds {
        loops.spawn(background::run(background, scope.clone(), shutdown.clone()));
    }
    loops.spawn(retention::run(scope.clone(), shutdown.clone()));
    tracing::info!(context = scope.context, contracts = contracts.join(" "), "serving");

    while let Some(ended) = loops.join_next().await {
        if let Err(error) = ended {
            // Handlers run in tasks of their own; what panics here is the SDK, and then the process had better say so.
            shutdown.cancel();
            std::panic::resume_unwind(error.into_panic());
        }
    }
    relay_stop.cancel();
    if let Err(error) = relay.await {
        std::panic::resume_unwind(error.into_panic());
    }
    // The last acknowledgements may still stand in the connection's buffer, and the process is about to end.
    let _ = tokio::time::timeout(FLUSH_TIME_MAX, nats.client().flush()).await;
    tracing::info!(context = scope.context, "drained");
    Ok(())
}

/// What every context answers about its dead letters.
fn dead_letter_endpoints(context: &'static str, nats: &Nats) -> [Arc<dyn ServeEndpoint>; 4] {
    [
        Arc::new(EndpointServer(ListLetters(context))),
        Arc::new(EndpointServer(ShowLetter(context))),
        Arc::new(EndpointServer(RedriveLetter { context, nats: nats.clone() })),
        Arc::new(EndpointServer(DiscardLetter(context))),
    ]
}
