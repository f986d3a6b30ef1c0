//! The release API, group `appstudio.redhat.com`, version `v1alpha1`: one module per kind, the types that they
//! share, and the labels, annotations, finalizers and conditions that belong to these kinds.
//!
//! ```text
//! tenant namespace                    managed namespace
//! Snapshot ◀── Release ──▶ ReleasePlan ──target──▶ ReleasePlanAdmission ──▶ PipelineRun
//!                                     ◀──origin──
//! ```
//!
//! Types and constants only. What can be judged by looking at one object's name and spec is judged by the schemas
//! here, so that it holds while no service runs; labels are not seen by schemas, so their rules are webhooks.
//!
//! Fields that only the schema of this version requires are read as empty when they are absent: one object that
//! a newer program stored must not break the watch of all others.

#![expect(unreachable_pub, reason = "kube's derive puts a public copy of each struct into a function")]

pub mod annotations;
pub mod collectors;
pub mod conditions;
pub mod events;
pub mod finalizers;
pub mod labels;
pub mod names;
pub mod params;
pub mod phase;
pub mod pipeline;
pub mod release;
pub mod release_plan;
pub mod release_plan_admission;
pub mod release_service_config;
mod validation;

use fleet_api::editable;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use phase::Phase;
pub use release::{Release, ReleaseSpec, ReleaseStatus};
pub use release_plan::{ReleasePlan, ReleasePlanSpec, ReleasePlanStatus};
pub use release_plan_admission::{
    ReleasePlanAdmission, ReleasePlanAdmissionSpec, ReleasePlanAdmissionStatus,
};
pub use release_service_config::{
    ReleaseServiceConfig, ReleaseServiceConfigSpec, ReleaseServiceConfigStatus,
};

/// API group of all kinds in this crate.
pub const GROUP: &str = "appstudio.redhat.com";

/// The definitions of all kinds, in the order in which a reader meets them. `cargo xtask crds` writes them to
/// `deploy/kustomize/crds/release-service`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [Release::crd(), ReleasePlan::crd(), ReleasePlanAdmission::crd(), ReleaseServiceConfig::crd()]
        .map(editable)
        .into()
}
