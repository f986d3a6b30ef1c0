//! What is counted.

use prometheus::{IntCounter, Registry};

/// Counts of one run, also served while it lasts. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    pub(super) repositories: IntCounter,
    pub(super) tags: IntCounter,
    pub(super) deleted: IntCounter,
    pub(super) errors: IntCounter,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter =
                IntCounter::new(format!("redhat_appstudio_imagecontroller_pruner_{name}_total"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            repositories: counter("repositories", "Repositories that were looked at.")?,
            tags: counter("tags", "Tags that were seen.")?,
            deleted: counter(
                "deleted_tags",
                "Tags that were deleted, or would have been without --dry-run.",
            )?,
            errors: counter("errors", "Repositories that were skipped because of an error.")?,
        })
    }
}
