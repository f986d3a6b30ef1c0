//! What can be seen of migrations from outside.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// Labelled by the definition's name, of which a service has a few.
#[derive(Clone, Debug)]
pub struct MigrationMetrics {
    pending: IntGaugeVec,
    objects: IntCounterVec,
    errors: IntCounterVec,
}

/// What became of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Rewrite {
    /// Written in the storage version.
    Rewritten,
    /// It was in the storage version, or something else wrote it meanwhile.
    Unchanged,
    /// Deleted meanwhile.
    Gone,
    /// The API server did not take it.
    Refused,
}

impl MigrationMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let pending = IntGaugeVec::new(
            Opts::new(
                "fleet_storage_migration_pending",
                "1 while objects may be stored in an older version, by definition.",
            ),
            &["crd"],
        )?;
        let objects = IntCounterVec::new(
            Opts::new(
                "fleet_storage_migration_objects_total",
                "Objects that storage-version migrations went through, by definition and result.",
            ),
            &["crd", "result"],
        )?;
        let errors = IntCounterVec::new(
            Opts::new(
                "fleet_storage_migration_errors_total",
                "Storage-version migrations that ended early, by definition and error. The log says more.",
            ),
            &["crd", "error"],
        )?;
        registry.register(Box::new(pending.clone()))?;
        registry.register(Box::new(objects.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        Ok(Self { pending, objects, errors })
    }

    pub(super) fn pending(&self, crd: &str, is_pending: bool) {
        self.pending.with_label_values(&[crd]).set(is_pending.into());
    }

    pub(super) fn object(&self, crd: &str, rewrite: Rewrite) {
        self.objects.with_label_values(&[crd, rewrite.into()]).inc();
    }

    pub(super) fn failed(&self, crd: &str, error: &'static str) {
        self.errors.with_label_values(&[crd, error]).inc();
    }
}
