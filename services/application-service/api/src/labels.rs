//! Keys of labels on the kinds of this crate.

use fleet_api::LabelKey;

/// `SnapshotEnvironmentBinding` label: `spec.application`. Written by application-service, and by
/// gitops-service on the bindings that it makes.
pub const APPLICATION: LabelKey = LabelKey::new("appstudio.application");

/// `SnapshotEnvironmentBinding` label: `spec.environment`, by which an event of an Environment finds its
/// bindings. Written as [`APPLICATION`].
pub const ENVIRONMENT: LabelKey = LabelKey::new("appstudio.environment");

/// Labels of the resources that are generated into GitOps repositories.
pub mod generated {
    use fleet_api::LabelKey;

    /// Name of the Component.
    pub const NAME: LabelKey = LabelKey::new("app.kubernetes.io/name");

    /// Name of the Component. By this one alone workloads select their pods.
    pub const INSTANCE: LabelKey = LabelKey::new("app.kubernetes.io/instance");

    /// Name of the Application.
    pub const PART_OF: LabelKey = LabelKey::new("app.kubernetes.io/part-of");

    /// [`MANAGED_BY_KUSTOMIZE`].
    pub const MANAGED_BY: LabelKey = LabelKey::new("app.kubernetes.io/managed-by");

    /// The value of [`MANAGED_BY`].
    pub const MANAGED_BY_KUSTOMIZE: &str = "kustomize";

    /// [`CREATED_BY_US`].
    pub const CREATED_BY: LabelKey = LabelKey::new("app.kubernetes.io/created-by");

    /// The value of [`CREATED_BY`].
    pub const CREATED_BY_US: &str = "application-service";
}
