//! Finalizers of gitops-service.

use fleet_api::Finalizer;

/// On a `DeploymentTargetClaim`: its target is released or deleted before it goes.
pub const CLAIM: Finalizer = Finalizer::new("binder.appstudio.redhat.com/finalizer");

/// On a `DeploymentTarget`: the namespace that it stands for is given back before it goes.
pub const TARGET: Finalizer = Finalizer::new("dt.appstudio.redhat.com/finalizer");

/// On a `GitOpsDeployment`, put there by users only: it stays until all its resources are gone.
pub const DEPLOYED_RESOURCES: Finalizer = Finalizer::new("resources-finalizer.managed-gitops.redhat.com");
