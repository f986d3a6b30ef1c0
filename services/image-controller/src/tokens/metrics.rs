//! What is counted.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Outcome {
    /// A token that is good for something, or for nothing because nothing was asked for.
    Granted,
    /// A token, but for less than was asked for.
    Restricted,
    /// The password is wrong, or there is no such robot.
    WrongPassword,
    /// It is no request for a token of this registry.
    Malformed,
    /// There is no key, or not yet a list of what there is.
    Unavailable,
}

/// Registers every metric there is, with an example of its labels, for who lists them.
pub fn register_all(registry: &Registry) -> Result<(), prometheus::Error> {
    Metrics::new(registry).map(|metrics| metrics.answered(Outcome::Granted, 0.0))
}

/// Metrics of the token endpoint. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    time: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "redhat_appstudio_imagecontroller_registry_tokens_total",
                    "Requests for a token of the registry, by how they ended: granted, restricted (for less than was asked for), \
                     wrong_password, malformed, unavailable.",
                ),
                &["outcome"],
            )?,
            time: Histogram::with_opts(
                HistogramOpts::new(
                    "redhat_appstudio_imagecontroller_registry_token_seconds",
                    "Time from a request for a token to its answer.",
                )
                .buckets(vec![0.0005, 0.001, 0.005, 0.05, 0.5, 5.0]),
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.time.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn answered(&self, outcome: Outcome, seconds: f64) {
        let outcome: &str = outcome.into();
        self.requests.with_label_values(&[outcome]).inc();
        self.time.observe(seconds);
    }
}
