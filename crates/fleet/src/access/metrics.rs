//! How often the API server is asked, and with what result.

use prometheus::{IntCounterVec, Opts, Registry};

use super::Error;

#[derive(Clone)]
pub(super) struct Metrics {
    reviews: IntCounterVec,
    hits: IntCounterVec,
    denied: IntCounterVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, labels| IntCounterVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            reviews: counter(
                "fleet_access_reviews_total",
                "TokenReviews and SubjectAccessReviews, by result.",
                &["review", "result"],
            )?,
            hits: counter(
                "fleet_access_cache_hits_total",
                "Questions of callers that needed no review of their own.",
                &["review"],
            )?,
            denied: counter("fleet_access_denied_total", "Callers that were turned away.", &["reason"])?,
        };
        registry.register(Box::new(metrics.reviews.clone()))?;
        registry.register(Box::new(metrics.hits.clone()))?;
        registry.register(Box::new(metrics.denied.clone()))?;
        Ok(metrics)
    }

    pub(super) fn reviewed(&self, review: &'static str, result: &'static str) {
        self.reviews.with_label_values(&[review, result]).inc();
    }

    pub(super) fn hit(&self, review: &'static str) {
        self.hits.with_label_values(&[review]).inc();
    }

    /// Hands the reason back.
    pub(super) fn denied(&self, reason: Error) -> Error {
        self.denied.with_label_values(&[<&str>::from(reason)]).inc();
        reason
    }
}
