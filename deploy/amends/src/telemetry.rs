//! Logs to standard error, traces by OTLP when an endpoint is configured.

use std::io::IsTerminal as _;

use anyhow::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::config::{LogFormat, TelemetryConfig};

/// Keeps telemetry going; dropping it sends what is still held back.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Starts logging, and tracing when it is configured. `role` becomes the service's name,
/// `default_filter` says what is logged unless it is configured.
///
/// # Errors
/// A filter or an endpoint that cannot be.
pub fn start(config: &TelemetryConfig, role: &str, default_filter: &str) -> anyhow::Result<Telemetry> {
    let log = if config.log.is_empty() { default_filter } else { &config.log };
    let filter = EnvFilter::try_new(log).with_context(|| format!("telemetry.log {log:?}"))?;
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match config.log_format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let provider = tracer_provider(config, role)?;
    let spans = provider.as_ref().map(|provider| {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        // Spans of the libraries underneath would drown ours.
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("amends"))
            .with_filter(EnvFilter::new("amends=debug"))
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).init();
    Ok(Telemetry { provider })
}

fn tracer_provider(config: &TelemetryConfig, role: &str) -> anyhow::Result<Option<SdkTracerProvider>> {
    if config.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(&config.otlp_endpoint)
        .build()
        .with_context(|| format!("telemetry.otlp_endpoint {:?}", config.otlp_endpoint))?;
    let resource = Resource::builder().with_service_name(format!("amends-{role}")).build();
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(error) = provider.shutdown()
        {
            eprintln!("the last traces were not sent: {error}");
        }
    }
}
