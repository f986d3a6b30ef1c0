//! Logs on standard error, traces to an OTLP collector.

use std::io::IsTerminal as _;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::args::{Args, LogFormat};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--log-filter (LOG_FILTER) {value:?}: expected a level or target=level,…")]
    Filter { value: String, source: tracing_subscriber::filter::ParseError },
    #[error("--otlp-endpoint (OTLP_ENDPOINT) {value:?}: expected http://host:port")]
    Endpoint { value: String, source: opentelemetry_otlp::ExporterBuildError },
}

/// Sends what is left when dropped at the end of the process.
#[derive(Debug)]
#[must_use]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(|provider| provider.shutdown()) {
            tracing::warn!(error = %error, "Some traces were not sent");
        }
    }
}

/// Sets up logging and, with `--otlp-endpoint`, tracing. Has to run inside the tokio runtime.
pub(crate) fn start(service: &'static str, args: &Args) -> Result<Telemetry, Error> {
    let filter = EnvFilter::builder()
        .parse(&args.log_filter)
        .map_err(|source| Error::Filter { value: args.log_filter.clone(), source })?;
    let provider = args.otlp_endpoint.as_deref().map(|url| exporter(service, url)).transpose()?;
    let traces = provider
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
    let log = match args.log_format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .boxed(),
    };
    // An error means that there is one already: a second service in one process, as tests have, shares its log.
    let _ = tracing_subscriber::registry().with(traces).with(log.with_filter(filter)).try_init();
    Ok(Telemetry(provider))
}

fn exporter(service: &'static str, url: &str) -> Result<SdkTracerProvider, Error> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(url)
        .build()
        .map_err(|source| Error::Endpoint { value: url.to_owned(), source })?;
    let resource = Resource::builder().with_attribute(KeyValue::new("service.name", service)).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
