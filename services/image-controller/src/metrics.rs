//! What is measured, under the original's names.

use fleet::Write;
use image_controller_api::ImageRepository;
use image_controller_api::events::EventReason;
use jiff::Timestamp;
use kube::ResourceExt as _;
use prometheus::{Histogram, HistogramOpts, IntGauge, Registry};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    provision: Histogram,
    failure: Histogram,
    available: IntGauge,
}

impl Metrics {
    /// Registers all, so that each is there from the start.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = |name: &str, help: &str| {
            let name = format!("redhat_appstudio_imagecontroller_{name}");
            let options = HistogramOpts::new(name, help);
            let histogram =
                Histogram::with_opts(options.buckets(vec![5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0]))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let metrics = Self {
            provision: seconds(
                "image_repository_provision_time",
                "Time from the creation of an ImageRepository until it was ready, in seconds.",
            )?,
            failure: seconds(
                "image_repository_provision_failure_time",
                "Time from the creation of an ImageRepository until it failed, in seconds.",
            )?,
            available: IntGauge::new(
                "redhat_appstudio_imagecontroller_global_quay_app_available",
                "1 while the registry's API works, asked each minute.",
            )?,
        };
        registry.register(Box::new(metrics.available.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn provisioned(&self, object: &ImageRepository, now: Timestamp) {
        self.provision.observe(age(object, now));
    }

    /// Takes note if one of the writes, which were carried out, says that it failed.
    pub(crate) fn count(&self, object: &ImageRepository, writes: &[Write], now: Timestamp) {
        let failed: &str = EventReason::ImageRepositoryFailed.into();
        if writes.iter().any(|write| matches!(write, Write::Event(event) if event.reason == failed)) {
            self.failure.observe(age(object, now));
        }
    }

    pub(crate) fn set_available(&self, is_available: bool) {
        self.available.set(i64::from(is_available));
    }
}

fn age(object: &ImageRepository, now: Timestamp) -> f64 {
    object.creation_timestamp().map_or(0.0, |created| now.duration_since(created.0).as_secs_f64())
}
