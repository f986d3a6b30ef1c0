//! How long requests take, under the original's names.

use jiff::SignedDuration;
use prometheus::{Histogram, HistogramOpts, IntGauge, Registry};

/// What the names begin with.
const PREFIX: &str = "redhat_appstudio_buildservice_";

/// In seconds.
const BUCKETS: [f64; 8] = [5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0];

/// From when a request was first seen until it was dealt with. Those that fail are not among them.
#[derive(Clone, Debug)]
pub struct Metrics {
    onboarding: Histogram,
    simple_build: Histogram,
    configuration: Histogram,
    unconfiguration: Histogram,
    trigger: Histogram,
    app_available: IntGauge,
}

impl Metrics {
    /// Registers all of them.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str| {
            let options = HistogramOpts::new(format!("{PREFIX}{name}"), help).buckets(BUCKETS.to_vec());
            let histogram = Histogram::with_opts(options)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let app_available = IntGauge::new(
            format!("{PREFIX}global_github_app_available"),
            "1 while the platform's GitHub App can be used, else 0. Asked for each minute by the replica that leads.",
        )?;
        registry.register(Box::new(app_available.clone()))?;
        Ok(Self {
            onboarding: histogram(
                "component_onboarding_time",
                "Time from the creation of a Component until its first request was dealt with, in seconds.",
            )?,
            simple_build: histogram(
                "simple_build_pipeline_creation_time",
                "Time until a build without Pipelines as Code was started, in seconds.",
            )?,
            configuration: histogram(
                "PaC_configuration_time",
                "Time until the pull request with the pipelines was open, in seconds.",
            )?,
            unconfiguration: histogram(
                "PaC_unconfiguration_time",
                "Time until the pull request that removes the pipelines was open, in seconds.",
            )?,
            trigger: histogram(
                "Push_pipeline_rebuild_trigger_time",
                "Time until Pipelines as Code was asked for a build, in seconds.",
            )?,
            app_available,
        })
    }

    pub(crate) fn onboarding(&self, took: SignedDuration) {
        self.onboarding.observe(seconds(took));
    }

    pub(crate) fn simple_build(&self, took: SignedDuration) {
        self.simple_build.observe(seconds(took));
    }

    pub(crate) fn configuration(&self, took: SignedDuration) {
        self.configuration.observe(seconds(took));
    }

    pub(crate) fn unconfiguration(&self, took: SignedDuration) {
        self.unconfiguration.observe(seconds(took));
    }

    pub(crate) fn trigger(&self, took: SignedDuration) {
        self.trigger.observe(seconds(took));
    }

    pub(crate) fn app_is_available(&self, is: bool) {
        self.app_available.set(is.into());
    }
}

/// A clock that was set back makes no negative times.
fn seconds(took: SignedDuration) -> f64 {
    took.as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn have_the_originals_names() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        metrics.onboarding(SignedDuration::from_secs(-5));
        let names: Vec<_> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
        for name in [
            "component_onboarding_time",
            "simple_build_pipeline_creation_time",
            "PaC_configuration_time",
            "PaC_unconfiguration_time",
            "Push_pipeline_rebuild_trigger_time",
            "global_github_app_available",
        ] {
            assert!(names.contains(&format!("{PREFIX}{name}")), "{name} in {names:?}");
        }
        assert!(metrics.onboarding.get_sample_sum() >= 0.0);
    }
}
