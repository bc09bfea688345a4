//! Figures for Prometheus: requests and their latency, by route, method and status. Ids never become labels.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Requests answered. The client adds `_total`.
pub const HTTP_REQUESTS: &str = "amends_api_http_requests";

/// Time from the request's head to the response's head. The client adds `_seconds`.
pub const HTTP_REQUEST_DURATION: &str = "amends_api_http_request_duration";

/// Requests in work.
pub const HTTP_REQUESTS_IN_FLIGHT: &str = "amends_api_http_requests_in_flight";

/// Open saga streams.
pub const STREAMS_OPEN: &str = "amends_api_saga_streams_open";

/// Upper bounds of the latency buckets, in seconds: from a warm read to the request timeout.
const LATENCY_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What a request is told apart by: a route's template, never its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    method: String,
    route: String,
    status: u32,
}

/// The figures of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RequestLabels, Histogram>,
    in_flight: Gauge,
    /// Open saga streams.
    pub streams_open: Gauge<i64, std::sync::atomic::AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter<u64, AtomicU64>>::default();
        let durations = Family::<RequestLabels, Histogram>::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS));
        let in_flight = Gauge::default();
        let streams_open = Gauge::default();
        registry.register(HTTP_REQUESTS, "HTTP requests answered", requests.clone());
        registry.register_with_unit(
            HTTP_REQUEST_DURATION,
            "Time until an HTTP request was answered",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register(HTTP_REQUESTS_IN_FLIGHT, "HTTP requests in work", in_flight.clone());
        registry.register(STREAMS_OPEN, "Open streams of saga changes", streams_open.clone());
        Self { registry, requests, durations, in_flight, streams_open }
    }
}

impl Metrics {
    /// Counts one answered request.
    pub fn observe(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status: status.into() };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a request as in work until the guard is dropped.
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// All figures in OpenMetrics text.
    ///
    /// # Errors
    /// None in practice: writing to a string.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A request in work.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
