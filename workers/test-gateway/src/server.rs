//! Starting and stopping, and the connections between.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::decide::Delays;
use crate::delivery::Delivery;
use crate::http::{App, Lost, router};
use crate::keeper::Keeper;
use crate::ledger::{Ledger, LedgerError};

/// Open connections; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;

/// Pause after an accept that failed (out of file descriptors, say), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a test gateway runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of its ledger.
    pub data_dir: PathBuf,
    /// Where webhooks go; may be set later ([`TestGateway::set_webhook_url`]).
    pub webhook_url: Option<String>,
    /// What webhooks are signed with.
    pub webhook_secret: String,
    /// How long `tok_slow` is not answered.
    pub slow_delay: Duration,
    /// How long `tok_webhook` and `tok_webhook_declined` are pending.
    pub webhook_delay: Duration,
    /// How long `tok_webhook_late` is pending.
    pub late_delay: Duration,
}

impl Settings {
    /// The usual delays: slow beyond a capture's timeout of 5 s, late beyond a hold of 15 minutes.
    pub fn new(listen: SocketAddr, data_dir: impl Into<PathBuf>, webhook_secret: impl Into<String>) -> Self {
        Self {
            listen,
            data_dir: data_dir.into(),
            webhook_url: None,
            webhook_secret: webhook_secret.into(),
            slow_delay: Duration::from_secs(8),
            webhook_delay: Duration::from_secs(1),
            late_delay: Duration::from_secs(20 * 60),
        }
    }
}

/// Why a test gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its file.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its address.
    #[error("the test gateway cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The client that sends webhooks.
    #[error("webhooks cannot be sent")]
    Client(#[from] reqwest::Error),
}

/// A running test gateway. Dropping this does not stop it; its shutdown token does.
#[derive(Debug)]
pub struct TestGateway {
    address: SocketAddr,
    webhook_url: watch::Sender<Option<String>>,
    task: JoinHandle<Result<(), LedgerError>>,
}

impl TestGateway {
    /// Reads the ledger, listens, and serves until `shutdown`.
    ///
    /// # Errors
    /// [`StartError`]; a folder that another process has open is refused.
    pub async fn start(settings: Settings, shutdown: CancellationToken) -> Result<Self, StartError> {
        let (ledger, book) = Ledger::open(&settings.data_dir)?;
        let refuse = |source| StartError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        // Webhooks go to our own API: a proxy of the environment has no business between.
        let client = reqwest::Client::builder().no_proxy().build()?;
        let untold = Arc::new(Notify::new());
        let delays = Delays { webhook: settings.webhook_delay, late: settings.late_delay };
        let stop = shutdown.child_token();
        let (keeper, keep) = Keeper::new(ledger, book, delays, Arc::clone(&untold), stop.clone());
        let (webhook_url, url) = watch::channel(settings.webhook_url);
        let delivery = Delivery { keeper: keeper.clone(), client, url, secret: settings.webhook_secret.into() };
        let router = router(App { keeper, slow_delay: settings.slow_delay });
        let task = tokio::spawn(async move {
            let deliver = tokio::spawn(delivery.run(untold, stop.clone()));
            let serve = tokio::spawn(serve(listener, router, stop.clone()));
            let kept = keep.await;
            // Either shutdown, or a disk that failed: then nothing may be answered any more.
            stop.cancel();
            for task in [deliver, serve] {
                task.abort();
                let _ = task.await;
            }
            kept.inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "test gateway stopped"))
        });
        Ok(Self { address, webhook_url, task })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends webhooks there from now on, also those that waited.
    pub fn set_webhook_url(&self, url: impl Into<String>) {
        self.webhook_url.send_replace(Some(url.into()));
    }

    /// Waits until it has stopped and the ledger is free.
    ///
    /// # Errors
    /// [`LedgerError`] when the disk failed.
    pub async fn stopped(self) -> Result<(), LedgerError> {
        self.task.await.expect("the gateway's task neither panics nor is cancelled")
    }
}

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    connections.spawn(async move {
                        serve_one(stream, router, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "test gateway cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost on purpose")]
struct AnswerLost;

async fn serve_one(stream: TcpStream, router: Router, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = TowerToHyperService::new(router.clone()).call(request);
        async move {
            let response = answer.await.unwrap_or_else(|never| match never {});
            if response.extensions().get::<Lost>().is_some() { Err(AnswerLost) } else { Ok(response) }
        }
    });
    let mut connection =
        pin!(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(error = &error as &dyn std::error::Error, "connection to the test gateway ended");
            }
        }
        () = stop.cancelled() => {}
    }
}
