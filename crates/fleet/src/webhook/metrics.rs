//! Metrics under the names that dashboards for controllers use.

use std::time::Duration;

use http::StatusCode;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// Observed once per request, whatever its end. `webhook` is the path.
#[derive(Clone)]
pub(super) struct Metrics {
    requests: IntCounterVec,
    latency: HistogramVec,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new(
                "controller_runtime_webhook_requests_total",
                "Requests to webhooks by path and HTTP status code. A denial, or a failed conversion, is a 200.",
            ),
            &["webhook", "code"],
        )?;
        let latency = HistogramVec::new(
            HistogramOpts::new(
                "controller_runtime_webhook_latency_seconds",
                "Time to answer a request to a webhook, by path.",
            ),
            &["webhook"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(latency.clone()))?;
        Ok(Self { requests, latency })
    }

    pub(super) fn observe(&self, path: &str, code: StatusCode, took: Duration) {
        self.requests.with_label_values(&[path, code.as_str()]).inc();
        self.latency.with_label_values(&[path]).observe(took.as_secs_f64());
    }
}
