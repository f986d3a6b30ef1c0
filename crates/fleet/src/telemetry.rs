//! Logs on standard error, traces to an OTLP collector.

use std::fmt;
use std::io::IsTerminal as _;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
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

/// Sets up logging alone, for a program without traces. Each line of JSON begins with `fields`.
pub fn log(format: LogFormat, filter: &str, fields: &[(&str, &str)]) -> Result<(), Error> {
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| Error::Filter { value: filter.to_owned(), source })?;
    let log = match format {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::format().json().flatten_event(true).with_current_span(false);
            let prefix: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name:?}:{value:?},")).collect();
            tracing_subscriber::fmt::layer()
                .json()
                .event_format(Prefixed { lines: lines.with_span_list(false), prefix: prefix.concat() })
                .with_writer(std::io::stderr)
                .boxed()
        }
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .boxed(),
    };
    let _ = tracing_subscriber::registry().with(log.with_filter(filter)).try_init();
    Ok(())
}

/// JSON objects with the same members in front of each.
struct Prefixed {
    lines: Format<Json>,
    prefix: String,
}

impl<S, N> FormatEvent<S, N> for Prefixed
where
    S: tracing::Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(512);
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        let rest = line.strip_prefix('{').unwrap_or(&line);
        write!(writer, "{{{}{rest}", self.prefix)
    }
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
