//! Listening, and ending well.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amends_nats::Nats;
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::router::router;
use crate::settings::{ApiError, ApiSettings};
use crate::state::ApiState;

/// How long a client may take to send a request's head, and a connection may stay idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Most headers of one request; hyper's own default.
const HEADERS_MAX: usize = 100;

/// Pause after the system refused to accept a connection (no more open files): at once would be a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`; then streams end, requests in work may end within the drain timeout, and the handle resolves.
///
/// # Errors
/// [`ApiError::Listen`].
pub async fn serve(
    settings: ApiSettings,
    nats: Nats,
    shutdown: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>), ApiError> {
    let address = settings.listen;
    let listening = async {
        let listener = TcpListener::bind(address).await?;
        listener.local_addr().map(|bound| (listener, bound))
    };
    let (listener, bound) = listening.await.map_err(|source| ApiError::Listen { address, source })?;
    let openapi = crate::openapi::document().expect("the document is plain data, and a test writes it");
    let drain_timeout = settings.drain_timeout;
    let connections = Arc::new(Semaphore::new(settings.connections_max));
    let api = Arc::new(ApiState::new(settings, nats, openapi, shutdown.clone()));
    let routes = router(api);
    info!(address = %bound, "serving HTTP");
    let handle = tokio::spawn(accept(listener, routes, connections, shutdown, drain_timeout));
    Ok((bound, handle))
}

async fn accept(
    listener: TcpListener,
    routes: Router,
    connections: Arc<Semaphore>,
    shutdown: CancellationToken,
    drain_timeout: Duration,
) {
    let open = TaskTracker::new();
    // Cancelled when drain time is over: connections that are still open are dropped.
    let give_up = CancellationToken::new();
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await.expect("never closed");
            (permit, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            (permit, accepted) = next => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, routes.clone(), shutdown.clone(), permit);
                    let give_up = give_up.clone();
                    open.spawn(async move { give_up.run_until_cancelled(connection).await });
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(drain_timeout, open.wait()).await.is_err() {
        warn!(open = open.len(), "connections were still open after the drain timeout and are dropped");
        give_up.cancel();
        open.wait().await;
    }
    info!("stopped serving HTTP");
}

async fn connection(stream: TcpStream, routes: Router, shutdown: CancellationToken, _permit: OwnedSemaphorePermit) {
    // Answers are small and wanted at once.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection keeps its delay");
    }
    let service = tower_service_of(routes);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(%error, "a connection broke");
    }
}

/// The routes as hyper calls them.
fn tower_service_of(
    routes: Router,
) -> impl hyper::service::Service<
    hyper::Request<hyper::body::Incoming>,
    Response = axum::response::Response,
    Error = Infallible,
    Future: Send,
> {
    let service = TowerToHyperService::new(routes);
    hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        hyper::service::Service::call(&service, request.map(Body::new))
    })
}
