//! Keys of labels on the kinds of this crate and on what is made for them.

use fleet_api::LabelKey;

/// `DeploymentTarget` label: name of its class, if it was made for a claim. The same key as the annotation
/// [`PROVISIONER`](crate::annotations::PROVISIONER) of the claim.
pub const PROVISIONER: LabelKey = LabelKey::new("provisioner.appstudio.redhat.com/dt-provisioner");

/// `SpaceRequest` label: name of the `DeploymentTargetClaim` that it was made for.
pub const CLAIM: LabelKey = LabelKey::new("appstudio.openshift.io/dtc");

/// `SpaceRequest` label: name of the `DeploymentTarget` that was made of it.
pub const TARGET: LabelKey = LabelKey::new("appstudio.openshift.io/dt");

/// `GitOpsDeployment` label: name of the Environment.
pub const ENVIRONMENT: LabelKey = LabelKey::new("appstudio.openshift.io/environment");

/// Secret label: name of the Environment whose credentials it holds.
pub const ENVIRONMENT_SECRET: LabelKey = LabelKey::new("appstudio.openshift.io/environment-secret");

/// Label of each deployed resource: what it belongs to, [`INSTANCE_PREFIX`] and the uid of a `GitOpsDeployment`.
pub const INSTANCE: LabelKey = LabelKey::new("app.kubernetes.io/instance");

/// What values of [`INSTANCE`] begin with; a uid of 36 characters follows.
pub const INSTANCE_PREFIX: &str = "gitopsdepl-";

/// Namespace label: [`MANAGED_BY_US`] if it can be deployed to. Written by registration-service.
pub const MANAGED_BY: LabelKey = LabelKey::new("argocd.argoproj.io/managed-by");

/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_US: &str = "gitops-service-argocd";

/// Labels of a `SnapshotEnvironmentBinding` with this in their keys are copied to its `GitOpsDeployments`.
pub const COPIED_KEYS_CONTAIN: &str = "appstudio.openshift.io";
