//! Endpoints as a NATS micro service: discoverable by `$SRV.PING` and `$SRV.INFO` under the context's name, with the step contracts it
//! serves in its metadata. That is how orchestrators see who is there (`amends_schemas::presence`).

use std::collections::HashMap;
use std::sync::Arc;

use amends_nats::{Nats, NatsError, trace};
use amends_schemas::presence::{CONTRACTS, STARTED_AT};
use amends_schemas::subjects;
use async_nats::service::{Service as MicroService, ServiceExt};
use chrono::{SecondsFormat, Utc};
use futures::StreamExt;
use futures::stream::select_all;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use crate::context::WorkerSettings;
use crate::scope::Scope;
use crate::serve::{ServeEndpoint, answer_request};

/// A context's endpoints, subscribed.
pub(super) struct Service {
    // Kept: dropping it ends the endpoints.
    micro: MicroService,
    endpoints: Vec<(Arc<dyn ServeEndpoint>, async_nats::service::endpoint::Endpoint)>,
    scope: Scope,
}

impl Service {
    pub(super) async fn start(
        nats: &Nats,
        scope: &Scope,
        contracts: &[String],
        served: Vec<Arc<dyn ServeEndpoint>>,
    ) -> Result<Self, NatsError> {
        let refused = |error: async_nats::Error| NatsError::Refused(error.to_string());
        let metadata = HashMap::from([
            (CONTRACTS.to_owned(), contracts.join(",")),
            (STARTED_AT.to_owned(), Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)),
        ]);
        let micro = nats
            .client()
            .service_builder()
            .description("A bounded context of Amends.")
            .queue_group(scope.context)
            .metadata(metadata)
            .start(scope.context, env!("CARGO_PKG_VERSION"))
            .await
            .map_err(refused)?;
        let mut endpoints = Vec::with_capacity(served.len());
        for endpoint in served {
            let subject = subjects::context_endpoint(scope.context, endpoint.name());
            let requests = micro.endpoint_builder().name(endpoint.name()).add(subject).await.map_err(refused)?;
            endpoints.push((endpoint, requests));
        }
        Ok(Self { micro, endpoints, scope: scope.clone() })
    }

    /// Answers until `shutdown`, then what has begun, within the bound.
    pub(super) async fn run(self, settings: WorkerSettings, shutdown: CancellationToken) {
        let Self { micro, endpoints, scope } = self;
        let room = Arc::new(Semaphore::new(settings.concurrency.max(1)));
        let running = TaskTracker::new();
        let requests = endpoints
            .into_iter()
            .map(|(endpoint, requests)| requests.map(move |request| (Arc::clone(&endpoint), request)).boxed());
        let mut requests = select_all(requests);
        loop {
            let place = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                place = Arc::clone(&room).acquire_owned() => place.expect("the semaphore is never closed"),
            };
            let (endpoint, request) = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(request) = requests.next() => request,
                // No endpoints, or none left: only discovery remains.
                else => {
                    shutdown.cancelled().await;
                    break;
                }
            };
            let span = info_span!("request", context = scope.context, endpoint = endpoint.name());
            trace::set_parent(&span, request.message.headers.as_ref());
            let scope = scope.of_message(request.message.headers.as_ref());
            running.spawn(
                async move {
                    let answer = answer_request(&scope, &endpoint, request.message.payload.clone()).await;
                    if let Err(error) = request.respond_with_headers(Ok(answer.into()), scope.headers()).await {
                        tracing::debug!(%error, "an answer could not be sent");
                    }
                    drop(place);
                }
                .instrument(span),
            );
        }
        // New requests go to other workers of the group; what this one has taken it answers.
        let _ = micro.stop().await;
        running.close();
        let finish = async {
            while let Some((endpoint, request)) = requests.next().await {
                let answer = answer_request(&scope, &endpoint, request.message.payload.clone()).await;
                let _ = request.respond(Ok(answer.into())).await;
            }
            running.wait().await;
        };
        if tokio::time::timeout(settings.drain, finish).await.is_err() {
            tracing::warn!(context = scope.context, left = running.len(), "requests still run after the drain");
        }
    }
}
