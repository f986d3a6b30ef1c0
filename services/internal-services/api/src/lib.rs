//! The API of internal services, group `appstudio.redhat.com`, version `v1alpha1`: one module per kind, and the
//! labels, finalizers and conditions that belong to these kinds.
//!
//! ```text
//! remote cluster: InternalRequest ──▶ PipelineRun :local cluster
//!                      status    ◀──  results
//! ```
//!
//! Types and constants only. Fields that only the schema of this version requires are read as empty when they are
//! absent: one object that a newer program stored must not break the watch of all others.

#![expect(unreachable_pub, reason = "kube's derive puts a public copy of each struct into a function")]

pub mod annotations;
pub mod conditions;
pub mod events;
pub mod finalizers;
pub mod internal_request;
pub mod internal_services_config;
pub mod labels;
pub mod names;

use fleet_api::editable;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use internal_request::{InternalRequest, InternalRequestSpec, InternalRequestStatus};
pub use internal_services_config::{
    InternalServicesConfig, InternalServicesConfigSpec, InternalServicesConfigStatus,
};

/// API group of all kinds in this crate.
pub const GROUP: &str = "appstudio.redhat.com";

/// The definitions of all kinds, in the order in which a reader meets them. `cargo xtask crds` writes them to
/// `deploy/kustomize/crds/internal-services`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [InternalRequest::crd(), InternalServicesConfig::crd()].map(editable).into()
}
