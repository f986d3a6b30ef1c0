//! Keys of annotations on the kinds of this crate.

use fleet_api::AnnotationKey;

/// `DeploymentTargetClaim` annotation: a target is to be made for it; the value is the name of its class.
pub const PROVISIONER: AnnotationKey = AnnotationKey::new("provisioner.appstudio.redhat.com/dt-provisioner");

/// `DeploymentTarget` annotation: the provisioner that made it.
pub const PROVISIONED_BY: AnnotationKey =
    AnnotationKey::new("provisioner.appstudio.redhat.com/provisioned-by");

/// `DeploymentTargetClaim` annotation: `true` once claim and target are bound.
pub const BIND_COMPLETE: AnnotationKey = AnnotationKey::new("dt.appstudio.redhat.com/bind-complete");

/// `DeploymentTargetClaim` annotation: `true` if the service chose the target, not the user.
pub const BOUND_BY_CONTROLLER: AnnotationKey =
    AnnotationKey::new("dt.appstudio.redhat.com/bound-by-controller");

/// `GitOpsDeployment` annotation: `true` lets it go though its resources cannot be deleted. Written by users. Ours.
pub const FORCE_FINALIZE: AnnotationKey = AnnotationKey::new("managed-gitops.redhat.com/force-finalize");
