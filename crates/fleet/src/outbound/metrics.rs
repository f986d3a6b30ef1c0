//! How calls to the outside end.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::error::Error;

#[derive(Clone)]
pub(super) struct Metrics {
    requests: IntCounterVec,
    retries: IntCounter,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        // Not by host: tenants choose hosts.
        let requests = IntCounterVec::new(
            Opts::new(
                "fleet_outbound_requests_total",
                "Calls to servers outside the cluster, by how they ended.",
            ),
            &["outcome"],
        )?;
        let retries =
            IntCounter::new("fleet_outbound_retries_total", "Calls to the outside that were repeated.")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(retries.clone()))?;
        Ok(Self { requests, retries })
    }

    pub(super) fn ended<T>(&self, result: &Result<T, Error>) {
        let outcome = match result {
            Ok(_) => "answered",
            Err(error) => error.into(),
        };
        self.requests.with_label_values(&[outcome]).inc();
    }

    pub(super) fn retried(&self) {
        self.retries.inc();
    }
}
