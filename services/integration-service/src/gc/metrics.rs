//! What is counted.

use prometheus::{IntCounter, Registry};

/// Counts of one run, also served while it lasts. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    pub(super) namespaces: IntCounter,
    pub(super) snapshots: IntCounter,
    pub(super) deleted: IntCounter,
    pub(super) spared: IntCounter,
    pub(super) errors: IntCounter,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("integration_svc_snapshotgc_{name}_total"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            namespaces: counter("namespaces", "Tenants that were looked at.")?,
            snapshots: counter("snapshots", "Snapshots that were seen.")?,
            deleted: counter(
                "deleted_snapshots",
                "Snapshots that were deleted, or would have been without --dry-run.",
            )?,
            spared: counter(
                "spared_snapshots",
                "Snapshots beyond the limit that stay because they are still tested or used.",
            )?,
            errors: counter("errors", "Tenants that were skipped, and deletions that failed.")?,
        })
    }
}
