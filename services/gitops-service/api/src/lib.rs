//! The API of places to deploy to, group `appstudio.redhat.com`, version `v1alpha1`: one module per kind, and the
//! labels, annotations, finalizers and conditions that belong to these kinds. `Environment`, which names a claim,
//! is a kind of application-service.
//!
//! ```text
//! Environment ──▶ DeploymentTargetClaim ◀──▶ DeploymentTarget (a namespace of a cluster)
//!                            └──▶ DeploymentTargetClass ◀──┘
//! ```
//!
//! Types and constants only. Fields that only the schema of this version requires are read as empty when they are
//! absent: one object that a newer program stored must not break the watch of all others.

#![expect(unreachable_pub, reason = "kube's derive puts a public copy of each struct into a function")]

pub mod annotations;
pub mod conditions;
pub mod deployment_target;
pub mod deployment_target_claim;
pub mod deployment_target_class;
pub mod finalizers;
pub mod labels;
pub mod names;

use fleet_api::editable;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use deployment_target::{DeploymentTarget, DeploymentTargetSpec, DeploymentTargetStatus};
pub use deployment_target_claim::{
    DeploymentTargetClaim, DeploymentTargetClaimSpec, DeploymentTargetClaimStatus,
};
pub use deployment_target_class::{
    DeploymentTargetClass, DeploymentTargetClassSpec, DeploymentTargetClassStatus,
};

/// API group of all kinds in this crate.
pub const GROUP: &str = "appstudio.redhat.com";

/// The definitions of all kinds, in the order in which a reader meets them. `cargo xtask crds` writes them to
/// `deploy/kustomize/crds/gitops-service`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [DeploymentTarget::crd(), DeploymentTargetClaim::crd(), DeploymentTargetClass::crd()].map(editable).into()
}
