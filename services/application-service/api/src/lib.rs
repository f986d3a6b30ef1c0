//! The application and environment API, group `appstudio.redhat.com`, version `v1alpha1`: one module per
//! kind, and the labels, annotations, finalizers and conditions that belong to these kinds.
//!
//! ```text
//! Application ◀── Component ◀── (builds) ── Snapshot ──┐
//!      ▲                                               ├──▶ SnapshotEnvironmentBinding ──▶ workloads
//!      └──────────────────────────── Environment ──────┘             ▲
//! ComponentDetectionQuery (proposes Components)                 PromotionRun
//! ```
//!
//! Types and constants only. What can be judged by looking at one object alone is judged by the schemas here
//! (`validation`), so that it holds while no service runs.
//!
//! Fields that the API does not require may be absent in any object that is read. Fields that only the schema
//! of this version requires are read as empty when they are absent: one object that a newer program stored
//! must not break the watch of all others.

#![expect(unreachable_pub, reason = "kube's derive puts a public copy of each struct into a function")]

pub mod annotations;
pub mod application;
pub mod component;
pub mod component_detection_query;
pub mod conditions;
pub mod devfile;
pub mod environment;
pub mod finalizers;
pub mod labels;
pub mod names;
pub mod promotion_run;
pub mod repository;
pub mod snapshot;
pub mod snapshot_environment_binding;
pub mod source;
mod validation;
pub mod versions;

use fleet_api::{editable, schema};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use application::{Application, ApplicationSpec, ApplicationStatus};
pub use component::{Component, ComponentSpec, ComponentStatus};
pub use component_detection_query::{
    ComponentDetectionQuery, ComponentDetectionQuerySpec, ComponentDetectionQueryStatus,
};
pub use environment::{Environment, EnvironmentSpec, EnvironmentStatus};
pub use promotion_run::{PromotionRun, PromotionRunSpec, PromotionRunStatus};
pub use snapshot::{Snapshot, SnapshotSpec, SnapshotStatus};
pub use snapshot_environment_binding::{
    SnapshotEnvironmentBinding, SnapshotEnvironmentBindingSpec, SnapshotEnvironmentBindingStatus,
};

/// API group of all kinds in this crate.
pub const GROUP: &str = "appstudio.redhat.com";

/// The definitions of all kinds, in the order in which a reader meets them. `cargo xtask crds` writes them to
/// `deploy/kustomize/crds/application-service`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [
        Application::crd(),
        Component::crd(),
        ComponentDetectionQuery::crd(),
        Snapshot::crd(),
        Environment::crd(),
        SnapshotEnvironmentBinding::crd(),
        PromotionRun::crd(),
    ]
    .map(editable)
    .into()
}
