//! What is counted, under the original's names.

use fleet::Store;
use fleet_api::ConditionState as _;
use internal_services_api::InternalRequest;
use internal_services_api::conditions::Succeeded;
use jiff::Timestamp;
use kube::ResourceExt as _;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use crate::request::state::is_running;
use crate::request::wanted::name_of_pipeline;

/// Seconds, as the original has them.
const BUCKETS: [f64; 10] = [10.0, 20.0, 40.0, 60.0, 150.0, 300.0, 450.0, 900.0, 1800.0, 3600.0];

const LABELS: [&str; 4] = ["request", "namespace", "reason", "succeeded"];

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    running: IntGauge,
    duration: HistogramVec,
    total: IntCounterVec,
    remote_up: IntGauge,
}

impl Metrics {
    /// Registers all, so that each is there from the start.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            running: IntGauge::new(
                "internal_request_attempt_concurrent_requests",
                "InternalRequests whose run goes on.",
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "internal_request_attempt_duration_seconds",
                    "From the start of an InternalRequest until its end, in seconds; of a rejected one from its creation.",
                )
                .buckets(BUCKETS.to_vec()),
                &LABELS,
            )?,
            total: IntCounterVec::new(
                Opts::new("internal_request_attempt_total", "InternalRequests that ended, by how they did."),
                &LABELS,
            )?,
            remote_up: IntGauge::new(
                "internal_services_remote_up",
                "1 while the remote cluster answers and takes the credential of the kubeconfig, else 0.",
            )?,
        };
        registry.register(Box::new(metrics.running.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.total.clone()))?;
        registry.register(Box::new(metrics.remote_up.clone()))?;
        Ok(metrics)
    }

    /// Counts the requests that run with each change of theirs: also after a restart it is what there is.
    pub(crate) fn follow(&self, requests: &Store<InternalRequest>) {
        let gauge = self.running.clone();
        requests.subscribe(move |change| {
            let before = change.old.as_deref().is_some_and(is_running);
            let after = change.new.as_deref().is_some_and(is_running);
            match (before, after) {
                (false, true) => gauge.inc(),
                (true, false) => gauge.dec(),
                _ => {}
            }
        });
    }

    /// A request came to this end, and its status says so.
    pub(crate) fn ended(&self, request: &InternalRequest, ended: &Succeeded, now: Timestamp) {
        let started = request.status.as_ref().and_then(|status| status.start_time.as_ref());
        let since = started.or(request.metadata.creation_timestamp.as_ref()).map_or(now, |time| time.0);
        // What nobody here knows can have any name: it must not make a series each.
        let name =
            if matches!(ended, Succeeded::Rejected { .. }) { "" } else { name_of_pipeline(&request.spec) };
        let namespace = request.namespace().unwrap_or_default();
        let succeeded = if *ended == Succeeded::Succeeded { "true" } else { "false" };
        let labels = [name, namespace.as_str(), ended.reason(), succeeded];
        self.duration.with_label_values(&labels).observe(now.duration_since(since).as_secs_f64().max(0.0));
        self.total.with_label_values(&labels).inc();
    }

    pub(crate) fn set_remote_up(&self, is_up: bool) {
        self.remote_up.set(i64::from(is_up));
    }
}
